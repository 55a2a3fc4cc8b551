"""Models that are made for one question: every tie, a factor made in float, a small network."""

from __future__ import annotations

import numpy as np
from aot_builder import (
    GraphBuilder,
    f32,
)

from pipeline.graph.model import (
    Activation,
    ActivationOptions,
    Graph,
    MeanOptions,
    NoOptions,
    OpCode,
    SoftmaxOptions,
    WindowOptions,
)


def ties(code: OpCode, *, width: int = 1, activation: Activation = Activation.NONE, least: int = 1) -> Graph:
    """CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED whose factors are 2^-least ... 2^-8 and 3/8, on sums −128 ... 127.

    Rounding once or twice, ties up or away from zero: all of them differ here. ``width``: pixels of the image.
    """
    builder = GraphBuilder()
    sums = np.arange(-128, 128, dtype=np.int32)
    factors = [*(2.0**-power for power in range(least, 9)), 3 / 8]
    bias = np.tile(sums, len(factors))
    scales = np.repeat(factors, len(sums)).tolist()
    channels = len(bias)
    dense, depthwise = code is OpCode.FULLY_CONNECTED, code is OpCode.DEPTHWISE_CONV_2D
    x = builder.activation((1, 1) if dense else (1, 1, width, 1), 1.0, 0)
    shape = (channels, 1) if dense else (1, 1, 1, channels) if depthwise else (channels, 1, 1, 1)
    w = builder.constant(np.ones(shape, np.int8), scales, axis=3 if depthwise else 0)
    b = builder.constant(bias, scales)
    y = builder.activation((1, channels) if dense else (1, 1, width, channels), 1.0, 0)
    multiplier = channels if depthwise else 1
    options = (
        ActivationOptions(activation) if dense else WindowOptions(activation=activation, depth_multiplier=multiplier)
    )
    builder.operator(code, [x, w, b], y, options)
    return builder.finish(x, y)


def float_factor(code: OpCode) -> Graph:
    """MUL or RELU with scales by which a factor made in double, not in float as the reference's, gives other values."""
    builder = GraphBuilder()
    shape = (1, 4096)
    if code is OpCode.RELU:
        x, y = builder.activation(shape, 0.200704873, -128), builder.activation(shape, 0.423888683, -128)
        builder.operator(code, [x], y, NoOptions())
    else:  # the factor is one half in float, and not quite in double: ties go the other way
        x, one = builder.activation(shape, 0.1), builder.constant(np.ones((), np.int8), [0.3])
        product = float(np.float32(builder.scale(x)) * np.float32(builder.scale(one)))
        y = builder.activation(shape, 2 * product)
        builder.operator(code, [x, one], y, ActivationOptions())
    return builder.finish(x, y)


def mobilenet(rng: np.random.Generator, *, size: int = 24, depth: int = 3) -> Graph:
    """A small MobileNetV2: stem, inverted residuals with and without a skip, head, mean, dense, softmax."""
    builder = GraphBuilder()

    def conv(
        x: int, channels: int, kernel: int, stride: int, activation: Activation, *, depthwise: bool = False
    ) -> int:
        source = builder.shape(x)
        taps = kernel * kernel * (1 if depthwise else source[3])
        shape = (1, kernel, kernel, source[3]) if depthwise else (channels, kernel, kernel, source[3])
        data = np.clip(rng.normal(0, 50, shape), -127, 127).astype(np.int8)
        scales = [0.02 / taps**0.5 * 10.0 ** rng.uniform(-0.5, 0.5) for _ in range(channels)]
        w = builder.constant(data, scales, axis=3 if depthwise else 0)
        bias_scales = [builder.scale(x) * f32(scale) for scale in scales]
        b = builder.constant((rng.normal(0, 0.3, channels) / bias_scales).astype(np.int32), bias_scales)
        out = tuple(-(-n // stride) for n in source[1:3])
        bounded = activation is Activation.RELU6
        y = builder.activation((1, *out, channels), 6 / 255 if bounded else 0.05, -128 if bounded else -3)
        options = WindowOptions(stride=(stride, stride), activation=activation)
        return builder.operator(OpCode.DEPTHWISE_CONV_2D if depthwise else OpCode.CONV_2D, [x, w, b], y, options)

    def block(x: int, expand: int, channels: int, stride: int) -> int:
        wide = expand * builder.shape(x)[3]
        y = conv(x, wide, 1, 1, Activation.RELU6)
        y = conv(y, wide, 3, stride, Activation.RELU6, depthwise=True)
        y = conv(y, channels, 1, 1, Activation.NONE)
        if stride == 1 and channels == builder.shape(x)[3]:
            total = builder.activation(builder.shape(x), 0.07, 5)
            y = builder.operator(OpCode.ADD, [x, y], total, ActivationOptions())
        return y

    image = builder.activation((1, size, size, depth), 1 / 255, -128)
    x = conv(image, 8, 3, 2, Activation.RELU6)
    x = block(x, 1, 8, 1)
    x = block(x, 3, 12, 2)
    x = block(x, 3, 12, 1)
    x = block(x, 3, 16, 2)
    x = conv(x, 40, 1, 1, Activation.RELU6)
    pooled = builder.activation((1, 40), 6 / 255, -128)
    x = builder.operator(
        OpCode.MEAN, [x, builder.constant(np.array([1, 2], np.int32))], pooled, MeanOptions(axes=(1, 2))
    )
    w = builder.constant(np.clip(rng.normal(0, 50, (4, 40)), -127, 127).astype(np.int8), [0.01])
    b = builder.constant(rng.integers(-500, 500, 4).astype(np.int32), [6 / 255 * f32(0.01)])
    logits = builder.activation((1, 4), 0.08, 10)
    x = builder.operator(OpCode.FULLY_CONNECTED, [x, w, b], logits, ActivationOptions())
    probabilities = builder.activation((1, 4), 1 / 256, -128)
    x = builder.operator(OpCode.SOFTMAX, [x], probabilities, SoftmaxOptions())
    return builder.finish(image, x)
