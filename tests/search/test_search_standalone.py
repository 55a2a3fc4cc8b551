"""A network trained alone: deterministic, resumable, with either optimizer, from scratch or from given weights."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_toy import ToySource

from pipeline.datasets import Split
from pipeline.genotype import Genotype
from pipeline.search import layers, standalone, subnet

GENOTYPE = Genotype.parse("32-mono-d10000-a01")
ADAMW = standalone.StandaloneSettings(batch=16, checkpoint_every=3, average=0.9, calibration_images=32)
SGD = standalone.StandaloneSettings(optimizer="sgd", rate=0.05, batch=16, checkpoint_every=3, calibration_images=32)


def _train(steps: int = 5, **changes: Any) -> subnet.Subnet:
    values: dict[str, Any] = {"seed": 1, "settings": ADAMW}
    return standalone.train(GENOTYPE, ToySource(), steps=steps, **{**values, **changes})


def _same(one: layers.Weights, other: layers.Weights) -> bool:
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "lion"},
        {"rate": 0.0},
        {"batch": 1},
        {"momentum": 1.0},
        {"average": 1.0},
        {"smoothing": 1.0},
        {"distillation": 1.1},
        {"decay": -1.0},
        {"checkpoint_every": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is|are"):
        standalone.StandaloneSettings(**changes)


def test_targets_are_smoothed_labels_mixed_with_answers() -> None:
    hard = np.eye(2, dtype=np.float32)
    answers = np.full((2, 2), 0.5, np.float32)
    found = standalone.targets(hard, answers, smoothing=0.2, distillation=0.25)
    np.testing.assert_allclose(found, [[0.8, 0.2], [0.2, 0.8]], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [ADAMW, SGD])
def test_a_training_that_was_stopped_goes_on_with_the_same_bits(
    settings: standalone.StandaloneSettings, tmp_path: Path
) -> None:
    whole = _train(settings=settings)
    calls = count()
    file = tmp_path / "checkpoint.npz"
    part = _train(settings=settings, file=file, keep_going=lambda: next(calls) < 2)
    resumed: list[int] = []
    again = _train(settings=settings, file=file, report=lambda step: resumed.append(step.number))
    assert resumed == [3, 4, 5]
    assert not _same(part.weights, whole.weights)
    assert _same(again.weights, whole.weights)
    assert all(np.array_equal(again.statistics[name], whole.statistics[name]) for name in whole.statistics)


@pytest.mark.slow
def test_a_checkpoint_of_other_settings_is_not_taken_up(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.npz"
    _train(file=file)
    taken: list[int] = []
    _train(seed=2, file=file, report=lambda step: taken.append(step.number))
    assert taken == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_seed_start_and_teacher_change_the_result_and_zero_steps_keep_the_start() -> None:
    base = _train()
    assert not _same(_train(seed=2).weights, base.weights)
    assert not _same(_train(teacher=lambda images: np.full((len(images), 2), 0.5, np.float32)).weights, base.weights)
    assert _same(_train(steps=0, start=base.weights).weights, base.weights)
    with pytest.raises(ValueError, match="shapes"):
        _train(start={})


@pytest.mark.slow
@pytest.mark.parametrize("settings", [ADAMW, SGD])
def test_it_learns(settings: standalone.StandaloneSettings) -> None:
    losses: list[float] = []
    trained = _train(steps=80, settings=settings, report=lambda step: losses.append(step.loss))
    view = ToySource().view(Split.TRAIN, GENOTYPE.data)
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    assert trained.scores(view.images, view.labels).accuracy > 0.9


@pytest.mark.slow
def test_a_step_of_momentum_moves_by_rate_gradient_and_decay() -> None:
    plain = standalone.StandaloneSettings(optimizer="sgd", rate=0.1, decay=0.0, momentum=0.0, batch=16)
    decayed = standalone.StandaloneSettings(optimizer="sgd", rate=0.1, decay=0.5, momentum=0.0, batch=16)
    start = _train(steps=0).weights
    one, other = _train(steps=1, settings=plain).weights, _train(steps=1, settings=decayed).weights
    # One step in all: its rate is the peak.
    np.testing.assert_allclose(one["stem/kernel"] - other["stem/kernel"], 0.05 * start["stem/kernel"], atol=1e-6)
    np.testing.assert_array_equal(one["stem/gamma"], other["stem/gamma"])
