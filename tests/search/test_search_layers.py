"""One network, computed three ways; a supernet's workspace; scores that do not depend on history."""

from __future__ import annotations

import numpy as np
import pytest
from search_toy import MONO, ToySource

from pipeline.datasets import Split
from pipeline.genotype import Genotype
from pipeline.search import layers, space, subnet, training
from pipeline.search.backend import tensorflow
from pipeline.search.batches import Batches
from pipeline.search.network import Network
from pipeline.search.population import Population

pytestmark = pytest.mark.slow

ENVELOPE = Genotype.parse("32-mono-d34331-a04")
SMALLEST = Genotype.parse("32-mono-d00000-a01")
CHOICES = [Genotype(MONO, depths, alpha) for depths in space.all_depths() for alpha in (0.1, 0.2, 0.3, 0.4)]
POPULATION = Population(
    envelope=ENVELOPE,
    tops=(ENVELOPE,),
    bottoms=(SMALLEST,),
    draw=lambda rng: CHOICES[int(rng.integers(len(CHOICES)))],
    identity={},
)
SETTINGS = training.TrainingSettings(steps=20, batch=16, rate=3e-3)


@pytest.fixture(scope="module")
def trained() -> Network:
    """A supernet after twenty sandwich steps: nothing in it is at its start any more."""
    view = ToySource().view(Split.TRAIN, MONO)
    exits = layers.exit_stages(ENVELOPE)
    network = Network(ENVELOPE, 2, layers.initial(layers.parameters(ENVELOPE, 2, exits=exits), (1, 2)), exits=exits)
    batches = Batches({MONO: view.images}, view.labels, 2, 16, (1,))
    for number in range(SETTINGS.steps):
        chosen = training.subnets(POPULATION, SETTINGS, (5,), number)
        training.sandwich_step(network, batches(number, (MONO,)), chosen, settings=SETTINGS)
    return network


def _padded(statistics: layers.Statistics, envelope: Genotype, rng: np.random.Generator) -> layers.Statistics:
    """A subnet's statistics at the supernet's width; garbage for the channels that the subnet lacks."""
    lengths = {
        parameter.name.removesuffix("/gamma"): parameter.shape[0]
        for parameter in layers.parameters(envelope, 2)
        if parameter.name.endswith("/gamma")
    }
    padded = {}
    for layer, (mean, variance) in statistics.items():
        more = lengths[layer] - len(mean)
        padded[layer] = (
            np.concatenate([mean, rng.normal(0, 5, more).astype(np.float32)]),
            np.concatenate([variance, rng.uniform(0.1, 9, more).astype(np.float32)]),
        )
    return padded


def test_masked_equals_sliced_with_trained_statistics(trained: Network) -> None:
    rng = np.random.default_rng(11)
    weights = trained.values()
    images = ToySource().view(Split.TRAIN, MONO).images
    worst = 0.0
    chosen = [CHOICES[number] for number in rng.choice(len(CHOICES), 50, replace=False)]
    for genotype in [ENVELOPE, SMALLEST, *chosen]:
        settled = subnet.settle(weights, genotype, 2, images[:32])
        sliced = settled.logits(images[32:40])
        masked = layers.forward_masked(
            weights,
            ENVELOPE,
            genotype,
            subnet.as_input(images[32:40]),
            layers.by_statistics(_padded(settled.statistics, ENVELOPE, rng)),
        ).numpy()
        worst = max(worst, float(np.abs(masked - sliced).max()))
        assert np.abs(sliced).max() > 1e-3
    assert worst < 1e-4


def test_the_traced_graph_equals_the_subnet_in_training_mode(trained: Network) -> None:
    tf = tensorflow()
    weights = trained.values()
    images = subnet.as_input(ToySource().view(Split.TRAIN, MONO).images[:16])
    tensors = {name: tf.constant(value) for name, value in weights.items()}
    traced = tf.function(
        lambda counts, last: layers.forward_sliced(tensors, ENVELOPE, counts, last, tf.constant(images)),
        autograph=False,
        input_signature=[tf.TensorSpec([None, 4], tf.int32), tf.TensorSpec([], tf.int32)],
    )
    for text in ("d34331-a04", "d00000-a01", "d10000-a03", "d12110-a02", "d22211-a01"):
        genotype = Genotype.parse(f"32-mono-{text}")
        alone = layers.forward(layers.cut(weights, genotype, 2), genotype, images, layers.by_batch)
        assert np.allclose(traced(*layers.sizes(ENVELOPE, genotype)), alone, atol=1e-4)


def test_fine_tuning_moves_the_subnets_slice_alone(trained: Network) -> None:
    view = ToySource().view(Split.TRAIN, MONO)
    state, before = trained.state(), trained.values()
    genotype = Genotype.parse("32-mono-d11000-a02")
    trained.load(before)
    after = training.fine_tune(
        trained, Batches({MONO: view.images}, view.labels, 2, 16, (7,)).of(MONO), genotype, steps=3, peak=1e-3
    )
    for parameter in layers.parameters(genotype, 2):
        inside = tuple(slice(0, length) for length in parameter.shape)
        changed = after[parameter.name] != before[parameter.name]
        assert changed[inside].any(), parameter.name
        changed[inside] = False
        assert not changed.any(), parameter.name
    kept = {parameter.name for parameter in layers.parameters(genotype, 2)}
    assert all(np.array_equal(after[name], before[name]) for name in before.keys() - kept)
    trained.restore(state)


def test_statistics_pool_to_those_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (24, 5, 5, 8)).astype(np.float32)
    x[:8] += 4
    recorder = layers.Recorder()
    one = np.ones(8, np.float32)
    for start in range(0, 24, 8):
        recorder("layer", tensorflow().constant(x[start : start + 8]), one, one)
    mean, variance = recorder.statistics()["layer"]
    assert np.allclose(mean, x.mean(axis=(0, 1, 2)), atol=1e-4)
    assert np.allclose(variance, x.var(axis=(0, 1, 2)), rtol=1e-3)
