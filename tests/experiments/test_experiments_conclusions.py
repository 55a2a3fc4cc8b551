"""What each experiment concludes from made-up results, by the rule that it states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from search_toy import ToySource

from pipeline.experiments import arms, catalogue
from pipeline.experiments.comparing import volume
from pipeline.experiments.places import Profile
from pipeline.experiments.protocol import Findings, Result, Scale

IMAGES = 48
GENOTYPE = "64-rgb-d10000-a01"
NOTHING: Result = {"feasible": False, "why": "no"}


def _found(accuracy: float, *, first_at: int = 1, alone: float | None = None, ms: float | None = None) -> Result:
    """A search of four evaluations whose best comes at ``first_at``; the same images are hard for everybody."""
    right = np.arange(IMAGES) < round(accuracy * IMAGES)
    rows = [
        [number, GENOTYPE, accuracy if number == first_at else 0.3, 60_000, 20_000, 1, float(number), ms]
        for number in range(1, 5)
    ]
    winner: dict[str, Any] = {"genotype": GENOTYPE, "accuracy": accuracy, "correct": arms.packed(right)}
    if alone is not None:
        hits = arms.packed(np.arange(IMAGES) < round(alone * IMAGES))
        winner["alone"] = {"steps": 4, "accuracy": alone, "correct": hits}
    return {
        "feasible": True,
        "evaluations": 4,
        "stopped": "evaluations",
        "candidates": rows,
        "seconds": {"candidates": 4.0, "supernets": 10.0},
        "winner": winner,
    }


def _conclude(name: str, of: Callable[[str, int], Result]) -> Findings:
    experiment = catalogue.make(name, Scale.SMOKE)
    datas = ("all", "32-mono", "32-rgb", "64-mono", "64-rgb")
    results = {
        task.name: dict.fromkeys(datas, 0.5) if task.name.startswith("limits.") else of(task.name, task.seed)
        for task in experiment.tasks()
    }
    return experiment.conclude(results, ToySource())


@pytest.mark.parametrize(
    ("aware", "fixed", "wanted"),
    [
        (0.75, 0.5, "an advantage of +25.0 points"),
        (0.5, 0.75, "a disadvantage of −25.0 points"),
        (0.5, 0.5, "a null result"),
    ],
)
def test_data_aware_is_held_against_the_better_fixed_arm(aware: float, fixed: float, wanted: str) -> None:
    def of(task: str, _: int) -> Result:
        if task.startswith("data-aware."):
            return _found(aware)
        return _found(fixed) if task.startswith("fixed-64-rgb.") else _found(0.25)

    found = _conclude("data-aware-vs-hardware-aware", of)
    assert len(found.conclusion) == 3
    assert all(wanted in line and "64-rgb" in line for line in found.conclusion[:2])
    assert [row[0] for row in found.tables[0].rows][1] == "hardware-aware, 64-rgb (counts)"


def test_an_advantage_must_show_over_seeds() -> None:
    def of(task: str, seed: int) -> Result:
        return _found(0.5 + 0.25 * (seed == 0)) if task.startswith("data-aware.") else _found(0.5)

    assert "a null result, +12.5 points" in _conclude("data-aware-vs-hardware-aware", of).conclusion[0]


def test_arms_without_a_feasible_model_are_said() -> None:
    def only_aware(task: str, _: int) -> Result:
        return _found(0.5) if task.startswith("data-aware.") else NOTHING

    def only_fixed(task: str, _: int) -> Result:
        return NOTHING if task.startswith("data-aware.") else _found(0.5)

    assert "only the data-aware search" in _conclude("data-aware-vs-hardware-aware", only_aware).conclusion[0]
    assert "nothing can be compared" in _conclude("data-aware-vs-hardware-aware", only_fixed).conclusion[0]


def test_a_front_is_compared_by_its_volume() -> None:
    def of(task: str, _: int) -> Result:
        return _found({"resolution-only": 0.5, "colour-only": 0.75}.get(task.split(".", maxsplit=1)[0], 0.75))

    lines = _conclude("data-ablation", of).conclusion
    assert "resolution only (RGB): a smaller front" in lines[0]
    assert "colour only (64 pixels): no difference" in lines[1]
    profile = Profile("aot", 120_000, 40_000)
    assert volume(_found(0.75), profile) == pytest.approx(0.5 * 0.5 * 0.5)
    assert volume(NOTHING, profile) == 0


@pytest.mark.parametrize(
    ("accuracies", "wanted"),
    [((0.75, 0.75, 0.73), ": graceful"), ((0.75, 0.5, 0.5), "not graceful"), ((0.75, 0.75, None), "a failure")],
)
def test_a_fall_is_graceful_by_three_points_a_step(accuracies: tuple[float | None, ...], wanted: str) -> None:
    def of(task: str, seed: int) -> Result:
        names = ("512k-2048k", "256k-1024k", "128k-512k", "aot-16k", "aot-12k", "aot-10k")
        place = next(number for number, name in enumerate(names) if name in task) % 3
        accuracy = accuracies[place]
        return NOTHING if accuracy is None and seed else _found(0.7 if accuracy is None else accuracy)

    found = _conclude("constraint-sensitivity", of)
    assert all(wanted in line for line in found.conclusion[:2])


@pytest.mark.parametrize("name", ["supernet-vs-naive", "ours-vs-published"])
def test_what_a_scorer_saves_and_what_its_winner_is_worth(name: str) -> None:
    def of(ours: Result) -> Callable[[str, int], Result]:
        return lambda task, _: ours if task.startswith("supernet.") else _found(0.5, first_at=4, alone=0.5)

    quick = _conclude(name, of(_found(0.75, first_at=1, alone=0.75))).conclusion
    assert "75% fewer evaluations; the bar of 75% is reached" in quick[0]
    assert "A search took 14 s with supernets" in quick[1]
    assert "winners are better, +25.0 points" in quick[2]
    slow = _conclude(name, of(_found(0.75, first_at=4, alone=0.5))).conclusion
    assert "0% fewer evaluations; the bar of 75% is missed" in slow[0]
    assert "no difference between the winners" in slow[2]
    never = _conclude(name, of(_found(0.25, alone=0.25))).conclusion
    assert "does not reach" in never[0]
    assert "winners are worse" in never[2]
    assert "cannot be compared" in _conclude(name, of(NOTHING)).conclusion[2]


def test_a_change_matters_or_nothing_is_concluded() -> None:
    def of(task: str, _: int) -> Result:
        return _found(0.25) if task.startswith("mutation-20.") else _found(0.5)

    lines = _conclude("ablation", of).conclusion
    assert [line.split("(")[0] for line in lines if "matters" in line] == ["mutation 20 % matters: −25.0 points "]
    assert "a null result" in _conclude("ablation", lambda *_: _found(0.5)).conclusion[0]


@pytest.mark.parametrize(
    ("limited", "wanted"),
    [(_found(0.25, ms=9.0), "costs accuracy"), (_found(0.5, ms=9.0), "a null result"), (NOTHING, "a failure")],
)
def test_a_limit_on_latency_costs_or_not(limited: Result, wanted: str) -> None:
    found = _conclude("latency-limit", lambda task, _: _found(0.5, ms=30.0) if "no-limit" in task else limited)
    assert wanted in found.conclusion[0]
    assert found.tables[0].rows[0][3].startswith("30.0")
