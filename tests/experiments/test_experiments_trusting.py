"""The experiment on rank fidelity: its tasks, its tables, and that it runs on a tiny space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_toy import COUNTS, SPACE, ToySource, config, estimate

from pipeline import boards
from pipeline.errors import UsageError
from pipeline.experiments.arms import packed
from pipeline.experiments.examined import OfRun, Own
from pipeline.experiments.fidelity import Bools
from pipeline.experiments.protocol import Place
from pipeline.experiments.trusting import Fidelity, Plan
from pipeline.genotype import DataConfig, Genotype
from pipeline.search import ScoringSettings, TrainingSettings, standalone

IMAGES = 48
PLAN = Plan(subnets=4, steps=3, seeds=(0, 1), images=IMAGES)


class Made:
    """Answers that were made up: the more work, the more are right."""

    seeds: tuple[int, ...] = (0,)

    def identity(self) -> Mapping[str, Any]:
        """Nothing."""
        return {"kind": "made"}

    def pools(self) -> Mapping[DataConfig, Sequence[Genotype]]:
        """All of the toy space."""
        return {data: list(SPACE.of(data)) for data in SPACE.data}

    def answers(self, subnets: Sequence[Genotype], seed: int, place: Place) -> Bools:
        """A third of the images, and one more for each subnet."""
        found: Bools = np.arange(IMAGES) < 16 + np.arange(len(subnets))[:, None]
        return found


def _place(folder: Path) -> Place:
    return Place(ToySource(), boards.load("nucleo_f746zg"), folder, folder / "supernets", lambda _: None)


def test_tasks_are_the_supernets_and_each_subnet_with_each_seed() -> None:
    experiment = Fidelity(PLAN, Made())
    names = [task.name for task in experiment.tasks()]
    assert names == ["supernet.0", *(f"{one.id}.{seed}" for seed in (0, 1) for one in experiment.subnets)]
    assert len(set(names)) == 9
    longer = Fidelity(Plan(subnets=4, steps=4, seeds=(0, 1), images=IMAGES), Made())
    changed = [a.identity != b.identity for a, b in zip(experiment.tasks(), longer.tasks(), strict=True)]
    assert changed == [False, *8 * [True]]


def test_conclusion_says_what_was_reached() -> None:
    experiment = Fidelity(PLAN, Made())
    rows = Made().answers(experiment.subnets, 0, None)  # type: ignore[arg-type]
    results: dict[str, Any] = {
        "supernet.0": {
            "correct": {one.id: packed(row) for one, row in zip(experiment.subnets, rows, strict=True)},
            "seconds": 60.0,
        }
    }
    for seed in (0, 1):
        for number, one in enumerate(experiment.subnets):
            more = np.arange(IMAGES) < rows[number].sum() + 1
            results[f"{one.id}.{seed}"] = {"correct": packed(more), "seconds": 2.0}
    found = experiment.conclude(results, ToySource())
    assert found.values["all"]["spearman"]["value"] == pytest.approx(1)
    assert found.values["all"]["gap"]["value"] == pytest.approx(1 / IMAGES)
    assert [table.title for table in found.tables][:2] == ["Ranks", "Trained alone less by supernet, points"]
    assert [row[0] for row in found.tables[0].rows] == ["all", "32-mono", "32-rgb"]
    assert [row[0] for row in found.tables[2].rows] == [one.id for one in experiment.subnets]
    assert "reached" in found.conclusion[0] and "Gap: +2.1" in found.conclusion[1]
    assert found.plots["fidelity.svg"].count("<circle") == 4


@pytest.mark.slow
def test_trains_scores_and_concludes(tmp_path: Path) -> None:
    training = TrainingSettings(steps=2, batch=8, random_subnets=1, sharing="shared", population="space")
    scoring = ScoringSettings(calibration_images=16, validation_images=IMAGES)
    plan = Plan(subnets=2, steps=2, seeds=(0, 1), images=IMAGES, training=standalone.StandaloneSettings(batch=8))
    experiment = Fidelity(plan, Own(space=SPACE, training=training, scoring=scoring, seeds=(0,)))
    results = {task.name: experiment.perform(task, _place(tmp_path / task.name)) for task in experiment.tasks()}
    measured = experiment.measured(results, ToySource())
    assert measured.alone.shape == (2, 2, IMAGES) and measured.shared.shape == (1, 2, IMAGES)
    assert len(experiment.conclude(results, ToySource()).tables) == 3
    again = experiment.perform(experiment.tasks()[0], _place(tmp_path / "supernet.0"))
    assert again["correct"] == results["supernet.0"]["correct"]


@pytest.mark.slow
def test_a_runs_supernets_score_as_its_search_did(tmp_path: Path) -> None:
    from pipeline import search

    ours = config(evaluations=3)
    found = search.run(ours, ToySource(), folder=tmp_path, estimate=estimate)
    shared = OfRun(tmp_path, ours, lambda _: True)
    assert all(one.data.id in found.supernets for pool in shared.pools().values() for one in pool)
    candidates = found.candidates
    answers = shared.answers([one.genotype for one in candidates], ours.seed, _place(tmp_path))
    assert answers.shape == (len(candidates), COUNTS["validation"])  # type: ignore[index]
    assert answers.mean(axis=1).tolist() == pytest.approx([one.scores.accuracy for one in candidates])


def test_a_search_without_supernets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no trained supernet") as caught:
        OfRun(tmp_path, config(), lambda _: True)
    assert caught.value.id == "no-supernet"
