"""A skeleton is the Graph that TensorFlow's conversion gives, without weights."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.estimate.planner import plan
from pipeline.genotype import Genotype, architecture
from pipeline.graph.filling import filled, filled_bytes
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import DType, Graph, OpCode
from pipeline.graph.reader import parse, read
from pipeline.graph.reference import Reference
from pipeline.graph.skeleton import from_genotype

_SMALL = "32-mono-d00000-a01"
_WITH_KERNELS = (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D)


def _facts(graph: Graph) -> list[tuple[Any, ...]]:
    """Everything about operators and their tensors but names and numbering, in execution order."""
    return [
        (
            operator.code,
            operator.version,
            operator.options,
            [
                (tensor.shape, tensor.dtype, tensor.constant)
                for tensor in (
                    graph.tensors[index] for index in (*operator.inputs, *operator.outputs) if index is not None
                )
            ],
        )
        for operator in graph.operators
    ]


def _lifetimes(graph: Graph) -> list[tuple[int, int, int]]:
    return sorted((placement.size, placement.first, placement.last) for placement in plan(graph).placements)


def test_the_smallest_network_has_these_operators() -> None:
    codes = [operator.code.value for operator in from_genotype(Genotype.parse(_SMALL), 2).operators]
    first = ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]
    block = ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]
    assert codes == [*first, *block, *block, "ADD", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]


def test_a_residual_on_a_1x1_map_is_squeezed_as_the_converter_does() -> None:
    graph = from_genotype(Genotype.parse("32-mono-d11120-a01"), 2)
    reshape = next(operator for operator in graph.operators if operator.code is OpCode.RESHAPE)
    add = graph.operators[reshape.index + 1]
    assert add.code is OpCode.ADD and add.inputs[1] == reshape.outputs[0]
    assert [graph.tensors[index].shape for index in (*reshape.outputs, *add.outputs)] == [(160,), (1, 1, 1, 160)]
    assert OpCode.RESHAPE not in from_genotype(Genotype.parse("64-mono-d11120-a01"), 2).codes


def test_a_wide_design_has_its_own_kernels_and_widths() -> None:
    graph = from_genotype(Genotype.parse("96-rgb-w34-2352-1273"), 2)
    kernels = [graph.tensors[op.inputs[1] or 0].shape for op in graph.operators if op.code in _WITH_KERNELS]
    assert kernels == [
        (24, 3, 3, 3),
        *((1, 3, 3, 24), (16, 1, 1, 24)),
        *((32, 1, 1, 16), (1, 5, 5, 32), (20, 1, 1, 32)),
        *((40, 1, 1, 20), (1, 5, 5, 40), (20, 1, 1, 40)),
        *((64, 1, 1, 20), (1, 7, 7, 64), (16, 1, 1, 64)),
    ]


@pytest.mark.parametrize("name", [_SMALL, "96-rgb-d32100-a03", "32-mono-d11121-a01", "96-rgb-w34-2352-2473-1336"])
def test_a_filled_skeleton_is_read_back_as_it_was(name: str) -> None:
    skeleton = from_genotype(Genotype.parse(name), 5)
    graph = filled(skeleton, seed=3)
    assert _facts(graph) == _facts(skeleton)
    assert all(t.data is None for t in skeleton.tensors) and any(t.data is not None for t in graph.tensors)
    assert _lifetimes(graph) == _lifetimes(skeleton)


def test_a_filled_skeleton_runs_and_depends_on_its_seed(tmp_path: Path) -> None:
    skeleton = from_genotype(Genotype.parse(_SMALL), 2)
    path = tmp_path / "model.tflite"
    path.write_bytes(filled_bytes(skeleton, seed=1))
    assert filled_bytes(skeleton, seed=1) == path.read_bytes() != filled_bytes(skeleton, seed=2)
    graph = parse(path.read_bytes())
    inputs = random_inputs(graph.input, 2, seed=0)
    tensors = Reference(path).intermediates(inputs[0])
    # Plausible scales: no layer is stuck at one value.
    for operator in graph.operators:
        if operator.code in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D):
            assert len(np.unique(tensors[operator.outputs[0]])) > 30


def _keras(genotype: Genotype, classes: int) -> bytes:
    """The Keras network of a genotype, untrained, with the biases that training would give, as a full-int8 .tflite."""
    import tensorflow as tf

    layers = tf.keras.layers

    def step(x: Any, layer: Any, activation: bool) -> Any:
        shifted = layers.BatchNormalization(beta_initializer="random_normal", moving_mean_initializer="random_normal")
        x = shifted(layer(x))
        return layers.ReLU(6.0)(x) if activation else x

    def conv(channels: int, kernel: int, stride: int) -> Any:
        return layers.Conv2D(channels, kernel, stride, "same", use_bias=False)

    x = given = layers.Input(genotype.data.shape, batch_size=1)
    blocks = architecture(genotype)
    x = step(x, conv(blocks[0].inputs, 3, 2), True)
    for block in blocks:
        y = step(x, conv(block.hidden, 1, 1), True) if block.expands else x
        y = step(y, layers.DepthwiseConv2D(block.kernel, block.stride, "same", use_bias=False), True)
        y = step(y, conv(block.outputs, 1, 1), False)
        x = layers.Add()([x, y]) if block.residual else y
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(classes, activation="softmax", bias_initializer="random_normal")(x)
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(given, x))
    rng = np.random.default_rng(0)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([rng.random((1, *genotype.data.shape), np.float32)] for _ in range(4))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with contextlib.redirect_stdout(io.StringIO()):
        content: bytes = converter.convert()
    return content


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "classes"),
    [
        *((_SMALL, 2), ("64-rgb-d21000-a03", 3), ("32-mono-d34331-a01", 2), ("96-mono-d12210-a05", 10)),
        *(("32-mono-w22-2231", 2), ("96-rgb-w34-2352-2473-1336", 3), ("64-mono-w43-2374-1256-1473-2351-2234-1432", 2)),
        ("32-rgb-w24-2434-1471-1332-2433-3231", 4),  # its stage 6 is of one pixel
    ],
)
def test_a_skeleton_is_what_tensorflow_converts_to(name: str, classes: int, tmp_path: Path) -> None:
    genotype = Genotype.parse(name)
    path = tmp_path / "model.tflite"
    path.write_bytes(_keras(genotype, classes))
    graph, skeleton = read(path), from_genotype(genotype, classes)
    assert _facts(graph) == _facts(skeleton)
    assert _lifetimes(graph) == _lifetimes(skeleton)
    assert plan(graph).arena_bytes == plan(skeleton).arena_bytes
    assert graph.input.dtype is DType.INT8
    outputs = Reference(path).run(random_inputs(graph.input, 2, seed=0))
    assert outputs.shape == (2, classes)


def test_weights_as_training_leaves_them() -> None:
    graph = parse(filled_bytes(from_genotype(Genotype.parse("32-rgb-d10000-a05"), 2), seed=1, bell=True))
    layers = [graph.tensors[operator.inputs[1] or 0] for operator in graph.operators if len(operator.inputs) > 2]
    assert layers
    for weights in layers:
        assert weights.data is not None and weights.quantization is not None
        others = tuple(axis for axis in range(len(weights.shape)) if axis != weights.quantization.axis)
        magnitudes = np.abs(weights.data.astype(int))
        assert np.all(magnitudes.max(axis=others) == 127)
        taps = weights.elements // weights.shape[weights.quantization.axis]
        assert taps < 16 or magnitudes.mean() < 63  # of uniform ones it is 64
