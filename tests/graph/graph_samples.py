"""Small models that several test modules read."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.graph.model import (
    Activation,
    ActivationOptions,
    DType,
    MeanOptions,
    NoOptions,
    OpCode,
    Padding,
    PadOptions,
    SoftmaxOptions,
    WindowOptions,
)
from pipeline.graph.writer import ModelWriter


def network(*, cast: bool = False) -> tuple[ModelWriter, int, int]:
    """A network with every operator, as (writer, input, output); with ``cast``, float32 at both edges."""
    rng = np.random.default_rng(7)
    writer = ModelWriter()

    def act(*shape: int, scale: float = 0.05, zero_point: int = -3) -> int:
        return writer.tensor(shape, DType.INT8, scale=scale, zero_point=zero_point)

    def weights(*shape: int, axis: int = 0) -> int:
        data = rng.integers(-127, 128, shape)
        return writer.tensor(shape, DType.INT8, scale=rng.uniform(0.001, 0.01, shape[axis]), axis=axis, data=data)

    def bias(count: int) -> int:
        return writer.tensor((count,), DType.INT32, scale=[0.001] * count, data=rng.integers(-500, 500, count))

    x = given = writer.tensor((1, 9, 8, 3), DType.FLOAT32, name="image") if cast else act(1, 9, 8, 3)
    if cast:
        x = act(1, 9, 8, 3)
        writer.operator(OpCode.QUANTIZE, [given], [x], NoOptions())
    y = act(1, 5, 4, 8)
    stem = WindowOptions(stride=(2, 2), activation=Activation.RELU6)
    writer.operator(OpCode.CONV_2D, [x, weights(8, 3, 3, 3), bias(8)], [y], stem, version=3)
    z = act(1, 5, 4, 8)
    writer.operator(OpCode.DEPTHWISE_CONV_2D, [y, weights(1, 3, 3, 8, axis=3), bias(8)], [z], WindowOptions())
    added = act(1, 5, 4, 8)
    writer.operator(OpCode.ADD, [y, z], [added], ActivationOptions(Activation.RELU))
    padded = act(1, 6, 6, 8)
    writer.operator(OpCode.PAD, [added], [padded], PadOptions(((0, 0), (0, 1), (1, 1), (0, 0))))
    pooled, averaged = act(1, 5, 5, 8), act(1, 3, 3, 8)
    window = WindowOptions(padding=Padding.VALID, filter=(2, 2))
    writer.operator(OpCode.MAX_POOL_2D, [padded], [pooled], window, version=2)
    window = WindowOptions(stride=(2, 2), filter=(3, 3))
    writer.operator(OpCode.AVERAGE_POOL_2D, [pooled], [averaged], window, version=2)
    mean = act(1, 1, 1, 8, scale=0.03)
    writer.operator(OpCode.MEAN, [averaged], [mean], MeanOptions((1, 2), keep_dims=True), version=2)
    flat, logits, probabilities = act(1, 8, scale=0.03), act(1, 4), act(1, 4, scale=1 / 256, zero_point=-128)
    writer.operator(OpCode.RESHAPE, [mean], [flat], NoOptions())
    writer.operator(OpCode.FULLY_CONNECTED, [flat, weights(4, 8), None], [logits], ActivationOptions(), version=4)
    writer.operator(OpCode.SOFTMAX, [logits], [probabilities], SoftmaxOptions(), version=2)
    if not cast:
        return writer, given, probabilities
    out = writer.tensor((1, 4), DType.FLOAT32)
    writer.operator(OpCode.DEQUANTIZE, [probabilities], [out], NoOptions(), version=2)
    return writer, given, out


def content(**options: bool) -> bytes:
    """The bytes of :func:`network`."""
    writer, given, out = network(**options)
    return writer.finish([given], [out])


def schema_model(**options: bool) -> Any:
    """The schema's ModelT of :func:`network`, for tests that damage it."""
    writer, given, out = network(**options)
    return writer.model([given], [out])
