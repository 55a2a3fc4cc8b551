"""Small models that contain one kind of call, once or several times: a calibration measures what each adds."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.graph.model import (
    Activation,
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
    TransposeOptions,
    WindowOptions,
)
from pipeline.graph.operators import MAX_CONCATENATED
from pipeline.graph.reader import parse
from pipeline.graph.writer import ModelWriter

#: The zero point of what a fused RELU gives.
_LEAST = -128
#: Scales between which an ADD of an operand with the scale 0.05 takes the reference's own arithmetic, both ways.
_TIED = (0.0704, 0.0968)


class _Chain:
    """A model that is one operator after the other."""

    def __init__(self, shape: tuple[int, ...], dtype: DType = DType.INT8, *, scale: float = 0.05) -> None:
        self._rng = np.random.default_rng(0)
        self.writer = ModelWriter()
        self.given = self.writer.tensor(shape, dtype, scale=None if dtype is DType.FLOAT32 else scale)
        self.last, self.shape, self.calls = self.given, shape, 0

    def _output(self, shape: tuple[int, ...], dtype: DType, scale: float, zero_point: int) -> int:
        self.shape = shape
        self.calls += 1
        scales = None if dtype is DType.FLOAT32 else scale
        return self.writer.tensor(shape, dtype, scale=scales, zero_point=zero_point)

    def add(
        self,
        code: OpCode,
        shape: tuple[int, ...],
        options: object,
        *,
        weights: tuple[int, ...] | None = None,
        axis: int = 0,
        again: bool = False,
        operand: tuple[int, ...] | None = None,
        operands: int = 1,
        numbers: tuple[int, ...] = (),
        dtype: DType = DType.INT8,
        scale: float = 0.05,
        zero_point: int = 0,
    ) -> _Chain:
        inputs: list[int | None] = [self.last, self.last] if again else [self.last]
        for constant in [operand] * operands if operand is not None else []:
            data = self._rng.integers(-128, 128, constant)
            inputs.append(self.writer.tensor(constant, DType.INT8, scale=0.05, data=data))
        if numbers:
            inputs.append(self.writer.tensor((len(numbers),), DType.INT32, data=numbers))
        if weights is not None:
            channels = weights[axis]
            data = self._rng.integers(-127, 128, weights)
            scales = self._rng.uniform(0.001, 0.01, channels)
            inputs.append(self.writer.tensor(weights, DType.INT8, scale=scales, axis=axis, data=data))
            biases = self._rng.integers(-999, 999, channels)
            inputs.append(self.writer.tensor((channels,), DType.INT32, scale=0.001, data=biases))
        made = self._output(shape, dtype, scale, zero_point)
        self.writer.operator(code, inputs, [made], options)
        self.last = made
        return self

    def graph(self) -> Graph:
        return parse(self.writer.finish([self.given], [self.last]))


def _convolutions(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 3))
    stem = WindowOptions(stride=(2, 2), activation=Activation.RELU)
    chain.add(OpCode.CONV_2D, (1, 12, 12, 32), stem, weights=(32, 3, 3, 3), zero_point=_LEAST)
    for kernel in itertools.islice(itertools.cycle((1, 3, 1)), calls - 1):
        chain.add(OpCode.CONV_2D, (1, 12, 12, 32), WindowOptions(), weights=(32, kernel, kernel, 32))
    return chain.graph()


def _depthwise(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 16))
    for index in range(calls):
        stride = 2 if index == 1 else 1
        size = 24 if index == 0 else 12
        options = WindowOptions(stride=(stride, stride), activation=Activation.RELU)
        shape = (1, size, size, 16)
        chain.add(OpCode.DEPTHWISE_CONV_2D, shape, options, weights=(1, 3, 3, 16), axis=3, zero_point=_LEAST)
    return chain.graph()


def _separables(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 16))
    for index in range(calls):
        stride = 2 if index == 1 else 1
        size = 24 if index == 0 else 12
        options = WindowOptions(stride=(stride, stride), activation=Activation.RELU)
        shape = (1, size, size, 16)
        chain.add(OpCode.DEPTHWISE_CONV_2D, shape, options, weights=(1, 3, 3, 16), axis=3, zero_point=_LEAST)
        chain.add(OpCode.CONV_2D, (1, size, size, 16), WindowOptions(), weights=(16, 1, 1, 16))
    return chain.graph()


def _adds(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 16))
    for _ in range(calls):
        chain.add(OpCode.ADD, (1, 24, 24, 16), ActivationOptions(), again=True)
    return chain.graph()


def _reference_adds(calls: int) -> Graph:
    """With scales for which no short sum gives the reference's result on all inputs."""
    chain = _Chain((1, 24, 24, 16), scale=_TIED[0])
    for index in range(calls):
        options, scale = ActivationOptions(), _TIED[(index + 1) % 2]
        chain.add(OpCode.ADD, (1, 24, 24, 16), options, operand=(1, 24, 24, 16), scale=scale)
    return chain.graph()


def _broadcasts(code: OpCode) -> Callable[[int], Graph]:
    def make(calls: int) -> Graph:
        chain = _Chain((1, 24, 24, 16))
        for _ in range(calls):
            chain.add(code, (1, 24, 24, 16), ActivationOptions(), operand=(16,))
        return chain.graph()

    return make


def _pools(code: OpCode) -> Callable[[int], Graph]:
    def make(calls: int) -> Graph:
        chain = _Chain((1, 24, 24, 16))
        for _ in range(calls):
            chain.add(code, (1, 24, 24, 16), WindowOptions(filter=(3, 3)))
        return chain.graph()

    return make


def _activations(code: OpCode) -> Callable[[int], Graph]:
    def make(calls: int) -> Graph:
        chain = _Chain((1, 24, 24, 16))
        for index in range(calls):
            # Another scale each time, since equal tables are kept once.
            chain.add(code, (1, 24, 24, 16), NoOptions(), scale=0.05 + 0.002 * index)
        return chain.graph()

    return make


def _concatenations(calls: int) -> Graph:
    """Each of as many inputs as there may be: its call and its stack are the largest."""
    chain = _Chain((1, 24, 24, 1))
    for _ in range(calls):
        shape = (1, 24, 24, chain.shape[3] + MAX_CONCATENATED - 1)
        options = ConcatenationOptions(3)
        chain.add(OpCode.CONCATENATION, shape, options, operand=(1, 24, 24, 1), operands=MAX_CONCATENATED - 1)
    return chain.graph()


def _splits(calls: int) -> Graph:
    """Into as many outputs as there may be, the first of which is split again; from a tensor that is long enough."""
    writer, parts = ModelWriter(), 2
    size = 3 * parts**calls
    given = last = writer.tensor((1, size), DType.INT8, scale=0.05)
    for _ in range(calls):
        size //= parts
        axis = writer.tensor((), DType.INT32, data=1)
        outputs = [writer.tensor((1, size), DType.INT8, scale=0.05) for _ in range(parts)]
        writer.operator(OpCode.SPLIT, [axis, last], outputs, SplitOptions(1))
        last = outputs[0]
    return parse(writer.finish([given], [last]))


def _transposes(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 16))
    for _ in range(calls):
        _, height, width, depth = chain.shape
        chain.add(OpCode.TRANSPOSE, (1, depth, height, width), TransposeOptions((0, 3, 1, 2)), numbers=(0, 3, 1, 2))
    return chain.graph()


def _means(calls: int) -> Graph:
    """Over channels; over an image MEAN goes row by row."""
    chain = _Chain((1, 24, 24, 16))
    for _ in range(calls):
        chain.add(OpCode.MEAN, (1, 24, 24, 1), MeanOptions((3,), keep_dims=True))
    return chain.graph()


def _sums(code: OpCode) -> Callable[[int], Graph]:
    def make(calls: int) -> Graph:
        chain = _Chain((1, 24, 24, 16))
        for _ in range(calls):
            size = chain.shape[1]
            options = (
                MeanOptions((1, 2), keep_dims=True)
                if code is OpCode.MEAN
                else WindowOptions(padding=Padding.VALID, filter=(size, size))
            )
            chain.add(code, (1, 1, 1, 16), options)
        return chain.graph()

    return make


def _pads(calls: int) -> Graph:
    chain = _Chain((1, 24, 24, 16))
    for index in range(calls):
        size = 25 + index
        chain.add(OpCode.PAD, (1, size, size, 16), PadOptions(((0, 0), (0, 1), (0, 1), (0, 0))))
    return chain.graph()


def _softmaxes(calls: int) -> Graph:
    chain = _Chain((1, 10))
    for _ in range(calls):
        chain.add(OpCode.SOFTMAX, (1, 10), SoftmaxOptions(), scale=1 / 256, zero_point=-128)
    return chain.graph()


def _edge(code: OpCode, before: DType, after: DType) -> Callable[[int], Graph]:
    def make(_: int) -> Graph:
        return _Chain((1, 24, 24, 3), before).add(code, (1, 24, 24, 3), NoOptions(), dtype=after).graph()

    return make


@dataclass(frozen=True)
class _Form:
    """What makes a layer take a form of its kernel: activation, zero point and scale of its output."""

    activation: Activation
    zero_point: int
    scale: float = 0.05


_RELU = _Form(Activation.RELU, _LEAST)
_LINEAR = _Form(Activation.NONE, 0)
#: With bounds within int8, which saturation does not set.
_CLAMPED_RELU = _Form(Activation.RELU, _LEAST + 28)
_CLAMPED = _Form(Activation.RELU_N1_TO_1, 0)
#: Its factors are too large for the short forms.
_PLAIN = _Form(Activation.NONE, 0, scale=0.0001)
_CLAMPED_PLAIN = _Form(Activation.RELU, _LEAST + 28, scale=0.0001)


def _part_convolution(width: int, form: _Form) -> Graph:
    """Blocks of ``width`` pixels alone; of an image that is so large that blocks need not be small."""
    options = WindowOptions(activation=form.activation)
    chain = _Chain((1, 64, width, 4))
    chain.add(
        OpCode.CONV_2D, (1, 64, width, 64), options, weights=(64, 3, 3, 4), zero_point=form.zero_point, scale=form.scale
    )
    return chain.graph()


def _part_depthwise(kernel: int, stride: int, channels: int, form: _Form) -> Graph:
    """Rows of a depthwise convolution; channels that are no multiple of four take the form plain."""
    return _with_depthwise(_Chain((1, 8, 8, channels)), kernel, stride, form).graph()


def _part_separable(window: tuple[int, int], channels: int, width: int, pointwise: _Form, first: _Form) -> Graph:
    """A depthwise convolution (kernel, stride) and the 1×1 convolution of it, in rows of ``width`` pixels."""
    kernel, stride = window
    chain = _with_depthwise(_Chain((1, 8, width * stride, channels)), kernel, stride, first)
    options = WindowOptions(activation=pointwise.activation)
    shape = (*chain.shape[:3], 8)
    weights = (8, 1, 1, channels)
    chain.add(OpCode.CONV_2D, shape, options, weights=weights, zero_point=pointwise.zero_point, scale=pointwise.scale)
    return chain.graph()


def _with_depthwise(chain: _Chain, kernel: int, stride: int, form: _Form) -> _Chain:
    _, height, width, channels = chain.shape
    options = WindowOptions(stride=(stride, stride), activation=form.activation)
    shape = (1, -(-height // stride), -(-width // stride), channels)
    weights = (1, kernel, kernel, channels)
    return chain.add(
        OpCode.DEPTHWISE_CONV_2D,
        shape,
        options,
        weights=weights,
        axis=3,
        zero_point=form.zero_point,
        scale=form.scale,
    )


#: Models that differ in the parts of kernels that they need, few of them in each.
PARTS: tuple[Callable[[], Graph], ...] = (
    *(
        partial(_part_convolution, width, form)
        for width in (4, 3, 2, 1)
        for form in (_RELU, _LINEAR, _CLAMPED_RELU, _CLAMPED)
    ),
    partial(_part_convolution, 4, _PLAIN),
    partial(_part_convolution, 3, _CLAMPED_PLAIN),
    partial(_part_depthwise, 3, 1, 8, _LINEAR),
    partial(_part_depthwise, 3, 1, 8, _RELU),
    partial(_part_depthwise, 3, 1, 8, _CLAMPED),
    partial(_part_depthwise, 3, 1, 8, _PLAIN),
    partial(_part_depthwise, 3, 2, 8, _RELU),
    partial(_part_depthwise, 3, 2, 8, _CLAMPED_RELU),
    partial(_part_depthwise, 5, 1, 8, _LINEAR),
    partial(_part_depthwise, 5, 1, 8, _CLAMPED),
    partial(_part_depthwise, 3, 1, 6, _LINEAR),
    partial(_part_depthwise, 3, 1, 6, _CLAMPED),
    partial(_part_separable, (3, 1), 8, 4, _RELU, _LINEAR),
    partial(_part_separable, (3, 2), 8, 3, _LINEAR, _RELU),
    partial(_part_separable, (3, 1), 8, 1, _LINEAR, _RELU),
    partial(_part_separable, (3, 1), 8, 4, _CLAMPED, _CLAMPED_RELU),
    partial(_part_separable, (3, 2), 8, 4, _PLAIN, _CLAMPED),
    partial(_part_separable, (5, 1), 8, 2, _RELU, _LINEAR),
    partial(_part_separable, (3, 1), 6, 4, _LINEAR, _RELU),
)


def mixed() -> Graph:
    """Many kernels, each called once: then no two calls share what they pass."""
    chain = _Chain((1, 24, 24, 3), DType.FLOAT32)
    image, half = (1, 24, 24, 16), (1, 12, 12, 16)
    chain.add(OpCode.QUANTIZE, (1, 24, 24, 3), NoOptions())
    chain.add(OpCode.CONV_2D, image, WindowOptions(), weights=(16, 3, 3, 3))
    chain.add(OpCode.HARD_SWISH, image, NoOptions())
    chain.add(OpCode.DEPTHWISE_CONV_2D, image, WindowOptions(), weights=(1, 3, 3, 16), axis=3)
    chain.add(OpCode.MAX_POOL_2D, half, WindowOptions(stride=(2, 2), filter=(2, 2)))
    chain.add(OpCode.ADD, half, ActivationOptions(), again=True)
    chain.add(OpCode.MUL, half, ActivationOptions(), operand=(16,))
    chain.add(OpCode.ADD, half, ActivationOptions(), operand=(16,))
    chain.add(OpCode.RELU, half, NoOptions())
    chain.add(OpCode.AVERAGE_POOL_2D, half, WindowOptions(filter=(3, 3)))
    chain.add(OpCode.PAD, (1, 13, 13, 16), PadOptions(((0, 0), (0, 1), (0, 1), (0, 0))))
    chain.add(OpCode.TRANSPOSE, (1, 16, 13, 13), TransposeOptions((0, 3, 1, 2)), numbers=(0, 3, 1, 2))
    chain.add(OpCode.MEAN, (1, 1, 1, 13), MeanOptions((1, 2), keep_dims=True))
    chain.add(OpCode.CONCATENATION, (1, 1, 1, 15), ConcatenationOptions(3), operand=(1, 1, 1, 2))
    chain.add(OpCode.SOFTMAX, (1, 1, 1, 15), SoftmaxOptions(), scale=1 / 256, zero_point=-128)
    return chain.add(OpCode.DEQUANTIZE, (1, 1, 1, 15), NoOptions(), dtype=DType.FLOAT32).graph()


#: By the function that is called.
PROBES: dict[str, Callable[[int], Graph]] = {
    "add": _adds,
    "add_broadcast": _broadcasts(OpCode.ADD),
    "add_reference": _reference_adds,
    "average_of_rows": _sums(OpCode.AVERAGE_POOL_2D),
    "average_pool_2d": _pools(OpCode.AVERAGE_POOL_2D),
    "concatenation": _concatenations,
    "conv_2d": _convolutions,
    "depthwise_conv_2d": _depthwise,
    "dequantize": _edge(OpCode.DEQUANTIZE, DType.INT8, DType.FLOAT32),
    "lookup": _activations(OpCode.HARD_SWISH),
    "max_pool_2d": _pools(OpCode.MAX_POOL_2D),
    "mean": _means,
    "mean_of_rows": _sums(OpCode.MEAN),
    "mul": _broadcasts(OpCode.MUL),
    "pad": _pads,
    "quantize": _edge(OpCode.QUANTIZE, DType.FLOAT32, DType.INT8),
    "relu": _activations(OpCode.RELU),
    "requantize": _edge(OpCode.QUANTIZE, DType.UINT8, DType.INT8),
    "separable_conv_2d": _separables,
    "softmax": _softmaxes,
    "split": _splits,
    "strided_copy": _transposes,
}
