"""Files that survive a crash and a full disk: written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from pathlib import Path

from pipeline.errors import EnvironmentProblem, printable


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomic(path: Path, data: bytes | str) -> Path:
    """Write a file so that a crash leaves the old one or the new one, never half of one.

    Raises:
        EnvironmentProblem: ``disk-full``.
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise disk_problem(error, path) from error
    return path


def disk_problem(error: OSError, path: Path) -> EnvironmentProblem:
    """The error that a failed write means to the user."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return EnvironmentProblem(
        "disk-full" if full else "not-writable",
        f"cannot write {printable(path)}",
        why=printable(error.strerror or error),
        next="Free some space." if full else "Make the folder writable, or choose another one.",
    )
