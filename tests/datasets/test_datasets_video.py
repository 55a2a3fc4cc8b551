from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import threading
from collections.abc import Generator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.datasets import SampleSource, Split, scene, video
from pipeline.datasets.cache import Cache
from pipeline.errors import EnvironmentProblem, UsageError
from pipeline.genotype import Colour, DataConfig

CONTENT = b"RIFF a video of our own" * 100


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """No way to the real video: an empty system, no tools, nobody at the address; our own is the right one."""
    if request.node.get_closest_marker("slow"):
        return
    monkeypatch.setattr(video, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(video, "_ROOT", tmp_path / "system")
    monkeypatch.setattr(video, "URL", "http://127.0.0.1:9/vtest.avi")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server(tmp_path: Path) -> Generator[str]:
    """Serves tmp_path/served on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def _package(folder: Path, content: bytes) -> Path:
    """A Debian package that holds ``content`` where opencv-doc has its video."""
    tool = shutil.which("dpkg-deb", path="/usr/bin:/bin")
    if tool is None:
        pytest.skip("dpkg-deb is not here: not a Debian system")
    tree = folder / "tree"
    file = tree / video._MEMBER
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        "Package: opencv-doc\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: test\n"
    )
    package = folder / "opencv-doc_1_all.deb"
    subprocess.run(
        [tool, "-b", str(tree), str(package)], check=True, capture_output=True, env={"PATH": "/usr/bin:/bin"}
    )
    return package


def _fake_apt(tmp_path: Path, script: str) -> None:
    """An apt-get of ours, beside the real dpkg-deb."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "apt-get").write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    (binaries / "apt-get").chmod(0o755)
    (binaries / "dpkg-deb").write_text('#!/bin/sh\nPATH=/usr/bin:/bin\nexec dpkg-deb "$@"\n')
    (binaries / "dpkg-deb").chmod(0o755)


def _got(cache: Path) -> bytes:
    found = video.vtest(Cache(cache))
    assert found.fingerprint == video.SHA256
    return (cache / video._CACHED).read_bytes()


def test_from_the_cache(tmp_path: Path) -> None:
    Cache(tmp_path / "cache").store(video._CACHED, CONTENT)
    assert _got(tmp_path / "cache") == CONTENT


@pytest.mark.parametrize("packed", [False, True])
def test_from_the_installed_package(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / "system" / video._MEMBER
    path.parent.mkdir(parents=True)
    if packed:
        path.with_name("vtest.avi.gz").write_bytes(gzip.compress(CONTENT))
    else:
        path.write_bytes(CONTENT)
    assert _got(tmp_path / "cache") == CONTENT


def test_a_damaged_cache_is_replaced(tmp_path: Path) -> None:
    Cache(tmp_path / "cache").store(video._CACHED, CONTENT[:-1])
    path = tmp_path / "system" / video._MEMBER
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert _got(tmp_path / "cache") == CONTENT


def test_from_debian(tmp_path: Path) -> None:
    package = _package(tmp_path, CONTENT)
    _fake_apt(tmp_path, f'[ "$2 $3" = "download opencv-doc" ] && cp "{package}" .')
    assert _got(tmp_path / "cache") == CONTENT


def test_from_opencv(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "served/vtest.avi").write_bytes(CONTENT)
    monkeypatch.setattr(video, "URL", f"{server}/vtest.avi")
    assert _got(tmp_path / "cache") == CONTENT


def test_every_failed_attempt_is_told(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "system" / video._MEMBER
    installed.parent.mkdir(parents=True)
    installed.write_bytes(b"another video")
    _fake_apt(tmp_path, 'echo "E: Unable to locate \033[31mpackage opencv-doc" >&2; exit 100')
    (tmp_path / "served/vtest.avi").write_bytes(b"another one still")
    monkeypatch.setattr(video, "URL", f"{server}/vtest.avi")
    with pytest.raises(EnvironmentProblem) as caught:
        video.vtest(Cache(tmp_path / "cache"))
    error = caught.value
    assert error.id == "sample-not-available"
    assert "installed opencv-doc: another file" in error.why
    assert "E: Unable to locate ?[31mpackage" in error.why
    assert "OpenCV's repository: SHA256 hash" in error.why
    assert "folder:PATH" in error.next
    assert not (tmp_path / "cache" / video._CACHED).exists()


def test_without_anything(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        video.vtest(Cache(tmp_path / "cache"))
    assert "not installed" in caught.value.why and "not a Debian system" in caught.value.why


def test_a_package_without_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = _package(tmp_path, CONTENT)
    monkeypatch.setattr(video, "_MEMBER", "usr/share/elsewhere.avi")
    _fake_apt(tmp_path, f'cp "{package}" .')
    with pytest.raises(EnvironmentProblem) as caught:
        video.vtest(Cache(tmp_path / "cache"))
    assert "does not hold vtest.avi" in caught.value.why


def test_not_a_video(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the extra `sample`", exc_type=ImportError)
    path = tmp_path / "x.avi"
    path.write_bytes(CONTENT)
    with pytest.raises(UsageError) as caught:
        list(video.VideoFile(path, "x").frames())
    assert caught.value.id == "bad-video"


@pytest.mark.slow
def test_the_real_scene(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the extra `sample`", exc_type=ImportError)
    try:
        found = video.vtest(Cache())  # the user's cache: 96 MB are not fetched for every test run
    except EnvironmentProblem as error:
        pytest.skip(f"the real video cannot be had here: {error.why}")
    source = SampleSource(
        lambda: found, video_fingerprint=found.fingerprint, seed=0, cache=Cache(tmp_path), title="vtest.avi"
    )
    parameters = scene.Parameters()
    sizes = {split: len(source.view(split, DataConfig(32, Colour.MONO))) for split in Split}
    assert sizes == {split: parameters.crops(split) for split in Split}
    assert "smoke-test scene, automatically labelled" in source.describe()["kind"]
