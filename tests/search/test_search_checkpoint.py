"""Checkpoints: bits kept, strangers and damage refused, the old file safe."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import EnvironmentProblem
from pipeline.search import checkpoint

ARRAYS = {"weights:a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(7)}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "c.npz"
    checkpoint.save(path, ARRAYS, {"seed": [1, 2], "rate": 0.1})
    found = checkpoint.load(path, {"rate": 0.1, "seed": (1, 2)})
    assert found is not None
    assert set(found) == set(ARRAYS)
    assert all(
        np.array_equal(found[name], array) and found[name].dtype == array.dtype for name, array in ARRAYS.items()
    )
    assert [file.name for file in path.parent.iterdir()] == ["c.npz"]


def test_other_settings_are_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    checkpoint.save(path, ARRAYS, {"seed": 1})
    assert checkpoint.load(path, {"seed": 2}) is None
    assert checkpoint.load(path) is not None
    assert checkpoint.load(tmp_path / "none.npz") is None


@pytest.mark.parametrize("keep", [0, 1, 100, 400, -1])
def test_a_damaged_file_is_no_checkpoint(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "c.npz"
    checkpoint.save(path, ARRAYS, {})
    path.write_bytes(path.read_bytes()[:keep])
    assert checkpoint.load(path, {}) is None


def test_a_failed_write_leaves_the_old_file_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.npz"
    checkpoint.save(path, ARRAYS, {})
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentProblem) as caught:
        checkpoint.save(path, ARRAYS, {"other": 1})
    assert caught.value.id == "disk-full"
    assert "No space left" in caught.value.why
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
