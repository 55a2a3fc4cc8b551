from __future__ import annotations

import errno
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.datasets import cache as cache_module
from pipeline.datasets.cache import Cache, default_root
from pipeline.errors import EnvironmentProblem

SHAPE = (5, 3, 2)


def _rows() -> Iterator[NDArray[np.uint8]]:
    return (np.full(SHAPE[1:], number, dtype=np.uint8) for number in range(SHAPE[0]))


def _never() -> Iterator[NDArray[np.uint8]]:
    raise AssertionError("written a second time")


def _leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if cache_module._TEMPORARY in path.name]


def test_written_once_then_read(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    first = cache.array("a/b.npy", SHAPE, _rows)
    np.testing.assert_array_equal(first[:, 0, 0], range(5))
    np.testing.assert_array_equal(cache.array("a/b.npy", SHAPE, _never), first)
    np.testing.assert_array_equal(np.load(tmp_path / "a/b.npy"), first)


@pytest.mark.parametrize("damage", ["cut short", "empty", "not numpy", "another shape", "another type"])
def test_an_unsound_file_is_written_anew(damage: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = tmp_path / "a.npy"
    cache.array("a.npy", SHAPE, _rows)
    whole = path.read_bytes()
    if damage == "cut short":
        path.write_bytes(whole[:-1])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "not numpy":
        path.write_bytes(b"x" * len(whole))
    else:
        np.save(path, np.zeros((5, 6) if damage == "another shape" else SHAPE, np.float32))
    np.testing.assert_array_equal(cache.array("a.npy", SHAPE, _rows)[:, 0, 0], range(5))


@pytest.mark.parametrize("count", [4, 6])
def test_a_wrong_number_of_rows_leaves_nothing(count: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows, not 5"):
        Cache(tmp_path).array("a.npy", SHAPE, lambda: iter([np.zeros(SHAPE[1:], np.uint8)] * count))
    assert not (tmp_path / "a.npy").exists()
    assert not _leftovers(tmp_path)


def test_rows_must_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="row 0"):
        Cache(tmp_path).array("a.npy", SHAPE, lambda: iter([np.zeros((9, 9), np.uint8)]))


def test_many_threads_write_once(tmp_path: Path) -> None:
    calls = []

    def rows() -> Iterator[NDArray[np.uint8]]:
        calls.append(1)
        yield from _rows()

    results: list[NDArray[np.uint8]] = []
    threads = [
        threading.Thread(target=lambda: results.append(Cache(tmp_path).array("a.npy", SHAPE, rows))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(results) == 8
    assert len(calls) == 1


_CHILD = """
import os, resource, signal, sys
from pathlib import Path
import numpy as np
from pipeline.datasets.cache import Cache
from pipeline.errors import EnvironmentProblem

def rows():
    for number in range(64):
        if sys.argv[2] == "kill" and number == 40:
            os.kill(os.getpid(), signal.SIGKILL)
        yield np.full((64, 64), number, np.uint8)

if sys.argv[2] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    Cache(Path(sys.argv[1])).array("a.npy", (64, 64, 64), rows)
except EnvironmentProblem as error:
    sys.exit(error.id)
"""


def _child(folder: Path, what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _CHILD, str(folder), what], capture_output=True, text=True, check=False, timeout=60
    )


def test_a_killed_writer_leaves_no_array_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    assert _child(tmp_path, "kill").returncode == -9
    assert not (tmp_path / "a.npy").exists()
    assert _leftovers(tmp_path)
    assert _child(tmp_path, "write").returncode == 0
    assert not _leftovers(tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[:, 0, 0], range(64))


def test_no_space_in_the_middle_of_a_file(tmp_path: Path) -> None:
    done = _child(tmp_path, "full")
    assert (done.returncode, done.stderr.strip()) == (1, "disk-full")
    assert not (tmp_path / "a.npy").exists()
    assert not _leftovers(tmp_path)


@pytest.mark.parametrize(("number", "expected"), [(errno.ENOSPC, "disk-full"), (errno.EROFS, "cache-not-writable")])
def test_write_errors_are_named(number: int, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(cache_module, "_write_all", fail)
    writes: tuple[Callable[[Cache], object], ...] = (
        lambda cache: cache.array("a.npy", SHAPE, _rows),
        lambda cache: cache.store("b", b"x"),
    )
    for write in writes:
        with pytest.raises(EnvironmentProblem) as caught:
            write(Cache(tmp_path))
        assert caught.value.id == expected
        assert "DANAS_CACHE" in caught.value.next
        assert not _leftovers(tmp_path)


def test_an_error_of_the_rows_is_not_taken_for_the_disk(tmp_path: Path) -> None:
    def rows() -> Iterator[NDArray[np.uint8]]:
        raise OSError(errno.ENOSPC, "of somebody else")
        yield

    with pytest.raises(OSError, match="of somebody else"):
        Cache(tmp_path).array("a.npy", SHAPE, rows)


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem) as caught:
        Cache(tmp_path / "file" / "cache").array("a.npy", SHAPE, _rows)
    assert caught.value.id == "cache-not-writable"


def test_store_replaces(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.store("x/y", b"one")
    assert cache.store("x/y", b"two").read_bytes() == b"two"


def test_discard(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = cache.store("x", b"")
    cache.discard("x")
    cache.discard("x")
    assert not path.exists()


def test_environment_names_the_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DANAS_CACHE", str(tmp_path / "mine"))
    assert default_root() == tmp_path / "mine"
    assert Cache().root == tmp_path / "mine"
    monkeypatch.delenv("DANAS_CACHE")
    assert default_root().name == "danas-deploy"
