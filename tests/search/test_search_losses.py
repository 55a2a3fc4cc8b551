"""One step of a supernet's weights: which losses it follows, and what it takes away."""

from __future__ import annotations

import numpy as np
import pytest
from search_toy import MONO, ToySource

from pipeline.datasets import Split
from pipeline.genotype import Genotype
from pipeline.search import layers
from pipeline.search.network import Network
from pipeline.search.training import TrainingSettings, smoothed

ENVELOPE = Genotype.parse("32-mono-d21110-a02")
GENOTYPE = Genotype.parse("32-mono-d21100-a01")
EARLIER = ("32-mono-d00000-a01", "32-mono-d20000-a01", "32-mono-d21000-a01")


@pytest.fixture(scope="module")
def network() -> Network:
    exits = layers.exit_stages(ENVELOPE)
    return Network(ENVELOPE, 2, layers.initial(layers.parameters(ENVELOPE, 2, exits=exits), (4,)), exits=exits)


@pytest.fixture(scope="module")
def start(network: Network) -> layers.Weights:
    return network.values()


def _step(network: Network, start: layers.Weights, *subnets: Genotype, early: float = 0, decay: float = 0) -> None:
    view = ToySource().view(Split.TRAIN, MONO)
    targets = smoothed(np.eye(2, dtype=np.float32)[view.labels[:16]], 0.1)
    network.load(start)
    for genotype in subnets:
        network.accumulate(view.images[:16], targets, genotype, early=early)
    network.apply(1e-3, of=len(subnets), decay=decay)


@pytest.mark.slow
def test_a_pass_trains_what_stands_behind_earlier_stages_as_well(network: Network, start: layers.Weights) -> None:
    _step(network, start, GENOTYPE, early=1)
    together = network.state()
    _step(network, start, GENOTYPE, *map(Genotype.parse, EARLIER))
    apart = network.state()
    _step(network, start, GENOTYPE)
    alone = network.state()
    for parameter in layers.parameters(ENVELOPE, 2, exits=layers.exit_stages(ENVELOPE)):
        # Adam's first moment is a tenth of the gradient.
        name = f"first:{parameter.name}"
        assert np.allclose(together[name], apart[name], atol=1e-6), name
    assert np.abs(together["first:head2/kernel"]).max() > 1e-5
    assert not np.any(alone["first:head2/kernel"])
    assert not np.any(together["first:head6/kernel"])


@pytest.mark.slow
def test_decay_takes_from_kernels_alone(network: Network, start: layers.Weights) -> None:
    _step(network, start, GENOTYPE)
    without = network.values()
    _step(network, start, GENOTYPE, decay=2.0)
    for name, value in network.values().items():
        taken = 1e-3 * 2.0 * start[name] if name.endswith("/kernel") else 0
        assert np.allclose(without[name] - value, taken, atol=1e-6), name


def test_smoothed_labels_still_sum_to_one() -> None:
    found = smoothed(np.eye(4, dtype=np.float32), 0.2)
    assert np.allclose(found.sum(axis=1), 1)
    assert found[0].tolist() == pytest.approx([0.85, 0.05, 0.05, 0.05])


@pytest.mark.parametrize("wrong", [{"early": -0.1}, {"decay": -1}, {"smoothing": 1.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="smoothing"):
        TrainingSettings(steps=1, **wrong)  # type: ignore[arg-type]
