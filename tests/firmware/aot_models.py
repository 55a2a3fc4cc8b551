"""Random models of one operator each, at the edges of what a .tflite may say, and inputs for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from aot_builder import (
    GraphBuilder,
    f32,
    random_activation,
    random_builder,
    random_output_scale,
    random_weights,
    random_zero_point,
    window_size,
)
from numpy.typing import NDArray

from pipeline.graph.model import (
    ActivationOptions,
    ConcatenationOptions,
    DType,
    Graph,
    MeanOptions,
    NoOptions,
    OpCode,
    Padding,
    PadOptions,
    SoftmaxOptions,
    SplitOptions,
    SqueezeOptions,
    StridedSliceOptions,
    Tensor,
    TransposeOptions,
    WindowOptions,
)


def convolution(rng: np.random.Generator, *, depthwise: bool = False, grouped: bool = False) -> Graph:
    """CONV_2D or DEPTHWISE_CONV_2D: any stride, kernel, padding, zero points, scales over decades.

    ``grouped`` gives those that the kernel for four channels at a time takes.
    """
    builder = random_builder(rng)
    kernel = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    if rng.random() < 0.4:
        size = int(rng.choice([3, 5, 7])) if depthwise else int(rng.choice([1, 1, 7]))
        kernel = (size, size)
    stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    padding = Padding(str(rng.choice(["same", "valid"])))
    height, width = (int(rng.integers(low, low + 8)) for low in (kernel if padding is Padding.VALID else (1, 1)))
    depth = int(rng.integers(1, 10))
    multiplier = int(rng.choice([1, 1, 1, 2, 3]))
    if grouped:
        kernel, width = (kernel, width) if rng.random() < 0.6 else ((int(rng.integers(1, 8)),) * 2, width)
        height, width = max(height, kernel[0]), max(width, kernel[1]) + int(rng.choice([0, 0, 10, 30]))
        depth, multiplier = 4 * int(rng.integers(1, 4)), 1
    channels = depth * multiplier if depthwise else int(rng.integers(1, 12))
    x = builder.activation((1, height, width, depth), 10.0 ** rng.uniform(-3, 1), random_zero_point(rng))
    taps = kernel[0] * kernel[1] * (1 if depthwise else depth)
    spread = builder.scale(x) * 74 * 74 * taps**0.5
    shape = (1, *kernel, channels) if depthwise else (channels, *kernel, depth)
    factor = 10.0 ** rng.uniform(-4, 0)
    data, scales, bias = random_weights(rng, shape, channels, factor, bias_share=0.8 if depthwise else 1.0)
    w = builder.constant(data, scales, axis=3 if depthwise else 0)
    inputs: list[int | None] = [x, w]
    if bias is not None:
        inputs.append(builder.constant(bias, [builder.scale(x) * builder.round(scale) for scale in scales]))
    out = tuple(window_size(size, k, s, padding) for size, k, s in zip((height, width), kernel, stride, strict=True))
    y = builder.activation((1, *out, channels), random_output_scale(rng, spread * factor), random_zero_point(rng))
    options = WindowOptions(
        stride=(stride[0], stride[1]),
        padding=padding,
        activation=random_activation(rng),
        depth_multiplier=multiplier if depthwise else 1,
    )
    builder.operator(OpCode.DEPTHWISE_CONV_2D if depthwise else OpCode.CONV_2D, inputs, y, options)
    return builder.finish(x, y)


def depthwise(rng: np.random.Generator) -> Graph:
    return convolution(rng, depthwise=True)


def grouped_depthwise(rng: np.random.Generator) -> Graph:
    return convolution(rng, depthwise=True, grouped=True)


def separable(rng: np.random.Generator) -> Graph:
    """A depthwise convolution whose output only a 1×1 convolution reads."""
    first = convolution(rng, depthwise=True, grouped=bool(rng.random() < 0.6))
    builder = GraphBuilder(tensors=list(first.tensors), operators=list(first.operators))
    middle = first.output
    *shape, depth = middle.shape
    channels = int(rng.integers(1, 12))
    factor = 10.0 ** rng.uniform(-4, 0)
    data, scales, bias = random_weights(rng, (channels, 1, 1, depth), channels, factor, bias_share=1.0)
    inner = builder.scale(middle.index)
    inputs: list[int | None] = [middle.index, builder.constant(data, scales)]
    if bias is not None:
        inputs.append(builder.constant(bias, [inner * scale for scale in scales]))
    spread = inner * 74 * 74 * depth**0.5 * factor
    y = builder.activation((*shape, channels), random_output_scale(rng, spread), random_zero_point(rng))
    builder.operator(OpCode.CONV_2D, inputs, y, WindowOptions(activation=random_activation(rng)))
    return builder.finish(first.input.index, y)


def fully_connected(rng: np.random.Generator) -> Graph:
    """FULLY_CONNECTED, one scale or one an output, on a vector or a small map."""
    builder = random_builder(rng)
    inputs, outputs = int(rng.integers(1, 80)), int(rng.integers(1, 20))
    x = builder.activation((1, inputs), 10.0 ** rng.uniform(-3, 1), random_zero_point(rng))
    factor = 10.0 ** rng.uniform(-4, 0)
    data, scales, bias = random_weights(rng, (outputs, inputs), outputs, factor)
    w = builder.constant(data, scales)
    operands: list[int | None] = [x, w]
    if bias is not None:
        operands.append(builder.constant(bias, [builder.scale(x) * builder.round(scale) for scale in scales]))
    elif rng.random() < 0.5:
        operands.append(None)
    spread = builder.scale(x) * 74 * 74 * inputs**0.5 * factor
    y = builder.activation((1, outputs), random_output_scale(rng, spread), random_zero_point(rng))
    builder.operator(OpCode.FULLY_CONNECTED, operands, y, ActivationOptions(activation=random_activation(rng)))
    return builder.finish(x, y)


def add(rng: np.random.Generator) -> Graph:
    """ADD of the input and a constant, or of the input and itself."""
    builder = random_builder(rng)
    shape = (1, int(rng.integers(1, 6)), int(rng.integers(1, 6)), int(rng.integers(1, 12)))
    x = builder.activation(shape, 10.0 ** rng.uniform(-3, 2), random_zero_point(rng))
    other = x
    if rng.random() < 0.9:
        scale = builder.scale(x) * 10.0 ** rng.uniform(-2, 2)
        data = rng.integers(-128, 128, shape).astype(np.int8)
        other = builder.constant(data, [scale], zero_point=random_zero_point(rng))
    largest = max(builder.scale(x), builder.scale(other))
    y = builder.activation(shape, largest * 10.0 ** rng.uniform(-1.5, 1.5), random_zero_point(rng))
    operands = [x, other] if rng.random() < 0.5 else [other, x]
    builder.operator(OpCode.ADD, operands, y, ActivationOptions(activation=random_activation(rng)))
    return builder.finish(x, y)


def concatenation(rng: np.random.Generator) -> Graph:
    """The input, constants, and the input once more, along any dimension but the batch."""
    builder = random_builder(rng)
    rank = int(rng.integers(2, 5))
    shape = [1, *(int(rng.integers(1, 6)) for _ in range(rank - 1))]
    axis = int(rng.integers(1, rank))
    zero_point = random_zero_point(rng)
    x = builder.activation(shape, 0.5, zero_point)
    inputs, total = [x], shape[axis]
    for _ in range(int(rng.integers(0, 5))):
        if rng.random() < 0.3:
            inputs.append(x)
            total += shape[axis]
        else:
            size = int(rng.integers(1, 6))
            data = rng.integers(-128, 128, [*shape[:axis], size, *shape[axis + 1 :]]).astype(np.int8)
            inputs.insert(int(rng.integers(len(inputs) + 1)), builder.constant(data, [0.5], zero_point=zero_point))
            total += size
    y = builder.activation([*shape[:axis], total, *shape[axis + 1 :]], 0.5, zero_point)
    builder.operator(OpCode.CONCATENATION, inputs, y, ConcatenationOptions(axis))
    return builder.finish(x, y)


def branches(rng: np.random.Generator) -> Graph:
    """A map and two activations of it, put together channel by channel: three inputs that are made at run time."""
    builder = random_builder(rng)
    shape = (1, 5, 4, int(rng.integers(1, 8)))
    x = builder.activation(shape, 0.25, 3)
    made = [x]
    for code in (OpCode.RELU, OpCode.RELU6):
        y = builder.activation(shape, 0.25, 3)
        made.append(builder.operator(code, [x], y, NoOptions()))
    joined = builder.activation((*shape[:3], 3 * shape[3]), 0.25, 3)
    builder.operator(OpCode.CONCATENATION, [made[1], x, made[2]], joined, ConcatenationOptions(3))
    return builder.finish(x, joined)


def transpose(rng: np.random.Generator) -> Graph:
    """Any order of up to four dimensions; the batch stays in front, or one of 1 takes its place."""
    builder = random_builder(rng)
    rank = int(rng.integers(2, 5))
    shape = [1, *(int(rng.integers(1, 6)) for _ in range(rank - 1))]
    permutation = [int(axis) for axis in rng.permutation(rank)]
    while shape[permutation[0]] != 1:
        permutation = [int(axis) for axis in rng.permutation(rank)]
    x = builder.activation(shape, 0.5, 3)
    y = builder.activation([shape[axis] for axis in permutation], 0.5, 3)
    table = builder.constant(np.array(permutation, np.int32))
    builder.operator(OpCode.TRANSPOSE, [x, table], y, TransposeOptions(tuple(permutation)))
    return builder.finish(x, y)


def strided_slice(rng: np.random.Generator) -> Graph:
    """Begins and ends on either side of the borders, steps in both directions, dimensions that fall away."""
    builder = random_builder(rng)
    rank = int(rng.integers(2, 5))
    shape = [1, *(int(rng.integers(1, 8)) for _ in range(rank - 1))]
    x = builder.activation(shape, 0.5, 3)
    begins, ends, strides, taken, kept, masks = [0], [1], [1], [range(1)], [1], [0, 0, 0]
    for axis, size in enumerate(shape[1:], start=1):
        while True:
            begin, end = (int(value) for value in rng.integers(-size - 2, size + 3, 2))
            stride = int(rng.choice([1, 1, 2, 3, -1, -2]))
            open_begin, open_end, drop = (bool(chance < 0.25) for chance in rng.random(3))
            if drop:
                begin, stride, open_begin = int(rng.integers(-size, size)), 1, False
                places = range(begin % size, begin % size + 1)
            else:
                places = range(size)[None if open_begin else begin : None if open_end else end : stride]
            if places:
                break
        for values, value in ((begins, begin), (ends, end), (strides, stride)):
            values.append(value)
        taken.append(places)
        kept += [] if drop else [len(places)]
        masks = [mask | int(flag) << axis for mask, flag in zip(masks, (open_begin, open_end, drop), strict=True)]
    y = builder.activation(kept, 0.5, 3)
    vectors = [builder.constant(np.array(values, np.int32)) for values in (begins, ends, strides)]
    options = StridedSliceOptions(
        tuple(places[0] for places in taken), tuple(strides), tuple(len(places) for places in taken), *masks
    )
    builder.operator(OpCode.STRIDED_SLICE, [x, *vectors], y, options)
    return builder.finish(x, y)


def _parts(rng: np.random.Generator, builder: GraphBuilder) -> tuple[int, list[int], int]:
    """SPLIT along any dimension but the batch: its input, its outputs, and the dimension."""
    rank = int(rng.integers(2, 5))
    shape = [1, *(int(rng.integers(1, 6)) for _ in range(rank - 1))]
    axis, parts = int(rng.integers(1, rank)), int(rng.integers(1, 9))
    x = builder.activation([*shape[:axis], shape[axis] * parts, *shape[axis + 1 :]], 0.5, 3)
    stated = builder.constant(np.array(axis - rank if rng.random() < 0.5 else axis, np.int32))
    outputs = [builder.activation(shape, 0.5, 3) for _ in range(parts)]
    builder.several(OpCode.SPLIT, [stated, x], outputs, SplitOptions(axis))
    return x, outputs, axis


def split(rng: np.random.Generator) -> Graph:
    """One of its outputs is the model's."""
    builder = random_builder(rng)
    x, outputs, _ = _parts(rng, builder)
    return builder.finish(x, int(rng.choice(outputs)))


def shuffled(rng: np.random.Generator) -> Graph:
    """The parts that SPLIT makes, put together in another order: all of them are seen."""
    builder = random_builder(rng)
    x, outputs, axis = _parts(rng, builder)
    y = builder.activation(builder.shape(x), 0.5, 3)
    builder.operator(OpCode.CONCATENATION, [int(i) for i in rng.permutation(outputs)], y, ConcatenationOptions(axis))
    return builder.finish(x, y)


def squeeze(rng: np.random.Generator) -> Graph:
    builder = random_builder(rng)
    depth = int(rng.integers(2, 20))
    shape, axes = [((1, 1, 1, depth), (1, 2)), ((1, depth, 1), (2,)), ((1, 1, depth, 1), (1,))][int(rng.integers(3))]
    x = builder.activation(shape, 0.5, 3)
    y = builder.activation([size for axis, size in enumerate(shape) if axis not in axes], 0.5, 3)
    builder.operator(OpCode.SQUEEZE, [x], y, SqueezeOptions(axes))
    return builder.finish(x, _used(builder, y))


def _used(builder: GraphBuilder, x: int) -> int:
    """A RELU of what another name was given to: alone, that computes nothing."""
    y = builder.activation(builder.shape(x), 0.25, -10)
    builder.operator(OpCode.RELU, [x], y, NoOptions())
    return y


#: Shapes of an operand that repeats beside (1, h, w, c), and how often it is drawn: scalars, channels, rows, pixels.
_REPEATED = [(), (1,), (1, 1, 1, 1), (-1,), (-1,), (1, 1, 1, -1), (1, -1), (-1, -1), (1, 1, -1, -1), (-1, -1, 1)]


def elementwise(rng: np.random.Generator, code: OpCode, *, equal: bool | None = None) -> Graph:
    """ADD, SUB or MUL of the input and a constant, either of which may repeat, on either side; or of it and itself."""
    builder = random_builder(rng)
    full: tuple[int, ...] = (1, int(rng.integers(1, 6)), int(rng.integers(1, 6)), int(rng.integers(1, 12)))
    if equal is False:
        full = (1, *(size + 1 for size in full[1:]))
    stated = _REPEATED[int(rng.integers(len(_REPEATED)))]
    small = tuple(size if told < 0 else 1 for size, told in zip(full[4 - len(stated) :], stated, strict=True))
    if equal or (equal is None and rng.random() < 0.4):
        small = full
    given, other_shape = full, small
    if len(small) == 4 and rng.random() < 0.4:
        given, other_shape = small, full
    x = builder.activation(given, 10.0 ** rng.uniform(-3, 2), random_zero_point(rng))
    other = x
    if small != full or rng.random() < 0.9:
        scale = builder.scale(x) * 10.0 ** rng.uniform(-2, 2)
        data = rng.integers(-128, 128, other_shape).astype(np.int8)
        other = builder.constant(data, [scale], zero_point=random_zero_point(rng))
    if code is OpCode.MUL:
        spread = builder.scale(x) * builder.scale(other) * 74 * 74
        y = builder.activation(full, random_output_scale(rng, spread), random_zero_point(rng))
    else:
        largest = max(builder.scale(x), builder.scale(other))
        y = builder.activation(full, largest * 10.0 ** rng.uniform(-1.5, 1.5), random_zero_point(rng))
    operands = [x, other] if rng.random() < 0.5 else [other, x]
    builder.operator(code, operands, y, ActivationOptions(activation=random_activation(rng)))
    return builder.finish(x, y)


def add_broadcast(rng: np.random.Generator) -> Graph:
    return elementwise(rng, OpCode.ADD, equal=False)


def subtract(rng: np.random.Generator) -> Graph:
    return elementwise(rng, OpCode.SUB)


def multiply(rng: np.random.Generator) -> Graph:
    return elementwise(rng, OpCode.MUL)


def gated(rng: np.random.Generator, code: OpCode) -> Graph:
    """A feature map and its channels' means, as in squeeze-and-excitation: both operands are made at run time."""
    builder = random_builder(rng)
    height, width, depth = (int(rng.integers(2, 7)) for _ in range(3))
    x = builder.activation((1, height, width, depth), 10.0 ** rng.uniform(-3, 1), random_zero_point(rng))
    means = builder.activation((1, 1, 1, depth), builder.scale(x) * 10.0 ** rng.uniform(-1, 0), random_zero_point(rng))
    axes = builder.constant(np.array([1, 2], np.int32))
    builder.operator(OpCode.MEAN, [x, axes], means, MeanOptions(axes=(1, 2), keep_dims=True))
    product = builder.scale(x) * builder.scale(means) * 1000
    scale = product if code is OpCode.MUL else builder.scale(x) * 10.0 ** rng.uniform(-0.5, 0.5)
    y = builder.activation((1, height, width, depth), scale, random_zero_point(rng))
    operands = [x, means] if rng.random() < 0.5 else [means, x]
    builder.operator(code, operands, y, ActivationOptions(activation=random_activation(rng)))
    return builder.finish(x, y)


def squeezed_add(rng: np.random.Generator) -> Graph:
    """A residual on a 1×1 map as TensorFlow converts it: the squeezed operand comes through a RESHAPE to (C,)."""
    builder = random_builder(rng)
    depth = int(rng.integers(1, 12))
    shape = (1, 1, 1, depth)
    scale, zero_point = 10.0 ** rng.uniform(-3, 2), random_zero_point(rng)
    x = builder.activation(shape, scale, zero_point)
    inner_zero_point = random_zero_point(rng)
    inner = builder.activation(shape, scale * 10.0 ** rng.uniform(-1, 1), inner_zero_point)
    builder.operator(OpCode.QUANTIZE, [x], inner, NoOptions())
    flat = builder.activation((depth,), builder.scale(inner), inner_zero_point)
    builder.operator(OpCode.RESHAPE, [inner, builder.constant(np.array([depth], np.int32))], flat, NoOptions())
    largest = max(builder.scale(x), builder.scale(inner))
    y = builder.activation(shape, largest * 10.0 ** rng.uniform(-1, 1), random_zero_point(rng))
    operands = [x, flat] if rng.random() < 0.5 else [flat, x]
    builder.operator(OpCode.ADD, operands, y, ActivationOptions(activation=random_activation(rng)))
    return builder.finish(x, y)


def pool(rng: np.random.Generator, code: OpCode = OpCode.AVERAGE_POOL_2D) -> Graph:
    builder = random_builder(rng)
    size = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    padding = Padding(str(rng.choice(["same", "valid"])))
    height, width = (int(rng.integers(low, low + 8)) for low in (size if padding is Padding.VALID else (1, 1)))
    depth = int(rng.integers(1, 10))
    scale, zero_point = 10.0 ** rng.uniform(-3, 1), random_zero_point(rng)
    x = builder.activation((1, height, width, depth), scale, zero_point)
    out = tuple(window_size(n, k, s, padding) for n, k, s in zip((height, width), size, stride, strict=True))
    y = builder.activation((1, *out, depth), scale, zero_point)
    options = WindowOptions(stride=stride, padding=padding, activation=random_activation(rng), filter=size)
    builder.operator(code, [x], y, options)
    return builder.finish(x, y)


def max_pool(rng: np.random.Generator) -> Graph:
    return pool(rng, OpCode.MAX_POOL_2D)


def mean(rng: np.random.Generator) -> Graph:
    builder = random_builder(rng)
    height, width, depth = int(rng.integers(1, 14)), int(rng.integers(1, 14)), int(rng.integers(1, 12))
    keep = bool(rng.random() < 0.5)
    x = builder.activation((1, height, width, depth), 10.0 ** rng.uniform(-3, 1), random_zero_point(rng))
    axes: tuple[int, ...] = [(1, 2), (2, 1), (1, 2), (3,), (2,), (1, 2, 3)][int(rng.integers(0, 6))]
    full = (1, height, width, depth)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(full))
    shape = kept if keep else tuple(size for axis, size in enumerate(full) if axis not in axes)
    y = builder.activation(shape, builder.scale(x) * 10.0 ** rng.uniform(-1.5, 1), random_zero_point(rng))
    stated = [axis - 4 if rng.random() < 0.3 else axis for axis in axes]
    axes_tensor = builder.constant(np.array(stated, np.int32))
    builder.operator(OpCode.MEAN, [x, axes_tensor], y, MeanOptions(axes=tuple(sorted(axes)), keep_dims=keep))
    return builder.finish(x, y)


def pad(rng: np.random.Generator, code: OpCode = OpCode.PAD) -> Graph:
    builder = random_builder(rng)
    rank = int(rng.integers(2, 5))
    shape = (1, *(int(rng.integers(1, 6)) for _ in range(rank - 1)))
    paddings = ((0, 0), *((int(rng.integers(0, 4)), int(rng.integers(0, 4))) for _ in range(rank - 1)))
    zero_point = random_zero_point(rng)
    x = builder.activation(shape, 0.5, zero_point)
    made = tuple(size + before + after for size, (before, after) in zip(shape, paddings, strict=True))
    y = builder.activation(made, 0.5, zero_point)
    table = builder.constant(np.array(paddings, np.int32))
    inputs, value = [x, table], None
    if code is OpCode.PADV2:
        value = int(rng.integers(-128, 128))
        shape = () if rng.random() < 0.5 else (1,)
        inputs.append(builder.constant(np.full(shape, value, np.int8), [0.5], zero_point=zero_point))
    builder.operator(code, inputs, y, PadOptions(paddings, value))
    return builder.finish(x, y)


def pad_v2(rng: np.random.Generator) -> Graph:
    return pad(rng, OpCode.PADV2)


def reshape(rng: np.random.Generator) -> Graph:
    builder = random_builder(rng)
    height, width, depth = (int(rng.integers(1, 6)) for _ in range(3))
    x = builder.activation((1, height, width, depth), 0.5, 3)
    shape = (1, height * width * depth)
    y = builder.activation(shape, 0.5, 3)
    builder.operator(OpCode.RESHAPE, [x, builder.constant(np.array(shape, np.int32))], y, NoOptions())
    return builder.finish(x, _used(builder, y))


def relu(rng: np.random.Generator, code: OpCode = OpCode.RELU) -> Graph:
    builder = random_builder(rng)
    shape = (1, int(rng.integers(1, 400)))
    x = builder.activation(shape, 10.0 ** rng.uniform(-3, 1), random_zero_point(rng))
    y = builder.activation(shape, builder.scale(x) * 10.0 ** rng.uniform(-1.5, 1.5), random_zero_point(rng))
    builder.operator(code, [x], y, NoOptions())
    return builder.finish(x, y)


def relu6(rng: np.random.Generator) -> Graph:
    return relu(rng, OpCode.RELU6)


def logistic(rng: np.random.Generator) -> Graph:
    """On every int8 value, among others."""
    builder = random_builder(rng)
    shape = (1, 4, 2, 128)
    x = builder.activation(shape, 10.0 ** rng.uniform(-4, 2), random_zero_point(rng))
    y = builder.activation(shape, 1 / 256, -128)
    builder.operator(OpCode.LOGISTIC, [x], y, NoOptions())
    return builder.finish(x, y)


def hard_swish(rng: np.random.Generator) -> Graph:
    """Scales from where the output is a line to where it is a step; every int8 value is met."""
    builder = random_builder(rng)
    shape = (1, 4, 2, 128)
    x = builder.activation(shape, 10.0 ** rng.uniform(-5, 3), random_zero_point(rng))
    y = builder.activation(shape, builder.scale(x) * 10.0 ** rng.uniform(-1.7, 1.5), random_zero_point(rng))
    builder.operator(OpCode.HARD_SWISH, [x], y, NoOptions())
    return builder.finish(x, y)


def softmax(rng: np.random.Generator) -> Graph:
    builder = random_builder(rng)
    depth = int(rng.choice([1, 2, 2, 3, 10, 100, 400]))
    shape = (1, 200, depth) if depth < 4 else (1, depth)
    exponent = rng.uniform(-6, 1.5) if rng.random() < 0.3 else rng.uniform(-2.5, -1)
    x = builder.activation(shape, 10.0**exponent, random_zero_point(rng))
    y = builder.activation(shape, 1 / 256, -128)
    beta = f32(float(rng.choice([1.0, 1.0, 0.3, 2.5])))
    builder.operator(OpCode.SOFTMAX, [x], y, SoftmaxOptions(beta=beta))
    return builder.finish(x, y)


def quantize(rng: np.random.Generator) -> Graph:
    """QUANTIZE: float to 8 bits, or between two 8-bit quantizations, signed and unsigned."""
    builder = random_builder(rng)
    shape = (1, int(rng.integers(1, 400)))
    before = DType(str(rng.choice(["float32", "int8", "uint8"])))
    after = DType(str(rng.choice(["int8", "uint8"])))
    low = {DType.INT8: 0, DType.UINT8: 128, DType.FLOAT32: 0}
    scale = 10.0 ** rng.uniform(-3, 1)
    source_zero = 0 if before is DType.FLOAT32 else random_zero_point(rng) + low[before]
    x = builder.activation(shape, None if before is DType.FLOAT32 else scale, source_zero, before)
    other = scale * 10.0 ** rng.uniform(-1, 1)
    output_zero = random_zero_point(rng) + low[after]
    if rng.random() < 0.3 and before is not DType.FLOAT32:  # the same quantization, once shifted by 128
        other, output_zero = scale, source_zero - low[before] + low[after]
    y = builder.activation(shape, other, output_zero, after)
    builder.operator(OpCode.QUANTIZE, [x], y, NoOptions())
    return builder.finish(x, y)


def dequantize(rng: np.random.Generator) -> Graph:
    builder = random_builder(rng)
    shape = (1, int(rng.integers(1, 400)))
    unsigned = bool(rng.random() < 0.5)
    zero_point = random_zero_point(rng) + (128 if unsigned else 0)
    x = builder.activation(shape, 10.0 ** rng.uniform(-6, 3), zero_point, DType.UINT8 if unsigned else DType.INT8)
    y = builder.activation(shape, None, dtype=DType.FLOAT32)
    builder.operator(OpCode.DEQUANTIZE, [x], y, NoOptions())
    return builder.finish(x, y)


#: Generator and its cases in the slow part; the quick part takes about a tenth.
KINDS: dict[str, tuple[Callable[[np.random.Generator], Graph], int]] = {
    "conv_2d": (convolution, 48),
    "depthwise_conv_2d": (depthwise, 36),
    "grouped_depthwise": (grouped_depthwise, 60),
    "separable": (separable, 40),
    "fully_connected": (fully_connected, 28),
    "add": (add, 24),
    "add_broadcast": (add_broadcast, 24),
    "sub": (subtract, 36),
    "mul": (multiply, 40),
    "average_pool_2d": (pool, 14),
    "max_pool_2d": (max_pool, 8),
    "mean": (mean, 14),
    "pad": (pad, 6),
    "reshape": (reshape, 2),
    "squeeze": (squeeze, 4),
    "pad_v2": (pad_v2, 10),
    "concatenation": (concatenation, 20),
    "split": (split, 16),
    "strided_slice": (strided_slice, 40),
    "transpose": (transpose, 30),
    "relu": (relu, 14),
    "relu6": (relu6, 12),
    "logistic": (logistic, 24),
    "hard_swish": (hard_swish, 36),
    "softmax": (softmax, 16),
    "quantize": (quantize, 14),
    "dequantize": (dequantize, 4),
}


def random_input(rng: np.random.Generator, tensor: Tensor, kind: int = 0) -> NDArray[Any]:
    """An input; kind 0 random, 1 all lowest, 2 all highest, 3 one value or its neighbours."""
    if tensor.dtype is DType.FLOAT32:
        values = rng.normal(0, 10.0 ** rng.uniform(-2, 3), tensor.shape).astype(np.float32)
        halves = np.arange(tensor.elements, dtype=np.float32).reshape(tensor.shape) / 2 - 60
        return values if kind == 0 else halves.astype(np.float32)
    low, high = (0, 255) if tensor.dtype is DType.UINT8 else (-128, 127)
    dtype = np.dtype(tensor.dtype.value)
    if kind in (1, 2):
        return np.full(tensor.shape, low if kind == 1 else high, dtype)
    if kind == 3:
        start = int(rng.integers(low, high - 1))
        return rng.integers(start, start + 3, tensor.shape).astype(dtype)
    return rng.integers(low, high + 1, tensor.shape).astype(dtype)
