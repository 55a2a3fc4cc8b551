"""Subsets of public data sets: what they take, what they leave out, and that a broken download is taken up again."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import public_samples
import pytest

from pipeline.datasets import PreparedSource, Split, coco, open_source, prepared, quality, specs, wake_vision
from pipeline.datasets.cache import Cache
from pipeline.errors import EnvironmentProblem, UsageError
from pipeline.genotype import Colour, DataConfig

SMALL = DataConfig(32, Colour.RGB)


@pytest.fixture(scope="module")
def wakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pyarrow", reason="Wake Vision needs the extra `wake-vision`", exc_type=ImportError)
    return public_samples.write_wake_vision(tmp_path_factory.mktemp("wakes"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return public_samples.write_coco(tmp_path_factory.mktemp("coco"))


class Watched(wake_vision.Folder):
    """A folder whose files' openings are counted, and that may break off."""

    def __init__(self, path: Path, *, breaks_at: int | None = None) -> None:
        super().__init__(path)
        self.opened = 0
        self._breaks_at = breaks_at

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        self.opened += 1
        if self._breaks_at is not None and self.opened >= self._breaks_at:
            raise prepared.UnreachableError("the line is dead \x1b[31m")
        with super().open(name) as file:
            yield file


def _prepared(files: wake_vision.Files, cache: Path, *, images: int = 40, seed: int = 0) -> PreparedSource:
    return PreparedSource(wake_vision.WakeVision(files), training_images=images, seed=seed, cache=Cache(cache))


def test_all_of_wake_vision_without_what_cannot_be_used(wakes: Path, tmp_path: Path) -> None:
    source = open_source(f"wake-vision:images=1000,folder={wakes}", cache=tmp_path)
    assert {split: len(source.groups(split)) for split in Split} == {
        Split.TRAIN: 5 * public_samples.ROWS - 2,
        Split.VALIDATION: 2 * public_samples.ROWS,
        Split.TEST: 2 * public_samples.ROWS,
    }
    notes = " ".join(source.describe()["notes"])
    assert "1 images were left out: no label" in notes and "1 images were left out: not readable" in notes
    view = source.view(Split.TRAIN, SMALL)
    means = view.images.mean(axis=(1, 2, 3))
    assert (view.labels == (means > 110)).all(), "a person is a bright picture"
    assert quality.of(source).smaller[64] == 1 and quality.of(source).smaller[32] == 0


def test_a_download_that_broke_off_is_taken_up_where_it_was(wakes: Path, tmp_path: Path) -> None:
    whole = Watched(wakes)
    expected = _prepared(whole, tmp_path / "whole")
    for breaks_at in range(1, whole.opened, 3):
        with pytest.raises(EnvironmentProblem) as caught:
            _prepared(Watched(wakes, breaks_at=breaks_at), tmp_path / "broken")
        assert caught.value.id == "download-failed"
        assert "of 40 images" in caught.value.next or "of 8 images" in caught.value.next
        assert "\x1b" not in str(caught.value)
    rest = Watched(wakes)
    found = _prepared(rest, tmp_path / "broken")
    assert rest.opened < whole.opened
    assert found.fingerprint == expected.fingerprint
    np.testing.assert_array_equal(found.view(Split.TEST, SMALL).images, expected.view(Split.TEST, SMALL).images)


def test_what_is_in_the_cache_needs_no_files(wakes: Path, tmp_path: Path) -> None:
    first = _prepared(Watched(wakes), tmp_path)
    again = Watched(wakes, breaks_at=1)
    assert _prepared(again, tmp_path).fingerprint == first.fingerprint
    assert not again.opened


@pytest.mark.slow
def test_more_images_and_another_seed_fetch_only_what_lacks(wakes: Path, tmp_path: Path) -> None:
    _prepared(Watched(wakes), tmp_path, images=60)
    every = {path.stem for path in (tmp_path / "subsets").rglob("*.npy")}
    more = _prepared(Watched(wakes), tmp_path, images=120)
    assert every < {path.stem for path in (tmp_path / "subsets").rglob("*.npy")}
    rng = np.random.default_rng(0)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "subsets").rglob("*.npy")}
    other = _prepared(Watched(wakes), tmp_path, images=120, seed=int(rng.integers(1, 100)))
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "subsets").rglob("*.npy")}
    assert other.fingerprint != more.fingerprint


@pytest.mark.parametrize("ending", [".json", ".npy"])
def test_a_damaged_unit_is_read_again(wakes: Path, tmp_path: Path, ending: str) -> None:
    first = _prepared(Watched(wakes), tmp_path)
    for path in (tmp_path / "subsets").rglob(f"*.0*{ending}"):
        path.write_bytes(path.read_bytes()[:-7])
    assert _prepared(Watched(wakes), tmp_path).fingerprint == first.fingerprint


@pytest.mark.parametrize("damage", ["text", "columns", "missing"])
def test_files_of_another_form_are_told(damage: str, wakes: Path, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    folder = shutil.copytree(wakes, tmp_path / "files")
    for path in (folder / "data").glob("train*"):
        if damage == "text":
            path.write_text("version https://git-lfs.github.com/spec/v1\n")
        elif damage == "columns":
            parquet.write_table(pyarrow.table({"image": [1]}), path)
        else:
            path.unlink()
    with pytest.raises(EnvironmentProblem) as caught:
        open_source(f"wake-vision:folder={folder}", cache=tmp_path / "cache")
    assert caught.value.id == "download-failed"
    assert "train_quality" in caught.value.why


def test_a_folder_without_files_is_told(tmp_path: Path, wakes: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(f"wake-vision:folder={tmp_path}", cache=tmp_path / "cache")
    assert caught.value.id == "no-such-folder"


class _Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hub's interface as reading a data set's files by ranges takes; has one revision of one of them."""

    protocol_version = "HTTP/1.1"
    folder: ClassVar[Path]
    asked: ClassVar[list[str]]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        api, files = f"/api/datasets/{wake_vision.REPOSITORY}", f"/datasets/{wake_vision.REPOSITORY}"
        if path == f"{api}/revision/{wake_vision.REVISION}":
            self._json({"id": wake_vision.REPOSITORY, "sha": wake_vision.REVISION})
        elif path == f"{api}/tree/{wake_vision.REVISION}/data":
            found = [(f"data/{one.name}", one.stat().st_size) for one in sorted((self.folder / "data").iterdir())]
            self._json([{"type": "file", "path": name, "size": size, "oid": "0" * 40} for name, size in found])
        elif path.startswith(f"{files}/resolve/{wake_vision.REVISION}/"):
            content = (self.folder / path.removeprefix(f"{files}/resolve/{wake_vision.REVISION}/")).read_bytes()
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            self.asked.append(self.headers["Range"])
            self._send(206, content[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(content)}"})
        else:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


_READS = """
import sys
from pathlib import Path
from pipeline.datasets import open_source, wake_vision
from pipeline.errors import EnvironmentProblem

cache = Path(sys.argv[1])
print(open_source("wake-vision:images=40", cache=cache).fingerprint)
wake_vision.REVISION = "f" * 40
try:
    open_source("wake-vision:images=40", cache=cache)
except EnvironmentProblem as error:
    print(error.id, error.why, error.next)
"""


@pytest.mark.slow
def test_the_hub_is_read_by_ranges_at_the_pinned_revision(wakes: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="needs the extra `wake-vision`", exc_type=ImportError)

    class Hub(_Hub):
        folder = wakes
        asked: ClassVar[list[str]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{served.server_address[1]}"
        # A process of its own: huggingface_hub reads where the hub is when it is imported.
        done = subprocess.run(
            [sys.executable, "-c", _READS, str(tmp_path / "cache")],
            env=os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        served.shutdown()
        thread.join()
    assert done.returncode == 0, done.stderr
    fingerprint, failure = done.stdout.splitlines()
    assert len(fingerprint) == 64 and Hub.asked
    assert failure.startswith("download-failed huggingface.co: RevisionNotFoundError") and "0 of 40 images" in failure
    kept = {path.name: np.load(path) for path in (tmp_path / "cache" / "subsets").rglob("*.npy")}
    _prepared(wake_vision.Folder(wakes), tmp_path / "local")
    for path in (tmp_path / "local" / "subsets").rglob("*.npy"):
        np.testing.assert_array_equal(kept.pop(path.name), np.load(path))
    assert not kept


@pytest.mark.parametrize(
    ("module", "spec"),
    [
        ("pyarrow.parquet", "wake-vision"),
        ("huggingface_hub", "wake-vision"),
        ("tensorflow_datasets", "wake-vision-tfds"),
    ],
)
def test_a_missing_extra_is_named(module: str, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EnvironmentProblem) as caught:
        open_source(spec, cache=tmp_path)
    assert caught.value.id == "missing-extra"
    assert "pip install 'danas-deploy[" in caught.value.next


def test_visual_wake_words_by_the_published_rule(pictures: Path, tmp_path: Path) -> None:
    source = open_source(f"visual-wake-words:images=1000,folder={pictures}", cache=tmp_path)
    counts = source.describe()["splits"]
    assert sum(counts["train"].values()) == 63 and sum(counts["validation"].values()) == 7
    assert counts["test"] == {"no_person": 6, "person": 6}
    view = source.view(Split.TRAIN, SMALL)
    assert (view.labels == (view.images.mean(axis=(1, 2, 3)) > 110)).all()
    for name, label in zip(view.ids, view.labels.tolist(), strict=True):
        assert int(Path(name).stem) % 2 == label


@pytest.mark.parametrize(("area", "missing"), [("0.3%", "no_person"), ("0.4", "person"), ("0.2", "person")])
def test_the_share_of_the_area_is_a_parameter(area: str, missing: str, pictures: Path, tmp_path: Path) -> None:
    """People take a fifth or 0.4 % of the made-up images; exactly the share is not more than it."""
    with pytest.raises(UsageError) as caught:
        open_source(f"visual-wake-words:images=1000,area={area},folder={pictures}", cache=tmp_path)
    assert caught.value.id == "class-missing-in-split" and caught.value.what.endswith(f"class {missing}")


def test_images_that_are_not_there_are_left_out(pictures: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pictures, tmp_path / "coco")
    (folder / "images").mkdir()
    (folder / "val2017").rename(folder / "images" / "val2017")
    for path in sorted((folder / "train2017").iterdir())[:3]:
        path.unlink()
    source = open_source(f"visual-wake-words:images=1000,folder={folder}", cache=tmp_path / "cache")
    assert "3 images were left out: not readable." in source.describe()["notes"]


@pytest.mark.parametrize(
    "change",
    [
        {"categories": []},
        {"images": [{"id": 1, "file_name": "../../etc/passwd.jpg", "height": 1, "width": 1}]},
        {"images": [{"id": 1, "file_name": "x.jpg", "height": 0, "width": 1}]},
        {"annotations": [{"category_id": 1, "image_id": 1}]},
        {"images": 3},
    ],
)
def test_hostile_annotations_are_refused(change: dict[str, Any], pictures: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pictures, tmp_path / "coco")
    path = folder / "annotations" / "instances_train2017.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UsageError) as caught:
        open_source(f"visual-wake-words:folder={folder}", cache=tmp_path / "cache")
    assert caught.value.id == "bad-annotations"


def test_a_folder_that_is_not_cocos_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(f"visual-wake-words:folder={tmp_path}", cache=tmp_path / "cache")
    assert caught.value.id == "no-such-folder"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Nothing is printed."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An address, and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}", folder
        served.shutdown()
        thread.join()


@pytest.mark.slow
def test_coco_is_downloaded_where_no_folder_is_named(
    server: tuple[str, Path], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, served = server
    archive = served / "annotations.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for of in ("train2017", "val2017"):
            packed.write(pictures / f"annotations/instances_{of}.json", f"annotations/instances_{of}.json")
    monkeypatch.setattr(coco, "_HOST", address)
    monkeypatch.setattr(coco, "ARCHIVE", f"{address}/annotations.zip")
    monkeypatch.setattr(coco, "ARCHIVE_HASH", "md5:" + "0" * 32)
    with pytest.raises(EnvironmentProblem) as caught:
        open_source("visual-wake-words:images=40", cache=tmp_path / "cache")
    assert caught.value.id == "download-failed" and "hash" in caught.value.why.lower()
    digest = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(coco, "ARCHIVE_HASH", f"md5:{digest}")
    with pytest.raises(EnvironmentProblem) as caught:
        open_source("visual-wake-words:images=40", cache=tmp_path / "cache")
    assert caught.value.id == "download-failed" and "404" in caught.value.why
    for of in ("train2017", "val2017"):
        shutil.copytree(pictures / of, served / of)
    archive.unlink()  # it is in the cache by now
    source = open_source("visual-wake-words:images=40", cache=tmp_path / "cache")
    local = open_source(f"visual-wake-words:images=40,folder={pictures}", cache=tmp_path / "local")
    assert source.fingerprint == local.fingerprint


@pytest.mark.parametrize(
    "spec",
    [
        *("wake-vision:x", "wake-vision:images=0", "wake-vision:images=a", "wake-vision:images=5,images=5"),
        *("wake-vision:area=1", "visual-wake-words:area=100%", "visual-wake-words:area=-1", "wake-vision:folder="),
        *("wake-vision-tfds:train=small", "visual-wake-words:\x1b=2"),
    ],
)
def test_what_is_no_option_is_refused(spec: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(spec, cache=tmp_path)
    assert caught.value.id == "bad-data-option"
    assert "\x1b" not in str(caught.value)


def test_options_are_read() -> None:
    known: dict[str, Callable[[str], Any]] = {"images": specs.count, "area": specs.share, "folder": Path}
    found = specs.options("x", "area=0.5%,images=7,folder=a,b=c", known)
    assert found == {"area": 0.005, "images": 7, "folder": Path("a,b=c")}
    assert specs.options("x", "", known) == {} and specs.share("0.005") == 0.005


@pytest.mark.parametrize("spec", ["wake-vision", "visual-wake-words:images=40"])
def test_subsets_take_no_group_by(spec: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(spec, group_by="x", cache=tmp_path)
    assert caught.value.id == "bad-group-by"


def test_too_few_images_say_what_was_left_out(wakes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(f"wake-vision:images=20,folder={wakes}", cache=tmp_path)
    assert caught.value.id == "too-few-images" and "images=" in caught.value.next


@pytest.mark.slow
def test_tfds_as_it_was_built(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow_datasets", reason="needs the extra `tfds`", exc_type=ImportError)
    folder = public_samples.write_tfds(tmp_path / "tfds")
    source = open_source(f"wake-vision-tfds:images=1000,folder={folder}", cache=tmp_path / "cache")
    assert {split: len(source.groups(split)) for split in Split} == {
        Split.TRAIN: 49,
        Split.VALIDATION: 12,
        Split.TEST: 12,
    }
    assert "1 images were left out: no label." in source.describe()["notes"]
    view = source.view(Split.TRAIN, SMALL)
    assert (view.labels == (view.images.mean(axis=(1, 2, 3)) > 110)).all()
    built = folder / "wake_vision" / "1.0.0"
    large = open_source(f"wake-vision-tfds:images=1000,train=large,folder={built}", cache=tmp_path / "cache")
    assert len(large.groups(Split.TRAIN)) == 60
    with pytest.raises(UsageError) as caught:
        open_source(f"wake-vision-tfds:folder={tmp_path / 'nothing'}", cache=tmp_path / "cache")
    assert caught.value.id == "dataset-not-built"
    for shard in built.glob("wake_vision-test*"):
        shard.unlink()
    with pytest.raises(EnvironmentProblem) as broken:
        open_source(f"wake-vision-tfds:images=900,folder={folder}", cache=tmp_path / "other")
    assert broken.value.id == "download-failed"
