"""OpenCV's pedestrian video vtest.avi: where it comes from, and its frames.

The file is part of OpenCV's samples (Apache License 2.0) and the same, byte for byte, in OpenCV's repository and in
Debian's package opencv-doc. Whatever its way here, it counts only with the pinned SHA-256.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import downloads, scene
from pipeline.datasets.cache import Cache
from pipeline.errors import EnvironmentProblem, UsageError, printable

SHA256 = "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf"
URL = "https://raw.githubusercontent.com/opencv/opencv/4.6.0/samples/data/vtest.avi"
SIZE = 8_131_690  # bytes

_CACHED = "sources/vtest.avi"
_MEMBER = "usr/share/doc/opencv-doc/examples/data/vtest.avi"
_ROOT = Path("/")
_SECONDS = 600  # for 96 MB over a slow line

_log = logging.getLogger(__name__)


class VideoFile:
    """A video file as :class:`scene.Video`.

    Args:
        path: A file that OpenCV can decode.
        fingerprint: Its SHA-256.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        return self._fingerprint

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Every frame in order: uint8, [height, width, 3], RGB.

        Raises:
            UsageError: ``bad-video``.
            EnvironmentProblem: ``missing-extra``.
        """
        cv2 = scene.opencv()
        capture = cv2.VideoCapture(str(self._path))
        try:
            if not capture.isOpened():
                raise UsageError("bad-video", f"OpenCV cannot decode {printable(self._path)}")
            while True:
                read, frame = capture.read()
                if not read:
                    return
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            capture.release()


class _MissedError(Exception):
    """One way to the video did not work; the text says why."""


def vtest(cache: Cache) -> VideoFile:
    """The sample video, from the nearest place that has it; kept in the cache from then on.

    Tried in turn: the cache, Debian's opencv-doc as installed, that package downloaded by apt-get (no root needed;
    96 MB), OpenCV's repository (8 MB).

    Raises:
        EnvironmentProblem: ``sample-not-available`` with the reason of each attempt; ``disk-full``,
            ``cache-not-writable``.
    """
    path = cache.path(_CACHED)
    if _sha256(path) == SHA256:
        return VideoFile(path, SHA256)
    with cache.locked(_CACHED):
        if _sha256(path) == SHA256:  # another process was first
            return VideoFile(path, SHA256)
        cache.store(_CACHED, _obtain())
    return VideoFile(path, SHA256)


def _obtain() -> bytes:
    ways: tuple[tuple[str, Callable[[], bytes]], ...] = (
        ("installed opencv-doc", _installed),
        ("apt-get download opencv-doc", _from_debian),
        ("download from OpenCV's repository", _from_opencv),
    )
    reasons = []
    for name, way in ways:
        try:
            content = way()
        except _MissedError as error:
            reasons.append(f"{name}: {printable(error)}")
            continue
        if hashlib.sha256(content).hexdigest() == SHA256:
            return content
        reasons.append(f"{name}: another file than the one expected (SHA-256 differs)")
    raise EnvironmentProblem(
        "sample-not-available",
        "the sample scene's video vtest.avi could not be had",
        why="; ".join(reasons) + ".",
        next="Connect to the internet once, or run `apt-get update`, or use --data folder:PATH.",
    )


def _installed() -> bytes:
    path = _ROOT / _MEMBER
    try:
        if path.is_file():
            return path.read_bytes()
        packed = path.with_name(path.name + ".gz")
        if packed.is_file():
            with gzip.open(packed) as file:
                return file.read(2 * SIZE)
    except (OSError, EOFError) as error:
        raise _MissedError(error) from error
    raise _MissedError("not installed, or installed without its documentation")


def _from_debian() -> bytes:
    """Download the package into a temporary folder and read the one member out of it; nothing is installed."""
    apt_get, dpkg_deb = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if not apt_get or not dpkg_deb:
        raise _MissedError("not a Debian system")
    _log.info("downloading Debian's package opencv-doc (96 MB) for the sample scene")
    try:
        with tempfile.TemporaryDirectory(prefix="danas-") as folder:
            _run([apt_get, "-q", "download", "opencv-doc"], Path(folder))
            packages = sorted(Path(folder).glob("opencv-doc_*.deb"))
            if not packages:
                raise _MissedError("apt-get left no package")
            return _member(dpkg_deb, packages[0])
    except OSError as error:
        raise _MissedError(error) from error


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise _MissedError(f"no end after {_SECONDS} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _MissedError(lines[-1] if lines else f"exit code {done.returncode}")


def _member(dpkg_deb: str, package: Path) -> bytes:
    """The video out of the package's file system archive, read as a stream so that nothing is unpacked."""
    command = [dpkg_deb, "--fsys-tarfile", str(package)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    if member.isfile() and member.name.removeprefix("./") in (_MEMBER, _MEMBER + ".gz"):
                        file = archive.extractfile(member)
                        content = b"" if file is None else file.read(2 * SIZE)
                        return gzip.decompress(content) if member.name.endswith(".gz") else content
        except (tarfile.TarError, EOFError) as error:
            raise _MissedError(f"the package cannot be read: {error}") from error
        finally:
            process.kill()  # it may still be writing what nobody reads any more
    raise _MissedError("the package does not hold vtest.avi")


def _from_opencv() -> bytes:
    _log.info("downloading vtest.avi (8 MB) from OpenCV's repository")
    try:
        return downloads.get(URL, f"sha256:{SHA256}")
    except (OSError, ValueError) as error:
        raise _MissedError(error) from error


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
