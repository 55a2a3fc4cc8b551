"""Final training: its targets, its looks at validation, and that a killed one goes on with the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_toy import MONO, ToySource

from pipeline.datasets import Split
from pipeline.genotype import Genotype
from pipeline.quantize import QuantizeSettings, finishing
from pipeline.quantize.settings import steps as steps_of
from pipeline.search import layers, subnet, training
from pipeline.search.batches import Batches
from pipeline.search.network import Network

GENOTYPE = Genotype.parse("32-mono-d00000-a02")
SETTINGS = QuantizeSettings(batch=16, watched=3, calibration_images=32)
STEPS = 60


@given(
    labels=st.lists(st.integers(0, 2), min_size=1, max_size=8),
    smoothing=st.floats(0, 0.9),
    distillation=st.floats(0, 1),
    taught=st.booleans(),
)
def test_targets_are_distributions_that_favour_the_label(
    labels: list[int], smoothing: float, distillation: float, taught: bool
) -> None:
    hard = np.eye(3, dtype=np.float32)[labels]
    answers = np.full_like(hard, 1 / 3) if taught else None
    found = finishing.targets(hard, answers, smoothing=smoothing, distillation=distillation)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found >= -1e-6).all()
    if not taught or distillation < 0.99:
        assert (found.argmax(axis=1) == labels).all()


def test_a_teachers_answer_is_a_share_of_the_targets() -> None:
    hard, answers = np.array([[1, 0]], np.float32), np.array([[0.2, 0.8]], np.float32)
    found = finishing.targets(hard, answers, smoothing=0.1, distillation=0.25)
    assert found == pytest.approx(np.array([[0.75 * 0.95 + 0.05, 0.75 * 0.05 + 0.2]]))


@given(steps=st.integers(0, 500), watched=st.integers(1, 20))
def test_the_last_step_is_always_looked_at(steps: int, watched: int) -> None:
    found = finishing.looks(steps, watched)
    assert len(found) <= watched
    assert (max(found) == steps) if steps else not found


@given(epochs=st.integers(0, 50), images=st.integers(1, 5000), batch=st.integers(2, 128))
def test_so_many_epochs_are_seen_whole(epochs: int, images: int, batch: int) -> None:
    assert 0 <= steps_of(epochs, images, batch) * batch - epochs * images < batch


@pytest.mark.parametrize(
    "wrong",
    [{"final_epochs": -1}, {"watched": 0}, {"batch": 1}, {"rate": 0}, {"smoothing": 1}, {"distillation": 2}]
    + [{"tolerance": -0.1}, {"qat_epochs": 0}, {"qat_rate": -1}, {"calibration_images": 0}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="negative|at least|positive|within"):
        QuantizeSettings(**wrong)  # type: ignore[arg-type]


class Killed(Exception):
    """Stands for SIGKILL: nothing is done after it."""


def train(file: Path, *, kill_at: int | None = None, steps: int = STEPS, seed: int = 1) -> finishing.Finished:
    view = ToySource().view(Split.TRAIN, MONO)
    start = layers.initial(layers.parameters(GENOTYPE, 2), (3,))

    def settle(weights: layers.Weights) -> subnet.Subnet:
        return subnet.settle(weights, GENOTYPE, 2, view.images[:32])

    def report(step: training.Step) -> None:
        if step.number == kill_at:
            raise Killed

    return finishing.finish(
        start,
        Network(GENOTYPE, 2, start),
        Batches(view.images, view.labels, 2, SETTINGS.batch, (seed,)),
        finishing.Teacher(settle(layers.initial(layers.parameters(GENOTYPE, 2), (4,)))),
        steps=steps,
        settings=SETTINGS,
        settle=settle,
        validation=ToySource().view(Split.VALIDATION, MONO),
        file=file,
        meta={"seed": seed},
        report=report,
    )


@pytest.mark.slow
def test_a_killed_training_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole.npz")
    for kill_at in (27, 53):  # Behind the looks at 20 and 40, behind the checkpoint at 50.
        with pytest.raises(Killed):
            train(tmp_path / "killed.npz", kill_at=kill_at)
    resumed = train(tmp_path / "killed.npz")
    assert resumed.curve == whole.curve
    assert (resumed.kept, resumed.accuracy) == (whole.kept, whole.accuracy)
    assert all(np.array_equal(resumed.network.weights[name], values) for name, values in whole.network.weights.items())
    assert [point.step for point in whole.curve] == [0, 20, 40, 60]
    assert whole.curve[0].loss is None
    other = train(tmp_path / "killed.npz", seed=2)  # A checkpoint of another training is not taken.
    assert other.curve[1:] != whole.curve[1:]


@pytest.mark.slow
def test_the_best_look_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies = iter([0.5, 0.9, 0.9, 0.8])
    scores = subnet.Subnet.scores

    def scored(self: subnet.Subnet, images: np.ndarray, labels: np.ndarray) -> object:  # type: ignore[type-arg]
        found = scores(self, images, labels)
        return type(found)(next(accuracies), found.precision, found.recall)

    monkeypatch.setattr(subnet.Subnet, "scores", scored)
    found = train(tmp_path / "f.npz", steps=6)
    assert (found.kept, found.accuracy) == (4, 0.9)  # Of equals the later.
