"""A supernet's workspace: what memory, precision and compilation change, and what they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from search_toy import MONO, ToySource

from pipeline.datasets import Split
from pipeline.genotype import Genotype
from pipeline.search import layers, subnet
from pipeline.search.backend import Pace, pace, tensorflow
from pipeline.search.network import Network

pytestmark = pytest.mark.slow

ENVELOPE = Genotype(MONO, (2, 1, 0, 0, 0), 0.2)
SMALLER = Genotype(MONO, (1, 0, 0, 0, 0), 0.1)
EXITS = layers.exit_stages(ENVELOPE)
START = layers.initial(layers.parameters(ENVELOPE, 2, exits=EXITS), (4,))


def _network(**more: Any) -> Network:
    return Network(ENVELOPE, 2, START, exits=EXITS, **more)


def _step(network: Network, genotype: Genotype, count: int = 16) -> tuple[float, np.ndarray, np.ndarray]:
    """Loss and probabilities of one subnet on a batch, and its gradient."""
    view = ToySource().view(Split.TRAIN, MONO)
    targets = np.eye(2, dtype=np.float32)[view.labels[:count]]
    loss, answer = network.accumulate(view.images[:count], targets, genotype)
    gradient = network._gradient.numpy()
    network._gradient = None
    return float(loss), answer.numpy(), gradient


@pytest.fixture(scope="module")
def network() -> Network:
    return _network()


def test_a_compiled_graph_of_its_own_computes_the_same(network: Network) -> None:
    own = _network(often=[SMALLER], at=Pace(compiled=True))
    ours, theirs = _step(own, SMALLER), _step(network, SMALLER)
    assert abs(ours[0] - theirs[0]) < 1e-4
    assert np.allclose(ours[1], theirs[1], atol=1e-4) and np.allclose(ours[2], theirs[2], atol=1e-4)
    assert set(own._training) == {SMALLER}


def test_half_precision_computes_about_the_same_and_keeps_whole_weights(network: Network) -> None:
    half = _network(at=Pace(half=tensorflow().bfloat16))
    (loss, answer, gradient), (true_loss, true_answer, true_gradient) = (_step(one, SMALLER) for one in (half, network))
    assert abs(loss - true_loss) < 0.05 and np.allclose(answer, true_answer, atol=0.05)
    assert loss != true_loss
    assert np.dot(gradient, true_gradient) > 0.9 * np.linalg.norm(gradient) * np.linalg.norm(true_gradient)
    assert all(value.dtype == np.float32 for value in half.values().values())


def test_processors_get_neither() -> None:
    if not tensorflow().config.list_physical_devices("GPU"):
        assert pace() == Pace()


def _short_of_memory(network: Network, most: int) -> None:
    """Let every batch of more images than that fail as the device would."""
    of = network._training_of

    def training_of(genotype: Genotype) -> Callable[..., Any]:
        def graph(images: Any, *given: Any) -> Any:
            if len(images) > most:
                raise tensorflow().errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
            return of(genotype)(images, *given)

        return graph

    network._training_of = training_of  # type: ignore[method-assign]


def test_a_batch_that_does_not_fit_goes_through_in_parts_and_stays_so_after_a_restart() -> None:
    told: list[int] = []
    network = _network(throttled=told.append)
    _short_of_memory(network, 6)
    loss, answer, gradient = _step(network, SMALLER, count=18)
    assert told == [9, 5] and answer.shape == (18, 2)
    again = _network()
    again.restore(network.state())
    same = _step(again, SMALLER, count=18)
    assert same[0] == loss and np.array_equal(same[1], answer) and np.array_equal(same[2], gradient)


def test_scoring_takes_smaller_batches_where_memory_is_short(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    view, sizes = ToySource().view(Split.VALIDATION, MONO), []
    whole = subnet.score(network, SMALLER, calibration=view.images, images=view.images, labels=view.labels)
    of = network.logits

    def logits(images: Any, *given: Any) -> Any:
        sizes.append(len(images))
        if len(images) > 40:
            raise tensorflow().errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return of(images, *given)

    monkeypatch.setattr(network, "logits", logits)
    found = subnet.score(network, SMALLER, calibration=view.images, images=view.images, labels=view.labels)
    assert sizes == [48, 48, 32, 16]
    assert abs(found.accuracy - whole.accuracy) < 0.2


def test_an_image_alone_that_does_not_fit_is_an_error() -> None:
    network = _network()
    _short_of_memory(network, 0)
    with pytest.raises(tensorflow().errors.ResourceExhaustedError):
        _step(network, SMALLER, count=4)
