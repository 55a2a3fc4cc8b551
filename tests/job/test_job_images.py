"""Images that a search cannot use, or not at every resolution: told before there is a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from pipeline import search
from pipeline.__main__ import run
from pipeline.datasets import DatasetSource, quality
from pipeline.errors import UsageError
from pipeline.estimate.model import Limits
from pipeline.job import finding
from pipeline.settings import Kind, Settings, parse_fix

LIMITS = Limits(ram_bytes=2**20, flash_bytes=2**20)


class Sides:
    """A source whose images are of these sides."""

    name = "sides"

    def __init__(self, *sides: int) -> None:
        self._sides = sides

    def describe(self) -> dict[str, Any]:
        return {"smaller": quality.smaller(self._sides)}


def _usable(space: search.Space, *sides: int, **settings: Any) -> list[int]:
    chosen = Settings(kind=Kind.SEARCH, board="nucleo_f746zg", **settings)
    found = finding.usable(space, chosen, cast(DatasetSource, Sides(*sides)))
    assert type(found) is type(space)
    return sorted({data.resolution for data in found.data})


@pytest.mark.parametrize("name", ["paper", "wide"])
def test_upsampled_resolutions_are_left_out_unless_asked_for(name: str) -> None:
    space = search.full(LIMITS, space=name).space
    every = sorted({data.resolution for data in space.data})
    assert _usable(space, 160) == [one for one in every if one <= 160]
    assert _usable(space, 160, allow_upsampling=True) == every
    assert _usable(space, 1000) == every
    with pytest.raises(UsageError) as caught:
        _usable(space, 31)
    assert caught.value.id == "images-too-small" and "--allow-upsampling" in caught.value.next


def test_a_resolution_that_is_fixed_is_judged_too() -> None:
    space = search.full(LIMITS, space="paper").space
    with pytest.raises(UsageError) as caught:
        _usable(space, 160, fix=parse_fix("resolution=192"))
    assert caught.value.id == "images-too-small" and "192 px" in caught.value.what
    assert 192 in _usable(space, 160, fix=parse_fix("resolution=192"), allow_upsampling=True)


def test_images_that_are_too_small_end_before_there_is_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANAS_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(40):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    folder = tmp_path / "run"
    options = ["--board", "nucleo_f746zg", "--data", f"folder:{tmp_path / 'images'}", "--run", str(folder), "--json"]
    assert run(["search", *options]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["id"] == "images-too-small"
    assert not folder.exists()
