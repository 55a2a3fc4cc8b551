"""Training for int8: what it wins on a network that quantizes badly, and that what ships is what was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_toy import MONO, ToySource

from pipeline.datasets import Split
from pipeline.genotype import Genotype, architecture
from pipeline.graph.model import Graph, OpCode, Quantization
from pipeline.graph.reader import read
from pipeline.graph.skeleton import from_genotype
from pipeline.quantize import convert, device_accuracy, evaluate, keras_model, qat
from pipeline.quantize.fake_quant import FakeQuantKit, weights_as_int8
from pipeline.quantize.topology import assemble
from pipeline.search import layers, subnet, training
from pipeline.search.backend import tensorflow
from pipeline.search.batches import Batches, SingleBatches
from pipeline.search.network import Network

pytestmark = pytest.mark.slow

GENOTYPE = Genotype.parse("32-mono-d10000-a02")
STEPS = 60


def batches(seed: int) -> SingleBatches:
    view = ToySource().view(Split.TRAIN, MONO)
    return Batches({MONO: view.images}, view.labels, 2, 16, (seed,)).of(MONO)


@pytest.fixture(scope="module")
def bad() -> subnet.Subnet:
    """A good float network whose last activation has two channels 500 times as great as they need to be.

    Batch normalisation scales them up, the head scales them down: the same function, but one scale for the whole
    tensor leaves nothing of the other channels.
    """
    weights = layers.initial(layers.parameters(GENOTYPE, 2), (3,))
    weights = dict(training.fine_tune(Network(GENOTYPE, 2, weights), batches(5), GENOTYPE, steps=60, peak=3e-3))
    last = architecture(GENOTYPE)[-1]
    for name in (f"{last.name}/project/gamma", f"{last.name}/project/beta"):
        weights[name][:2] *= 500
    weights[f"head{last.stage}/kernel"][:2] /= 500
    return subnet.settle(weights, GENOTYPE, 2, ToySource().view(Split.TRAIN, MONO).images)


def trained(network: subnet.Subnet, file: Path, *, stop: int | None = None) -> qat.Aware:
    def report(step: training.Step) -> None:
        if step.number == stop:
            raise KeyboardInterrupt

    images = ToySource().view(Split.TRAIN, MONO).images
    return qat.train(network, batches(6), images, steps=STEPS, peak=2e-3, file=file, meta={}, report=report)


@pytest.fixture(scope="module")
def aware(bad: subnet.Subnet, tmp_path_factory: pytest.TempPathFactory) -> qat.Aware:
    return trained(bad, tmp_path_factory.mktemp("aware") / "q.npz")


@pytest.fixture(scope="module")
def shipped(aware: qat.Aware, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shipped") / "m.tflite"
    path.write_bytes(convert(aware.network, ToySource().view(Split.TRAIN, MONO).images, ranges=aware.ranges))
    return path


def test_what_calibration_loses_training_wins_back(bad: subnet.Subnet, shipped: Path, tmp_path: Path) -> None:
    view = ToySource().view(Split.VALIDATION, MONO)
    float_accuracy = bad.scores(view.images, view.labels).accuracy
    calibrated = tmp_path / "ptq.tflite"
    calibrated.write_bytes(convert(bad, ToySource().view(Split.TRAIN, MONO).images))
    assert float_accuracy > 0.9
    assert evaluate(calibrated, view) < float_accuracy - 0.2
    assert evaluate(shipped, view) > float_accuracy - 0.05
    assert device_accuracy(shipped, view) > float_accuracy - 0.05


def expected_activations(aware: qat.Aware) -> list[tuple[float, float]]:
    """Trained ranges in the order of the operators; softmax has none."""
    return [values for layer, values in aware.ranges.items() if layer != "image"]


def affine(least: float, greatest: float) -> tuple[float, int]:
    """Scale and zero point of a range in int8, as the specification nudges them."""
    scale = (greatest - least) / 255
    return scale, int(np.clip(np.rint(-128 - least / scale), -128, 127))


def quantization(graph: Graph, number: int) -> Quantization:
    found = graph.tensors[number].quantization
    assert found is not None
    return found


def test_the_tflite_has_the_ranges_that_were_trained(aware: qat.Aware, shipped: Path) -> None:
    graph = read(shipped)
    operators = [operator for operator in graph.operators if operator.code is not OpCode.SOFTMAX]
    expected = expected_activations(aware)
    assert len(operators) == len(expected)
    for operator, values in zip(operators, expected, strict=True):
        found = quantization(graph, operator.outputs[0])
        scale, zero_point = affine(*values)
        assert found.scale == pytest.approx(scale, rel=1e-5)
        assert found.zero_points == (zero_point,)
    source, target = quantization(graph, graph.inputs[0]), quantization(graph, graph.outputs[0])
    assert source.scale == pytest.approx(1 / 255, rel=1e-6)
    assert (target.scale, source.zero_points, target.zero_points) == (1 / 256, (-128,), (-128,))


def test_the_tflite_has_the_weights_that_were_trained(aware: qat.Aware, shipped: Path) -> None:
    graph = read(shipped)
    weights, layer_names = (
        aware.network.weights,
        [layer for layer in aware.ranges if f"{layer}/kernel" in aware.network.weights],
    )
    kinds = {OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED}
    operators = [operator for operator in graph.operators if operator.code in kinds]
    assert len(operators) == len(layer_names)
    for operator, layer in zip(operators, layer_names, strict=True):
        kernel = weights[f"{layer}/kernel"].astype(np.float64)
        if layer in aware.network.statistics:
            factor = weights[f"{layer}/gamma"] / np.sqrt(aware.network.statistics[layer][1] + layers.EPSILON)
            kernel *= factor[:, None] if operator.code is OpCode.DEPTHWISE_CONV_2D else factor
        channel = 2 if operator.code is OpCode.DEPTHWISE_CONV_2D else kernel.ndim - 1
        scales = np.abs(np.moveaxis(kernel, channel, 0).reshape(kernel.shape[channel], -1)).max(axis=1) / 127
        kernel_tensor = operator.inputs[1]
        assert kernel_tensor is not None
        found = quantization(graph, kernel_tensor)
        assert found.scales == pytest.approx(tuple(scales), rel=1e-5)
        assert not any(found.zero_points)


def test_trained_for_int8_it_is_the_same_graph(shipped: Path) -> None:
    graph, skeleton = read(shipped), from_genotype(GENOTYPE, 2)
    assert [operator.code for operator in graph.operators] == [operator.code for operator in skeleton.operators]


def test_the_tflite_computes_what_was_trained(aware: qat.Aware, shipped: Path) -> None:
    from pipeline.graph.reference import Reference

    tf = tensorflow()
    images = ToySource().view(Split.VALIDATION, MONO).images
    weights = {name: tf.constant(values) for name, values in aware.network.weights.items()}
    kit = FakeQuantKit(weights, aware.network.statistics, aware.ranges)
    logits = assemble(GENOTYPE, kit, tf.constant(subnet.as_input(images)))
    simulated = tf.nn.softmax(logits).numpy()
    found = Reference(shipped).run((images.astype(np.int16) - 128).astype(np.int8)).reshape(len(images), -1)
    # An output is a 256th; rounding may fall to the other side in some layers.
    assert np.abs((found.astype(np.float64) + 128) / 256 - simulated).mean() < 0.02


def test_a_killed_training_for_int8_goes_on_with_the_same_bits(
    bad: subnet.Subnet, aware: qat.Aware, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(bad, tmp_path / "q.npz", stop=55)
    resumed = trained(bad, tmp_path / "q.npz")
    assert resumed.ranges == aware.ranges
    assert all(np.array_equal(resumed.network.weights[name], v) for name, v in aware.network.weights.items())


def test_without_rounding_the_kit_is_the_network(bad: subnet.Subnet) -> None:
    tf = tensorflow()
    images = ToySource().view(Split.VALIDATION, MONO).images[:8]
    weights = {name: tf.constant(values) for name, values in bad.weights.items()}
    found = assemble(GENOTYPE, FakeQuantKit(weights, bad.statistics, None), tf.constant(subnet.as_input(images)))
    assert found.numpy() == pytest.approx(bad.logits(images), rel=1e-3, abs=1e-3)


def test_ranges_have_zero_within_and_relu6_its_limits(bad: subnet.Subnet) -> None:
    found = qat.extremes(bad, ToySource().view(Split.TRAIN, MONO).images)
    assert found["image"] == (0.0, 1.0)
    assert all(least <= 0 < greatest for least, greatest in found.values())
    for layer, (least, greatest) in found.items():
        if layer == "stem" or layer.endswith(("expand", "depthwise")):
            assert least == 0
            assert greatest <= 6


def test_a_model_with_ranges_rounds_its_activations(aware: qat.Aware) -> None:
    image = ToySource().view(Split.VALIDATION, MONO).images[:1]
    plain = keras_model(aware.network)(subnet.as_input(image)).numpy()
    ranged = keras_model(aware.network, aware.ranges)(subnet.as_input(image)).numpy()
    assert not np.array_equal(plain, ranged)
    assert np.abs(plain - ranged).max() < 0.3


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), channels=st.integers(1, 5))
def test_rounded_weights_are_int8_multiples_with_straight_gradients(seed: int, channels: int) -> None:
    tf = tensorflow()
    kernel = np.random.default_rng(seed).normal(0, 1, (3, 3, 2, channels)).astype(np.float32)
    variable = tf.Variable(kernel)
    with tf.GradientTape() as tape:
        rounded = weights_as_int8(variable, (0, 1, 2))
        total = tf.reduce_sum(rounded)
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    steps = rounded.numpy() / scale
    assert np.abs(steps - np.rint(steps)).max() < 1e-3
    assert np.abs(steps).max() < 127.001
    assert np.abs(rounded.numpy() - kernel).max() <= scale.max() / 2 + 1e-6
    assert np.array_equal(tape.gradient(total, variable).numpy(), np.ones_like(kernel))
