"""What holds for every experiment: run with scores that a formula gives, killed, resumed, and concluded from."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from search_toy import ToySource

from pipeline.boards import Board
from pipeline.datasets import DatasetSource, Split
from pipeline.experiments import arms, catalogue, examined, runner
from pipeline.experiments.protocol import Experiment, Place, Result, Scale, Task
from pipeline.genotype import Genotype
from pipeline.progress import QuietDisplay
from pipeline.search import Candidate, Phase, Progress, Scores, SearchConfig, engine, samplers, standalone
from pipeline.search.feasibility import Estimator, Feasibility
from pipeline.search.progress import Listener


def by_formula(
    config: SearchConfig,
    source: DatasetSource,
    *,
    folder: Path,
    estimate: Estimator,
    progress: Listener,
    supernets: Path,
) -> engine.SearchResult:
    """A search without a network or a study: larger is better, with noise of the genotype's and the seed's own."""
    assert folder.name == "search"
    assert supernets.name == f"seed-{config.seed}"
    feasibility = Feasibility(config.space, estimate, config.limits, soft=config.soft, fix=config.fix)
    feasibility.demand()
    sampler = samplers.make(config.strategy, feasibility, seed=config.seed, evolution=config.evolution)
    history: list[Candidate] = []
    while len(history) < (config.evaluations or 0) and (genotype := sampler.propose(history)) is not None:
        noise = np.random.default_rng([config.seed, genotype.seed]).random()
        accuracy = 0.5 + genotype.data.resolution / 640 + genotype.alpha / 2 + noise / 10
        scores = Scores(accuracy=accuracy, precision=accuracy, recall=accuracy)
        figures = feasibility.estimate(genotype)
        history.append(
            Candidate(
                proposal=len(history),
                genotype=genotype,
                scores=scores,
                fitness=config.fitness(scores, figures, config.limits),
                feasible=feasibility.fits(genotype),
                estimate=figures,
            )
        )
        progress(_progress(Phase.SUPERNET, len(history) - 1, config))
        progress(_progress(Phase.CANDIDATE, len(history), config))
    found = config.objectives.best_first(history)
    return engine.SearchResult(
        candidates=found,
        front=found[:1],
        evaluations=len(history),
        supernets=(),
        waiting={},
        stopped="evaluations" if len(history) == config.evaluations else "exhausted",
        seconds=0.0,
    )


def _progress(phase: Phase, evaluations: int, config: SearchConfig) -> Progress:
    return Progress(
        phase=phase,
        subject="shared",
        evaluations=evaluations,
        evaluations_of=config.evaluations,
        best=None,
        elapsed=0.0,
        left=None,
    )


class _Guess:
    """What is "trained alone"."""

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.stack([np.zeros(len(images)), images.mean(axis=(1, 2, 3)) - 85], axis=1).astype(np.float32)


def _answers(own: examined.Own, subnets: Sequence[Genotype], seed: int, place: Place) -> NDArray[np.bool_]:
    """What a supernet is said to get right: more, the wider a subnet is."""
    count = len(place.source.groups(Split.VALIDATION)[: own.scoring.validation_images])
    return np.stack([np.random.default_rng([seed, one.seed]).random(count) < 0.5 + one.alpha / 2 for one in subnets])


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
def without_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "run", by_formula)
    monkeypatch.setattr(standalone, "train", lambda *_, **__: _Guess())
    monkeypatch.setattr(examined.Own, "answers", _answers)


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


@pytest.mark.slow
@pytest.mark.usefixtures("without_networks")
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


@pytest.mark.slow
@pytest.mark.usefixtures("without_networks")
def test_experiments_share_what_they_have_in_common(tmp_path: Path, board: Board) -> None:
    one = _run(catalogue.make("data-aware-vs-hardware-aware", Scale.SMOKE), tmp_path, board)
    before = set((tmp_path / "work" / "tasks").glob("*.json"))
    other = _run(catalogue.make("data-ablation", Scale.SMOKE), tmp_path, board)
    shared = {name for name in other.contents["results"] if name in one.contents["results"]}
    assert any(name.startswith("data-aware.") for name in shared)
    assert len(set((tmp_path / "work" / "tasks").glob("*.json")) - before) == len(other.contents["results"]) - len(
        shared
    )
    for name in shared:
        assert other.contents["results"][name] == one.contents["results"][name]


@pytest.mark.slow
@pytest.mark.usefixtures("without_networks")
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
