"""Final training: what it keeps, how long it is planned, and that a killed one goes on with the same bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_toy import MONO, ToySource

from pipeline.datasets import Split
from pipeline.genotype import Genotype
from pipeline.quantize import QuantizeSettings, finishing
from pipeline.quantize.settings import steps as steps_of
from pipeline.search import layers, standalone, subnet, training
from pipeline.search.fitness import Scores

GENOTYPE = Genotype.parse("32-mono-d00000-a02")
SETTINGS = QuantizeSettings(batch=16, calibration_images=32)
STEPS = 60


@given(epochs=st.integers(0, 50), images=st.integers(1, 5000), batch=st.integers(2, 128))
def test_so_many_epochs_are_seen_whole(epochs: int, images: int, batch: int) -> None:
    assert 0 <= steps_of(epochs, images, batch) * batch - epochs * images < batch


@pytest.mark.parametrize(
    "wrong",
    [
        {"final_epochs": -1},
        {"batch": 1},
        {"rate": 0},
        {"decay": -0.1},
        {"smoothing": 1},
        {"distillation": 2},
        {"tolerance": -1.1},
        {"qat_epochs": 0},
        {"qat_rate": -1},
        {"calibration_images": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"negative|at least|positive|within"):
        QuantizeSettings(**wrong)  # type: ignore[arg-type]


def test_the_final_training_takes_its_settings_over() -> None:
    chosen = dataclasses.replace(SETTINGS, rate=1e-4, decay=0.25, smoothing=0.125, distillation=0.75).standalone
    assert (chosen.rate, chosen.decay, chosen.smoothing, chosen.distillation) == (1e-4, 0.25, 0.125, 0.75)
    assert (chosen.batch, chosen.calibration_images) == (16, 32)


class KilledError(Exception):
    """Stands for SIGKILL: nothing is done after it."""


@pytest.fixture(scope="module")
def inherited() -> subnet.Subnet:
    return settled(3)


def settled(seed: int) -> subnet.Subnet:
    images = ToySource().view(Split.TRAIN, MONO).images[:32]
    return subnet.settle(layers.initial(layers.parameters(GENOTYPE, 2), (seed,)), GENOTYPE, 2, images)


def finish(network: subnet.Subnet, file: Path, **changes: Any) -> finishing.Finished:
    given = {"teacher": None, "steps": STEPS, "settings": SETTINGS, "seed": 1, "meta": {}, "balanced": False, **changes}
    return finishing.finish(
        network, ToySource(), validation=ToySource().view(Split.VALIDATION, MONO), file=file, **given
    )


def train(network: subnet.Subnet, file: Path, *, kill_at: int | None = None) -> finishing.Finished:
    def report(step: training.Step) -> None:
        if step.number == kill_at:
            raise KilledError

    return finish(network, file, teacher=finishing.Teacher(settled(4)), report=report)


@pytest.mark.slow
def test_a_killed_training_goes_on_with_the_same_bits(inherited: subnet.Subnet, tmp_path: Path) -> None:
    whole = train(inherited, tmp_path / "whole.npz")
    with pytest.raises(KilledError):
        train(inherited, tmp_path / "killed.npz", kill_at=53)  # behind the checkpoint at 50
    resumed = train(inherited, tmp_path / "killed.npz")
    assert (whole.steps, whole.of, resumed.steps) == (STEPS, STEPS, STEPS)
    assert (resumed.inherited, resumed.trained, resumed.kept) == (whole.inherited, whole.trained, whole.kept)
    assert same(resumed.network, whole.network)
    again = train(inherited, tmp_path / "killed.npz", kill_at=1)  # done already: no step is made
    assert again.steps == STEPS
    assert same(again.network, whole.network)


def same(one: subnet.Subnet, other: subnet.Subnet) -> bool:
    return all(np.array_equal(one.weights[name], values) for name, values in other.weights.items())


def trainer(made: subnet.Subnet) -> Callable[..., subnet.Subnet]:
    """Stands for :func:`standalone.train`: as many steps as it may, and always the same network."""

    def trained(_genotype: Genotype, _source: ToySource, *, steps: int, **given: Any) -> subnet.Subnet:
        for number in range(steps):
            if given["keep_going"] is not None and not given["keep_going"]():
                break
            given["report"](training.Step(number + 1, 0.5, 0.5))
        return made

    return trained


def scoring(accuracies: Iterator[float]) -> Callable[..., Scores]:
    return lambda *_: Scores(next(accuracies), 0.5, 0.25)


@pytest.mark.parametrize(("accuracies", "kept"), [((0.9, 0.8), False), ((0.9, 0.9), True), ((0.8, 0.9), True)])
def test_training_that_makes_it_worse_is_not_kept(
    accuracies: tuple[float, float], kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = (subnet.Subnet(GENOTYPE, 2, {}, {}) for _ in accuracies)
    monkeypatch.setattr(subnet.Subnet, "scores", scoring(iter(accuracies)))
    monkeypatch.setattr(standalone, "train", trainer(after))
    found = finish(before, tmp_path / "f.npz", steps=2)
    assert (found.kept, found.inherited, found.trained) == (kept, *accuracies)
    assert found.accuracy == max(accuracies)
    assert found.network is (after if kept else before)


def test_where_one_class_is_rare_classes_count_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = subnet.Subnet(GENOTYPE, 2, {}, {})
    monkeypatch.setattr(subnet.Subnet, "scores", scoring(iter([0.9, 0.9])))
    assert finish(network, tmp_path / "f.npz", steps=0, balanced=True).accuracy == 0.25
    assert finish(network, tmp_path / "f.npz", steps=0).accuracy == 0.9


def test_a_training_that_is_stopped_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, network = iter(range(100)), subnet.Subnet(GENOTYPE, 2, {}, {})
    monkeypatch.setattr(subnet.Subnet, "scores", scoring(iter([0.9, 0.9])))
    monkeypatch.setattr(standalone, "train", trainer(network))
    found = finish(network, tmp_path / "f.npz", keep_going=lambda: next(asked) < 7)
    assert (found.steps, found.of) == (7, STEPS)


@pytest.mark.parametrize(
    ("seconds", "most", "steps"), [(126.0, 1000, 45), (126.0, 40, 40), (10.0, 1000, 1), (9.0, 2, 2)]
)
def test_a_schedule_is_as_long_as_its_time(
    seconds: float, most: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([0.0, 20.0, 22.0, 24.0, 26.0])  # The first step traces; then two seconds a step.
    network = subnet.Subnet(GENOTYPE, 2, {}, {})
    monkeypatch.setattr("pipeline.quantize.finishing.time.monotonic", lambda: next(moments))
    monkeypatch.setattr(standalone, "train", trainer(network))
    # 90 % of the hundred seconds that are left, of two seconds each.
    assert finishing.steps_within(seconds, network, ToySource(), None, settings=SETTINGS, most=most) == steps
