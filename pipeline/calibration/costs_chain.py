"""Builds models that are one operator after the other, on images of any shapes, for costs_probes.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod, sqrt

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
    Options,
    Padding,
    PadOptions,
    SoftmaxOptions,
    SplitOptions,
    StridedSliceOptions,
    TransposeOptions,
    WindowOptions,
)
from pipeline.graph.operators import MAX_CONCATENATED
from pipeline.graph.reader import parse
from pipeline.graph.writer import ModelWriter

#: Spread of uniformly random int8 numbers around their mean.
_SPREAD = 74.0
#: A bias that takes a layer's sums beyond what the short forms hold (requantize.h).
_HUGE = 2**23


@dataclass(frozen=True)
class Layer:
    """A convolution, depthwise or not, or a dense layer.

    Attributes:
        outputs: Channels; of a depthwise one the filters of each input channel.
        kernel: Rows and columns.
        stride: Along both.
        activation: The fused one.
        padding: How the window meets the border.
        huge: With a bias for which only the form plain will do.
        narrow: Its activation leaves a part of int8 unused, so that outputs must be clamped.
    """

    outputs: int = 1
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    activation: Activation = Activation.NONE
    padding: Padding = Padding.SAME
    huge: bool = False
    narrow: bool = False


class Chain:
    """A model that is one operator after the other; each method adds one."""

    def __init__(self, shape: tuple[int, ...], seed: int, dtype: DType = DType.INT8) -> None:
        self._rng = np.random.default_rng(seed)
        self.writer = ModelWriter()
        self.scale, self.zero_point = 0.05, 0
        self.given = self.writer.tensor(shape, dtype, scale=None if dtype is DType.FLOAT32 else self.scale)
        self.last, self.shape = self.given, shape

    def graph(self) -> Graph:
        """The model so far."""
        return parse(self.writer.finish([self.given], [self.last]))

    def supply(self, shape: tuple[int, ...]) -> None:
        """As many elements as a shape has, in that shape: CONCATENATION, STRIDED_SLICE and RESHAPE, where needed."""
        wanted = prod(shape)
        while prod(self.shape) < wanted:
            times = min(MAX_CONCATENATED, -(-wanted // prod(self.shape)))
            self.reshape((1, prod(self.shape)))
            self.concatenate(times)
        if prod(self.shape) > wanted:
            self.reshape((1, prod(self.shape)))
            self.slice((0, 0), (1, wanted), (1, 1))
        self.reshape(shape)

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Another shape of the same elements."""
        if shape != self.shape:
            self._same(OpCode.RESHAPE, [self.last], shape, NoOptions())

    def slice(self, begins: tuple[int, ...], ends: tuple[int, ...], strides: tuple[int, ...]) -> None:
        """STRIDED_SLICE, with strides that divide."""
        numbers = [self._numbers(one) for one in (begins, ends, strides)]
        sizes = tuple(-(-(end - begin) // stride) for begin, end, stride in zip(begins, ends, strides, strict=True))
        options = StridedSliceOptions(begins, strides, sizes)
        self._same(OpCode.STRIDED_SLICE, [self.last, *numbers], sizes, options)

    def convolution(self, layer: Layer) -> None:
        """CONV_2D."""
        shape = self._windowed(layer.kernel, layer.stride, layer.padding, layer.outputs)
        weights = (layer.outputs, *layer.kernel, self.shape[3])
        self._layer(OpCode.CONV_2D, shape, weights, 0, layer)

    def depthwise(self, layer: Layer) -> None:
        """DEPTHWISE_CONV_2D."""
        channels = self.shape[3] * layer.outputs
        shape = self._windowed(layer.kernel, layer.stride, layer.padding, channels)
        self._layer(OpCode.DEPTHWISE_CONV_2D, shape, (1, *layer.kernel, channels), 3, layer)

    def dense(self, layer: Layer) -> None:
        """FULLY_CONNECTED of each row of [rows, inputs]."""
        shape = (*self.shape[:-1], layer.outputs)
        self._layer(OpCode.FULLY_CONNECTED, shape, (layer.outputs, self.shape[-1]), 0, layer)

    def pool(self, code: OpCode, *, kernel: int, stride: int, padding: Padding, activation: Activation) -> None:
        """AVERAGE_POOL_2D or MAX_POOL_2D."""
        shape = self._windowed((kernel, kernel), stride, padding, self.shape[3])
        options = WindowOptions((stride, stride), padding=padding, activation=activation, filter=(kernel, kernel))
        self._same(code, [self.last], shape, options)

    def average(self) -> None:
        """AVERAGE_POOL_2D of a whole image."""
        options = WindowOptions(padding=Padding.VALID, filter=(self.shape[1], self.shape[2]))
        self._same(OpCode.AVERAGE_POOL_2D, [self.last], (1, 1, 1, self.shape[3]), options)

    def elementwise(
        self, code: OpCode, *, operand: tuple[int, ...] | None = None, narrow: bool = False, fine: bool = False
    ) -> None:
        """ADD or MUL with itself, or with a constant of this shape.

        ``fine``: with an output so fine that an ADD needs the reference's arithmetic.
        """
        other = self.last
        if operand is not None:
            other = self.writer.tensor(
                operand, DType.INT8, scale=self.scale, data=self._rng.integers(-128, 128, operand)
            )
        options = ActivationOptions(Activation.RELU if narrow else Activation.NONE)
        scale = self.scale / 16 if fine else 2 * self.scale if code is OpCode.ADD else 0.05
        self._make(code, [self.last, other], self.shape, options, (scale, 0))

    def simple(self, code: OpCode, *, scale: float) -> None:
        """An operator that has no options and keeps the shape."""
        self._make(code, [self.last], self.shape, NoOptions(), (scale, 0))

    def mean(self, axes: tuple[int, ...]) -> None:
        """MEAN."""
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(self.shape))
        self._same(OpCode.MEAN, [self.last], shape, MeanOptions(axes, keep_dims=True))

    def pad(self, paddings: tuple[tuple[int, int], ...]) -> None:
        """PAD."""
        shape = tuple(size + sum(around) for size, around in zip(self.shape, paddings, strict=True))
        self._same(OpCode.PAD, [self.last], shape, PadOptions(paddings))

    def concatenate(self, times: int) -> None:
        """CONCATENATION with itself along the last dimension."""
        shape = (*self.shape[:-1], times * self.shape[-1])
        self._same(OpCode.CONCATENATION, [self.last] * times, shape, ConcatenationOptions(len(shape) - 1))

    def transpose(self, permutation: tuple[int, ...]) -> None:
        """TRANSPOSE."""
        shape = tuple(self.shape[axis] for axis in permutation)
        self._same(OpCode.TRANSPOSE, [self.last, self._numbers(permutation)], shape, TransposeOptions(permutation))

    def split(self, parts: int) -> None:
        """SPLIT along the last dimension; the first part goes on."""
        axis = len(self.shape) - 1
        shape = (*self.shape[:-1], self.shape[-1] // parts)
        where = self.writer.tensor((), DType.INT32, data=axis)
        outputs = [
            self.writer.tensor(shape, DType.INT8, scale=self.scale, zero_point=self.zero_point) for _ in range(parts)
        ]
        self.writer.operator(OpCode.SPLIT, [where, self.last], outputs, SplitOptions(axis))
        self.last, self.shape = outputs[0], shape

    def softmax(self, depth: int) -> None:
        """SOFTMAX of the logits of a dense layer, from whose spread the work on each of them follows."""
        self.dense(Layer(depth))
        self._make(OpCode.SOFTMAX, [self.last], self.shape, SoftmaxOptions(), (1 / 256, -128))

    def cast(self, code: OpCode, dtype: DType) -> None:
        """QUANTIZE or DEQUANTIZE."""
        scale = None if dtype is DType.FLOAT32 else 0.05
        made = self.writer.tensor(self.shape, dtype, scale=scale)
        self.writer.operator(code, [self.last], [made], NoOptions())
        self.last, self.scale, self.zero_point = made, 0.05, 0

    def _numbers(self, values: tuple[int, ...]) -> int:
        return self.writer.tensor((len(values),), DType.INT32, data=values)

    def _windowed(self, kernel: tuple[int, int], stride: int, padding: Padding, channels: int) -> tuple[int, ...]:
        sizes = self.shape[1:3]
        made = (
            (-(-size // stride) for size in sizes)
            if padding is Padding.SAME
            else ((size - taps) // stride + 1 for size, taps in zip(sizes, kernel, strict=True))
        )
        return (1, *made, channels)

    def _layer(self, code: OpCode, shape: tuple[int, ...], weights: tuple[int, ...], axis: int, layer: Layer) -> None:
        channels = weights[axis]
        taps = prod(weights) // channels
        scale, zero_point = 0.05, 0
        if layer.activation is not Activation.NONE:
            zero_point = -100 if layer.narrow else -128
            scale = 6 / 255
        scales = scale / (self.scale * sqrt(taps) * _SPREAD) * self._rng.uniform(0.5, 2.0, channels)
        data = self._rng.integers(-127, 128, weights)
        biases = self._rng.integers(-3000, 3000, channels) + (_HUGE if layer.huge else 0)
        inputs = [
            self.last,
            self.writer.tensor(weights, DType.INT8, scale=scales, axis=axis, data=data),
            self.writer.tensor((channels,), DType.INT32, scale=scales * self.scale, data=biases),
        ]
        options: Options = ActivationOptions(layer.activation)
        if code is not OpCode.FULLY_CONNECTED:
            options = WindowOptions(
                (layer.stride, layer.stride),
                padding=layer.padding,
                activation=layer.activation,
                depth_multiplier=layer.outputs if code is OpCode.DEPTHWISE_CONV_2D else 1,
            )
        self._make(code, inputs, shape, options, (scale, zero_point))

    def _same(self, code: OpCode, inputs: Sequence[int], shape: tuple[int, ...], options: Options) -> None:
        self._make(code, inputs, shape, options, (self.scale, self.zero_point))

    def _make(
        self,
        code: OpCode,
        inputs: Sequence[int],
        shape: tuple[int, ...],
        options: Options,
        quantization: tuple[float, int],
    ) -> None:
        scale, zero_point = quantization
        made = self.writer.tensor(shape, DType.INT8, scale=scale, zero_point=zero_point)
        self.writer.operator(code, list(inputs), [made], options)
        self.last, self.shape, self.scale, self.zero_point = made, shape, scale, zero_point
