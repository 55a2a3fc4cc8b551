"""The private cache on disk: whole files or none, for several processes at once.

A file is written beside its place under a temporary name, synced, then moved: a reader sees a complete file or none,
whatever killed the writer. Writers of one file take turns by a lock that the kernel drops when its holder dies; what
a dead writer left behind goes when the next one comes. Contents are written with plain writes, never through a memory
map: a full disk is then an error that can be reported, where a memory map would end the process with SIGBUS.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.lib import format as npy
from numpy.typing import NDArray
from platformdirs import user_cache_path

from pipeline.errors import EnvironmentProblem, printable

ENVIRONMENT_VARIABLE = "DANAS_CACHE"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TEMPORARY = ".part-"


def default_root() -> Path:
    """``$DANAS_CACHE``, or the user's cache folder."""
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(named).expanduser() if named else user_cache_path("danas-deploy")


class Cache:
    """Files below one folder, each written once.

    Args:
        root: The folder; created when first written to. Without it, :func:`default_root`.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = (default_root() if root is None else root).absolute()

    def path(self, relative: str) -> Path:
        """Where a file of the cache is, or would be."""
        return self.root / relative

    def array(
        self, relative: str, shape: tuple[int, ...], rows: Callable[[], Iterator[NDArray[np.uint8]]]
    ) -> NDArray[np.uint8]:
        """A uint8 array as a read-only memory map of ``relative``, written first where it is missing or not sound.

        Args:
            relative: The file's place below the root; ends in ``.npy``.
            shape: What the array must have; a file of another shape or length is written anew.
            rows: Called only when the file must be written; gives ``shape[0]`` arrays of ``shape[1:]``.

        Raises:
            EnvironmentProblem: ``disk-full``, ``cache-not-writable``.
        """
        path = self.path(relative)
        found = _open_array(path, shape)
        if found is not None:
            return found
        with self.locked(relative):
            found = _open_array(path, shape)  # somebody else may have written it while we waited
            if found is not None:
                return found
            self._write(path, _array_chunks(shape, rows))
        found = _open_array(path, shape)
        if found is None:
            raise EnvironmentProblem(
                "cache-not-writable",
                f"the cache file {printable(path)} is gone or changed right after it was written",
                next="Run again; if it comes back, choose another cache folder with DANAS_CACHE.",
            )
        return found

    def store(self, relative: str, content: bytes) -> Path:
        """Write a small file; the last writer wins, and no reader ever sees half of it.

        Raises:
            EnvironmentProblem: ``disk-full``, ``cache-not-writable``.
        """
        path = self.path(relative)
        with self._reported(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(path, iter((content,)))
        return path

    def discard(self, relative: str) -> None:
        """Remove a file, where it is there.

        Raises:
            EnvironmentProblem: ``cache-not-writable``.
        """
        path = self.path(relative)
        with self._reported(path):
            path.unlink(missing_ok=True)

    @contextmanager
    def locked(self, relative: str) -> Generator[None]:
        """Hold the right to write ``relative``; waits while another process holds it.

        Raises:
            EnvironmentProblem: ``disk-full``, ``cache-not-writable``.
        """
        path = self.path(relative)
        lock = FileLock(path.with_name(path.name + ".lock"))
        with self._reported(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock.acquire()
        try:
            with self._reported(path):
                for left in path.parent.glob(f"{path.name}{_TEMPORARY}*"):
                    left.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def _write(self, path: Path, chunks: Iterator[bytes | NDArray[np.uint8]]) -> None:
        temporary = path.with_name(f"{path.name}{_TEMPORARY}{os.getpid()}-{os.urandom(4).hex()}")
        try:
            with self._reported(path):
                file = temporary.open("wb", buffering=0)
            with file:
                # The chunks come from outside this block's concern: only our own writes are reported as the cache's.
                for chunk in chunks:
                    with self._reported(path):
                        _write_all(file, chunk if isinstance(chunk, bytes) else np.ascontiguousarray(chunk).tobytes())
                with self._reported(path):
                    os.fsync(file.fileno())
            with self._reported(path):
                temporary.replace(path)
                _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _reported(self, path: Path) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise self._problem(path, error) from error

    def _problem(self, path: Path, error: OSError) -> EnvironmentProblem:
        if error.errno in _FULL:
            return EnvironmentProblem(
                "disk-full",
                f"no space left while writing {printable(path)}",
                why=printable(error.strerror or error),
                next=f"Free some space below {printable(self.root)}, or choose another folder with DANAS_CACHE.",
            )
        return EnvironmentProblem(
            "cache-not-writable",
            f"the cache file {printable(path)} cannot be written",
            why=printable(error.strerror or error),
            next="Make the folder writable, or choose another one with DANAS_CACHE.",
        )


def _array_chunks(
    shape: tuple[int, ...], rows: Callable[[], Iterator[NDArray[np.uint8]]]
) -> Iterator[bytes | NDArray[np.uint8]]:
    """An .npy file piece by piece: NumPy's header, then one row after the other."""
    header = _Collector()
    npy.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    yield bytes(header.content)
    count = 0
    for row in rows():
        if row.dtype != np.uint8 or row.shape != shape[1:]:
            raise ValueError(f"row {count} is {row.dtype} {row.shape}, not uint8 {shape[1:]}")
        count += 1
        yield row
    if count != shape[0]:
        raise ValueError(f"{count} rows, not {shape[0]}")


def _write_all(file: FileIO, content: bytes) -> None:
    """Unbuffered, so that a full disk shows here and not a second time when the file is closed."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


class _Collector:
    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, piece: bytes) -> int:
        self.content += piece
        return len(piece)


def _open_array(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The file as a memory map, or None where it is missing, cut short or of another shape."""
    try:
        array: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def _sync_folder(folder: Path) -> None:
    """Make a move durable: on Linux the folder's own entry must reach the disk as well."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
