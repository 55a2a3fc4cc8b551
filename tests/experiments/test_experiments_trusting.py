"""The experiment on rank fidelity: its tasks, its tables, and that it runs on a tiny space."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_toy import SPACE, ToySource, config, estimate

from pipeline import boards, search
from pipeline.errors import UsageError
from pipeline.experiments.arms import packed
from pipeline.experiments.examined import OfRun, Own
from pipeline.experiments.fidelity import Bools
from pipeline.experiments.protocol import Place
from pipeline.experiments.trusting import Fidelity, Plan, Shared
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
    plan = Plan(subnets=2, steps=2, seeds=(0, 1), images=IMAGES, training=standalone.StandaloneSettings(batch=8))
    experiment = Fidelity(plan, Made())
    results = {task.name: experiment.perform(task, _place(tmp_path / task.name)) for task in experiment.tasks()}
    measured = experiment.measured(results, ToySource())
    assert measured.alone.shape == (2, 2, IMAGES) and measured.shared.shape == (1, 2, IMAGES)
    assert len(experiment.conclude(results, ToySource()).tables) == 3
    again = experiment.perform(experiment.tasks()[1], _place(tmp_path / experiment.tasks()[1].name))
    assert again["correct"] == results[experiment.tasks()[1].name]["correct"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["own", "of a run"])
def test_supernets_to_be_examined_answer_for_what_they_offer(kind: str, tmp_path: Path) -> None:
    shared: Shared
    if kind == "own":
        training = TrainingSettings(steps=1, batch=8, random_subnets=1, sharing="shared", population="space")
        scoring = ScoringSettings(calibration_images=16, validation_images=20)
        shared = Own(space=SPACE, training=training, scoring=scoring, seeds=(3,))
    else:
        ours = config(evaluations=2, scoring=ScoringSettings(calibration_images=16, validation_images=20))
        candidates = search.run(ours, ToySource(), folder=tmp_path, estimate=estimate).candidates
        shared = OfRun(tmp_path, ours, lambda _: True)
        scored = shared.answers([one.genotype for one in candidates], ours.seed, _place(tmp_path)).mean(axis=1)
        assert scored.tolist() == pytest.approx([one.scores.accuracy for one in candidates])
    assert json.loads(json.dumps(shared.identity())) == shared.identity()
    pools = shared.pools()
    assert pools == shared.pools()
    assert all(one.data == data and one in SPACE for data, pool in pools.items() for one in pool)
    subnets = [pool[0] for pool in pools.values()]
    for seed in shared.seeds:
        found = shared.answers(subnets, seed, _place(tmp_path))
        assert found.shape == (len(subnets), 20)
        assert found.dtype == np.bool_
        assert np.array_equal(found, shared.answers(subnets, seed, _place(tmp_path)))


def test_a_search_without_supernets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no trained supernet") as caught:
        OfRun(tmp_path, config(), lambda _: True)
    assert caught.value.id == "no-supernet"
