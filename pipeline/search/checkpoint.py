"""Arrays on disk, with the settings they belong to; a file is either the old one or the new one, never a part."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EnvironmentProblem, printable

_META = "meta.json"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its final place, flush it to the disk and rename it.

    Raises:
        EnvironmentProblem: ``cannot-write``: disk full, no permission …; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise EnvironmentProblem(
            "cannot-write",
            f"cannot write {printable(path)}",
            why=printable(error.strerror or error),
            next="Free some space, then resume the run.",
        ) from error


def save(path: Path, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write arrays and their settings to an ``.npz`` file, atomically."""
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, **{_META: text}, **{name: np.asarray(a) for name, a in arrays.items()})
    write_atomically(path, buffer.getvalue())


def load(path: Path, meta: Mapping[str, Any] | None = None) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file written with the same settings (None: any).

    Returns None if there is no such file, or if it is another's or damaged.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            if meta is not None and json.loads(stored[_META].tobytes()) != json.loads(json.dumps(meta)):
                return None
            return {name: stored[name] for name in stored.files if name != _META}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
