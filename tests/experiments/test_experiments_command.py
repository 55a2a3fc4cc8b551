"""``danas-deploy experiment`` with real networks, killed in the middle and taken up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.__main__ import run
from pipeline.experiments import arms
from pipeline.search import Progress


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of dark and bright squares, three to a frame."""
    monkeypatch.setenv("DANAS_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("validation", 12)):
        for label in ("bright", "dark"):
            folder = tmp_path / "squares" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 160, (64, 64, 3)).astype(np.uint8)
                pixels[16:48, 16:48] += 80 * (label == "bright")
                Image.fromarray(pixels).save(folder / f"{split}_{label}{number // 3}_{number}.png")
    return tmp_path / "squares"


def _experiment(name: str, images: Path, folder: Path) -> list[str]:
    return [
        *("experiment", name, "--scale", "smoke", "--data", f"folder:{images}", "--group-by", "^([^_]+_[^_]+)_"),
        *("--folder", str(folder / "work"), "--results", str(folder / "results"), "--quiet", "--json"),
    ]


def _results(folder: Path, name: str) -> dict[str, Any]:
    """Of every task, without what a clock said."""
    journal = json.loads((folder / "results" / f"{name}-smoke" / "journal.json").read_text(encoding="utf-8"))
    found = dict(journal["results"])
    for result in found.values():
        result.pop("seconds", None)
        for row in result.get("candidates", ()):
            del row[arms.Row._fields.index("seconds")]
    return found


@pytest.mark.slow
def test_a_killed_experiment_ends_as_one_that_was_not(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "ours-vs-published"
    assert run(_experiment(name, images, tmp_path / "whole")) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["experiment"] == name
    assert "--data folder:squares --group-by '^([^_]+_[^_]+)_'" in shown["command"]
    assert shown["data"]["grouped_by"] == "^([^_]+_[^_]+)_"

    heard = 0
    listen = arms.Clock.__call__

    def killed(clock: arms.Clock, progress: Progress) -> None:
        nonlocal heard
        heard += 1
        if heard in (3, 14):  # while a supernet is trained, and in the published search
            raise KeyboardInterrupt
        listen(clock, progress)

    monkeypatch.setattr(arms.Clock, "__call__", killed)
    codes: list[int] = []
    while not codes or codes[-1] == 130:
        codes.append(run(_experiment(name, images, tmp_path / "killed")))
    assert codes == [130, 130, 0]
    assert _results(tmp_path / "killed", name) == _results(tmp_path / "whole", name)


def test_what_there_is_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["experiment", "list", "--scale", "full", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed][:3] == [
        "data-aware-vs-hardware-aware",
        "data-ablation",
        "constraint-sensitivity",
    ]
    assert all(one["question"].endswith("?") and one["rule"] and one["tasks"] for one in listed)
    assert run(["experiment", "list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(listed)


def test_images_below_a_scale_are_refused(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = _experiment("ablation", images, tmp_path)
    command[command.index("smoke")] = "small"
    assert run(command) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["id"] == "images-too-small"
    assert "96 px" in error["what"]
    assert not (tmp_path / "work").exists()
