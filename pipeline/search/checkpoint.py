"""Arrays on disk, with the settings they belong to; a file is either the old one or the new one, never a part."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.files import write_atomic

_META = "meta.json"
#: Before the names of weights, beside optimizer state and the like.
WEIGHTS = "weights:"


def save(path: Path, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write arrays and their settings to an ``.npz`` file, atomically.

    Raises:
        EnvironmentProblem: ``disk-full`` or ``not-writable``; the old file is untouched.
    """
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, **{_META: text}, **{name: np.asarray(a) for name, a in arrays.items()})
    write_atomic(path, buffer.getvalue())


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


def weights(path: Path) -> dict[str, NDArray[Any]] | None:
    """The weights in a file of any settings, by parameter name; None as for :func:`load`."""
    arrays = load(path)
    if arrays is None:
        return None
    return {name.removeprefix(WEIGHTS): array for name, array in arrays.items() if name.startswith(WEIGHTS)}
