"""The Graph: what a .tflite says, in typed, frozen values; nothing here knows how it was read or will be run.

A Graph comes from a .tflite (:func:`pipeline.graph.reader.read`, with data) or from a Genotype's shapes alone
(:func:`pipeline.graph.skeleton.from_genotype`, constants without data). Planner and estimator take both.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


class DType(StrEnum):
    """Element types that a supported model may contain."""

    INT8 = "int8"
    INT32 = "int32"
    FLOAT32 = "float32"
    UINT8 = "uint8"

    @property
    def size(self) -> int:
        """Bytes an element."""
        return 4 if self in (DType.INT32, DType.FLOAT32) else 1


def without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape as broadcasting sees it; ADD of a 1×1 feature map has an operand that the converter squeezed to (C,).

    >>> without_leading_ones((1, 1, 1, 8)) == without_leading_ones((8,))
    True
    """
    return tuple(itertools.dropwhile(lambda size: size == 1, shape))


def broadcast_shape(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of an elementwise result; None where the operands' shapes do not fit.

    Dimensions are matched from the last one on; one of size 1, or one that is missing, repeats.

    >>> broadcast_shape((1, 4, 4, 8), (8,))
    (1, 4, 4, 8)
    """
    pairs = itertools.zip_longest(reversed(first), reversed(second), fillvalue=1)
    sizes = [a if b == 1 else b if a in (1, b) else None for a, b in pairs]
    return None if None in sizes else tuple(size for size in reversed(sizes) if size is not None)


class OpCode(StrEnum):
    """Operators with a kernel in the ``aot`` runtime, by their names in TensorFlow Lite's schema."""

    CONV_2D = "CONV_2D"
    DEPTHWISE_CONV_2D = "DEPTHWISE_CONV_2D"
    FULLY_CONNECTED = "FULLY_CONNECTED"
    ADD = "ADD"
    SUB = "SUB"
    MUL = "MUL"
    AVERAGE_POOL_2D = "AVERAGE_POOL_2D"
    MAX_POOL_2D = "MAX_POOL_2D"
    MEAN = "MEAN"
    PAD = "PAD"
    PADV2 = "PADV2"
    CONCATENATION = "CONCATENATION"
    SPLIT = "SPLIT"
    STRIDED_SLICE = "STRIDED_SLICE"
    TRANSPOSE = "TRANSPOSE"
    RESHAPE = "RESHAPE"
    SQUEEZE = "SQUEEZE"
    RELU = "RELU"
    RELU6 = "RELU6"
    LOGISTIC = "LOGISTIC"
    HARD_SWISH = "HARD_SWISH"
    SOFTMAX = "SOFTMAX"
    QUANTIZE = "QUANTIZE"
    DEQUANTIZE = "DEQUANTIZE"


#: Operators that give a tensor another shape: their output is their input's bytes, and they cost nothing.
ALIASES = frozenset({OpCode.RESHAPE, OpCode.SQUEEZE})


class Activation(StrEnum):
    """Fused activations."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    RELU_N1_TO_1 = "relu_n1_to_1"


class Padding(StrEnum):
    """How a window meets the border."""

    SAME = "same"
    VALID = "valid"


@dataclass(frozen=True)
class Quantization:
    """real = scale · (q − zero_point); one pair, or one a channel along ``axis``."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantization (float32 value widened to float)."""
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantization."""
        return self.zero_points[0]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor. ``constant`` is True for weights, biases and shapes; ``data`` is None for activations and in skeletons.

    ``name`` comes from the model and is hostile until escaped.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None
    constant: bool
    data: NDArray[np.generic] | None = field(default=None, repr=False)

    @cached_property
    def elements(self) -> int:
        """Number of elements; a scalar has one."""
        return prod(self.shape)

    @cached_property
    def nbytes(self) -> int:
        """Bytes of the tensor's elements."""
        return self.elements * self.dtype.size


@dataclass(frozen=True)
class WindowOptions:
    """Options of convolutions and pools. ``depth_multiplier`` is for DEPTHWISE_CONV_2D, ``filter`` for pools.

    ``pads`` are (top, bottom, left, right) where a PAD before the operator has been folded into it; ``padding`` is
    VALID then.
    """

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = Padding.SAME
    activation: Activation = Activation.NONE
    filter: tuple[int, int] = (1, 1)
    depth_multiplier: int = 1
    pads: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class ActivationOptions:
    """Options of ADD, SUB, MUL and FULLY_CONNECTED. ``keep_dims`` is FULLY_CONNECTED's keep_num_dims."""

    activation: Activation = Activation.NONE
    keep_dims: bool = False


@dataclass(frozen=True)
class MeanOptions:
    """Options of MEAN; the axes are the second input's data, normalised to non-negative numbers."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True)
class PadOptions:
    """Options of PAD and PADV2, from their constant inputs.

    ``paddings`` is (before, after) for each dimension; ``value`` the element that PADV2 pads with, None for PAD.
    """

    paddings: tuple[tuple[int, int], ...]
    value: int | None = None


@dataclass(frozen=True)
class ConcatenationOptions:
    """Options of CONCATENATION: the dimension along which its inputs follow each other, not negative."""

    axis: int


@dataclass(frozen=True)
class SplitOptions:
    """Options of SPLIT: the dimension whose equal shares its outputs are, not negative; from its constant input."""

    axis: int


@dataclass(frozen=True)
class StridedSliceOptions:
    """Options of STRIDED_SLICE, from its constant inputs: one number for each dimension of the input.

    ``starts`` are the first element's places, not negative, ``strides`` the ways to the next, negative ones too, and
    ``sizes`` how many are taken. The masks are the file's: a bit for each dimension whose begin or end is not given,
    or that the output does not have.
    """

    starts: tuple[int, ...]
    strides: tuple[int, ...]
    sizes: tuple[int, ...]
    begin_mask: int = 0
    end_mask: int = 0
    shrink_mask: int = 0


@dataclass(frozen=True)
class TransposeOptions:
    """Options of TRANSPOSE, from its constant input: dimension i of the output is the input's ``permutation[i]``."""

    permutation: tuple[int, ...]


@dataclass(frozen=True)
class SqueezeOptions:
    """Options of SQUEEZE: the dimensions that it drops, normalised to rising non-negative numbers."""

    axes: tuple[int, ...]


@dataclass(frozen=True)
class SoftmaxOptions:
    """Options of SOFTMAX."""

    beta: float = 1.0


@dataclass(frozen=True)
class NoOptions:
    """RESHAPE, QUANTIZE, DEQUANTIZE and activations of their own: shapes and quantizations of the tensors say all."""


Options = (
    WindowOptions
    | ActivationOptions
    | MeanOptions
    | PadOptions
    | ConcatenationOptions
    | SplitOptions
    | StridedSliceOptions
    | TransposeOptions
    | SqueezeOptions
    | SoftmaxOptions
    | NoOptions
)


@dataclass(frozen=True)
class Operator:
    """One operator; ``inputs`` holds tensor indices, None for an optional input that is absent."""

    index: int
    code: OpCode
    version: int
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    options: Options


@dataclass(frozen=True, eq=False)
class Graph:
    """One subgraph in execution order. ``tensors[i].index == i``.

    ``sha256`` is that of the .tflite file, empty for a skeleton; ``file_bytes`` its size, 0 for a skeleton; ``content``
    the file itself, which an interpreter runs.

    ``trunk`` is a Graph that this one begins with, made once for many that do, so that what is found out about it need
    not be found out again. Its tensors and operators are the first of this one's; its output is the last activation
    that they write and is no operand of RESHAPE or SQUEEZE; and of its activations only that one is read later.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    sha256: str = ""
    file_bytes: int = 0
    content: bytes = field(default=b"", repr=False)
    trunk: Graph | None = field(default=None, repr=False)
    #: What has been found out about it (estimate/shapes.py), by the function that found it.
    known: dict[object, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def input(self) -> Tensor:
        """The only input."""
        return self.tensors[self.inputs[0]]

    @property
    def output(self) -> Tensor:
        """The only output."""
        return self.tensors[self.outputs[0]]

    @property
    def codes(self) -> frozenset[OpCode]:
        """The kinds of operators it contains."""
        return frozenset(operator.code for operator in self.operators)
