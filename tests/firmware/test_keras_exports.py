"""Networks as Keras makes them, converted with an open batch size: accepted whole, and exact against both oracles.

Their weights are random, and large enough that no activation dies out.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import aot_host
import aot_models
import numpy as np
import pytest
import tflm_oracle

from pipeline import boards
from pipeline.estimate.estimator import estimate
from pipeline.estimate.planner import plan, spread
from pipeline.graph.model import OpCode
from pipeline.graph.reader import parse
from pipeline.graph.reference import Reference

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(aot_host.COMPILER is None, reason="g++ is not installed"),
]


def _mobilenet_v3(*, minimal: bool) -> Any:
    import keras

    return keras.applications.MobileNetV3Small(
        input_shape=(32, 32, 3),
        alpha=0.25,
        minimalistic=minimal,
        weights=None,
        classes=5,
        include_preprocessing=minimal,
    )


def _resnet8() -> Any:
    from keras import Input, Model, layers

    def block(x: Any, filters: int, stride: int) -> Any:
        y = layers.ReLU()(layers.Conv2D(filters, 3, stride, "same")(x))
        y = layers.Conv2D(filters, 3, 1, "same")(y)
        skip = layers.Conv2D(filters, 1, stride, "same")(x) if stride > 1 else x
        return layers.ReLU()(layers.Add()([y, skip]))

    given = Input((32, 32, 3))
    x = layers.ReLU()(layers.Conv2D(8, 3, 1, "same")(given))
    x = block(block(block(x, 8, 1), 12, 2), 16, 2)
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return Model(given, layers.Dense(5, activation="softmax")(x))


def _autoencoder() -> Any:
    from keras import Input, Model, layers

    x = given = Input((64,))
    for units in (32, 32, 8, 32, 32):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(units)(x)))
    return Model(given, layers.Dense(64)(x))


def _ds_cnn() -> Any:
    from keras import Input, Model, layers

    given = Input((49, 10, 1))
    x = layers.ReLU()(layers.Conv2D(16, (10, 4), (2, 2), "same")(given))
    for _ in range(2):
        x = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same")(x))
        x = layers.ReLU()(layers.Conv2D(16, 1)(x))
    x = layers.Reshape((16,))(layers.AveragePooling2D((25, 5))(x))
    return Model(given, layers.Dense(12, activation="softmax")(x))


def _mixed() -> Any:
    """Operators that the others lack: slices, another order of dimensions, halves, a gate, a maximum, kernels of 7."""
    from keras import Input, Model, layers, ops

    given = Input((16, 16, 4))
    x = layers.Concatenate()([given[:, ::2, ::2, :], given[:, 1::2, 1::2, :]])
    x = layers.Permute((3, 1, 2))(x)
    x = layers.Conv2D(6, 7, padding="same", activation="relu6")(x)
    first, second = ops.split(layers.DepthwiseConv2D(5, padding="same", depth_multiplier=2)(x), 2, axis=-1)
    x = layers.Multiply()([first, layers.Activation("sigmoid")(second)])
    x = layers.MaxPooling2D(2, padding="same")(layers.Subtract()([x, first]))
    return Model(given, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


NETWORKS: dict[str, tuple[Callable[[], Any], set[OpCode]]] = {
    "mobilenet_v3_minimal": (lambda: _mobilenet_v3(minimal=True), {OpCode.DEPTHWISE_CONV_2D, OpCode.ADD}),
    "mobilenet_v3": (lambda: _mobilenet_v3(minimal=False), {OpCode.HARD_SWISH, OpCode.MUL}),
    "resnet8": (_resnet8, {OpCode.ADD, OpCode.AVERAGE_POOL_2D, OpCode.RESHAPE, OpCode.SOFTMAX}),
    "autoencoder": (_autoencoder, {OpCode.FULLY_CONNECTED}),
    "ds_cnn": (_ds_cnn, {OpCode.DEPTHWISE_CONV_2D, OpCode.AVERAGE_POOL_2D, OpCode.SOFTMAX}),
    "mixed": (_mixed, {OpCode.STRIDED_SLICE, OpCode.TRANSPOSE, OpCode.SPLIT, OpCode.LOGISTIC, OpCode.MUL, OpCode.SUB}),
}


def _converted(model: Any) -> bytes:
    """The model in full int8, its weights random."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    for variable in model.weights:
        shape = variable.shape
        if variable.name == "kernel":
            depthwise = len(shape) == 4 and shape[3] != 1 and "depthwise" in variable.path
            taps = prod(shape[:2]) if depthwise else prod(shape[:-1])
            variable.assign(rng.normal(0, (2 / taps) ** 0.5, shape))
        elif variable.name in ("bias", "beta"):
            variable.assign(rng.normal(0, 0.2, shape))
    shape = model.input_shape[1:]

    def samples() -> Any:
        for _ in range(8):
            yield [rng.uniform(-1, 1, (1, *shape)).astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with contextlib.redirect_stdout(io.StringIO()):
        return bytes(converter.convert())


@pytest.mark.filterwarnings("ignore")  # TensorFlow's own
def test_exports_are_accepted_and_every_tensor_is_exact(tmp_path: Path) -> None:
    board = boards.load("nucleo_f746zg")
    graphs, inputs, references = [], [], []
    for name, (make, expected) in NETWORKS.items():
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(_converted(make()))
        graph = parse(path.read_bytes())
        assert expected <= graph.codes, name
        assert estimate(graph, board, plan=plan(graph)).macs > 0
        graphs.append(graph)
        inputs.append(aot_models.random_input(np.random.default_rng(1), graph.input))
        references.append(Reference(path))
    program = aot_host.HostProgram(
        [(graph, planned) for graph in graphs for planned in (spread(graph), plan(graph))], tmp_path
    )
    for number, (name, graph, values) in enumerate(zip(NETWORKS, graphs, inputs, strict=True)):
        wanted = references[number].intermediates(values[0])
        whole, packed = program.run([(2 * number, values), (2 * number + 1, values)])
        asked = tflm_oracle.HAVE_TFLM and not tflm_oracle.without_tflm(graph)
        tflm = tflm_oracle.Tflm(graph, keep=True) if asked else None
        if tflm is not None:
            tflm.run(values)
        places, lively = spread(graph), 0
        for operator in graph.operators:
            for tensor in (graph.tensors[index] for index in operator.outputs):
                offset, where = places.offset(tensor.index), f"{name}, operator {operator.index}, {operator.code}"
                got = whole.arena[offset : offset + tensor.nbytes].view(np.int8).reshape(tensor.shape)
                np.testing.assert_array_equal(got, wanted[tensor.index], err_msg=where)
                if tflm is not None:
                    np.testing.assert_array_equal(got, tflm.tensor(tensor.index), err_msg=f"TFLM: {where}")
                lively += len(np.unique(got)) > 2
        assert lively > len(graph.operators) // 2, f"{name}: a dead network says nothing"
        np.testing.assert_array_equal(packed.output, wanted[graph.outputs[0]], err_msg=name)
