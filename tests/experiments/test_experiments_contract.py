"""What holds for every experiment: run with scores that a formula gives, killed, resumed, and concluded from."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pipeline.search.config import SearchConfig
from search_toy import ToySource

from pipeline.boards import Board
from pipeline.datasets import DatasetSource
from pipeline.experiments import arms, catalogue, runner
from pipeline.experiments.protocol import Experiment, Place, Result, Scale, Task
from pipeline.genotype import Genotype
from pipeline.progress import QuietDisplay
from pipeline.search import Scores, scorers, standalone
from pipeline.search.training import Step


class Formula:
    """A scorer without a network: larger is better, with noise of the genotype's and the seed's own."""

    name = "formula"
    steps = 1

    def __init__(self, config: SearchConfig, *_: object) -> None:
        self._seed = config.seed

    def identity(self) -> dict[str, Any]:
        return {}

    def subject(self, genotype: Genotype) -> str:
        return genotype.data.id

    def score(self, genotype: Genotype, *, report: Callable[[Step], None], **_: object) -> Scores:
        report(Step(1, 0.5, 0.5))
        noise = np.random.default_rng([self._seed, genotype.seed]).random()
        accuracy = 0.5 + genotype.data.resolution / 640 + genotype.alpha / 2 + noise / 10
        return Scores(accuracy=accuracy, precision=accuracy, recall=accuracy)


class _Guess:
    """What is "trained alone"."""

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.stack([np.zeros(len(images)), images.mean(axis=(1, 2, 3)) - 85], axis=1).astype(np.float32)


class Killed:
    """An experiment that is killed before a task."""

    def __init__(self, experiment: Experiment, at: str) -> None:
        self._experiment = experiment
        self._at = at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._experiment, name)

    def perform(self, task: Task, place: Place) -> Result:
        """All but one."""
        if task.name == self._at:
            raise KeyboardInterrupt
        return self._experiment.perform(task, place)


@pytest.fixture
def by_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in scorers.NAMES:
        monkeypatch.setitem(scorers._MAKERS, name, Formula)
    monkeypatch.setattr(standalone, "train", lambda *_, **__: _Guess())


def _run(experiment: Experiment, folder: Path, board: Board, source: DatasetSource | None = None) -> runner.Written:
    return runner.run(
        experiment,
        Scale.SMOKE,
        ToySource() if source is None else source,
        board,
        folder=folder / "work",
        results=folder / "results",
        display=QuietDisplay(),
    )


@pytest.mark.parametrize("scale", Scale)
@pytest.mark.parametrize("name", catalogue.EXPERIMENTS)
def test_tasks_are_the_same_each_time_and_named_for_files(name: str, scale: Scale) -> None:
    experiment, again = catalogue.make(name, scale), catalogue.make(name, scale)
    tasks = experiment.tasks()
    assert tasks == again.tasks()
    assert len({task.name for task in tasks}) == len(tasks)
    assert all(re.fullmatch(r"[a-z0-9.-]+", task.name) for task in tasks)
    assert len({json.dumps([task.seed, task.identity], sort_keys=True) for task in tasks}) == len(tasks)
    assert experiment.question.endswith("?")
    json.dumps(experiment.settings())


@pytest.mark.usefixtures("by_formula")
@pytest.mark.parametrize("name", catalogue.EXPERIMENTS)
def test_an_experiment_concludes_and_a_killed_one_to_the_same(name: str, tmp_path: Path, board: Board) -> None:
    experiment = catalogue.make(name, Scale.SMOKE)
    whole = _run(experiment, tmp_path / "whole", board)
    tasks = experiment.tasks()
    with pytest.raises(KeyboardInterrupt):
        _run(Killed(experiment, tasks[len(tasks) // 2].name), tmp_path / "killed", board)
    resumed = _run(experiment, tmp_path / "killed", board)
    for key in ("question", "rule", "settings", "command"):
        assert resumed.contents[key] == whole.contents[key]
    assert _timeless(resumed.contents["results"]) == _timeless(whole.contents["results"])
    assert [path.name for path in resumed.plots] == [path.name for path in whole.plots]
    assert whole.contents["conclusion"]
    assert whole.contents["tables"]
    assert whole.plots
    for plot in whole.plots:
        ET.fromstring(plot.read_text(encoding="utf-8"))  # noqa: S314  # ours
    assert whole.journal.stat().st_size < runner.LARGEST_JOURNAL
    assert str(tmp_path) not in whole.journal.read_text(encoding="utf-8")


@pytest.mark.usefixtures("by_formula")
def test_experiments_share_what_they_have_in_common(tmp_path: Path, board: Board) -> None:
    one = _run(catalogue.make("data-aware-vs-hardware-aware", Scale.SMOKE), tmp_path, board)
    before = set((tmp_path / "work" / "tasks").iterdir())
    other = _run(catalogue.make("data-ablation", Scale.SMOKE), tmp_path, board)
    shared = {name for name in other.contents["results"] if name in one.contents["results"]}
    assert any(name.startswith("data-aware.") for name in shared)
    assert len(set((tmp_path / "work" / "tasks").iterdir()) - before) == len(other.contents["results"]) - len(shared)
    for name in shared:
        assert other.contents["results"][name] == one.contents["results"][name]


@pytest.mark.usefixtures("by_formula")
def test_the_arms_are_what_they_are_called(tmp_path: Path, board: Board) -> None:
    found = _run(catalogue.make("data-aware-vs-hardware-aware", Scale.SMOKE), tmp_path, board).contents
    budget = found["settings"]
    assert budget["seeds"] == [0, 1]
    for name, result in found["results"].items():
        if name.startswith("limits.") or not result["feasible"]:
            continue
        rows = arms.rows(result)
        limits = budget["limits"][name.split(".")[1]]
        assert all(row.ram <= limits["ram_bytes"] and row.flash <= limits["flash_bytes"] for row in rows)
        assert [row.number for row in rows] == list(range(1, result["evaluations"] + 1))
        assert result["winner"]["accuracy"] == max(row.accuracy for row in rows)
        if name.startswith("fixed-"):
            data = name.split(".")[0].removeprefix("fixed-")
            assert {Genotype.parse(row.genotype).data.id for row in rows} == {data}


def test_a_curve_goes_on_between_feasible_candidates() -> None:
    rows = [[2, "a", 0.6, 1, 1, 1, None, None], [4, "b", 0.5, 1, 1, 1, None, None], [5, "c", 0.7, 1, 1, 1, 9.0, None]]
    result = {"candidates": rows, "evaluations": 7}
    assert arms.curve(result) == [(2, 0.6), (3, 0.6), (4, 0.6), (5, 0.7), (6, 0.7), (7, 0.7)]
    assert arms.reaches(result, 0.65) == 5
    assert arms.reaches(result, 0.75) is None
    assert arms.curve({"feasible": False, "why": ""}) == []


def test_hits_are_kept_whole() -> None:
    hits = np.random.default_rng(0).random((3, 37)) < 0.5
    assert [arms.unpacked(arms.packed(row)).tolist() for row in hits] == hits.tolist()


def _timeless(value: Any) -> Any:
    """Without what a clock said."""
    if isinstance(value, dict):
        return {
            key: [row[:6] + row[7:] for row in one] if key == "candidates" else _timeless(one)
            for key, one in value.items()
            if key != "seconds"
        }
    return value
