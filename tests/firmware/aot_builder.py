"""Builds Graphs tensor by tensor, and draws what they are made of from the edges of what a .tflite may say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.graph.model import (
    Activation,
    DType,
    Graph,
    OpCode,
    Operator,
    Options,
    Padding,
    Quantization,
    Tensor,
)

EDGES = (-128, -127, -1, 0, 1, 127)

#: Names that try to become code, end a comment, or upset a terminal.
HOSTILE = [
    "*/ int evil; /*",
    "line\nbreak",
    "carriage\rreturn",
    "</script>",
    "\x1b[31mred",
    "$(rm -rf /)",
    "`id`",
    "??/",
    "??'",
    'quo"te',
    "back\\",
    "back\\\nslash",
    "%s%n",
    "{{ 7 * 7 }}",
    "{% include 'x' %}",
    "\u2028\u202e",
    "\x00nul",
    "7digits",
    "é日本",
    "\ud800",
    "",
    "a" * 5000,
    "1\x0123",
    'R"(x)"',
    "//",
    "\t\v\f",
]


def with_hostile_names(graph: Graph) -> Graph:
    """The graph with hostile tensor names."""
    named = (replace(tensor, name=HOSTILE[tensor.index % len(HOSTILE)]) for tensor in graph.tensors)
    return replace(graph, tensors=tuple(named))


def f32(value: float) -> float:
    """The float32 nearest to the value."""
    return float(np.float32(value))


@dataclass
class GraphBuilder:
    """Builds a Graph tensor by tensor. ``powers`` makes every scale a power of two, which is where ties are."""

    powers: bool = False
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)

    def activation(
        self, shape: Sequence[int], scale: float | None = 1.0, zero_point: int = 0, dtype: DType = DType.INT8
    ) -> int:
        quantization = None if scale is None else Quantization((self.round(scale),), (zero_point,))
        return self._add(Tensor(0, "", tuple(shape), dtype, quantization, constant=False))

    def constant(
        self, data: NDArray[Any], scales: Sequence[float] | None = None, *, axis: int = 0, zero_point: int = 0
    ) -> int:
        quantization = None
        if scales is not None:
            quantization = Quantization(tuple(map(self.round, scales)), (zero_point,) * len(scales), axis)
        return self._add(Tensor(0, "", data.shape, DType(data.dtype.name), quantization, constant=True, data=data))

    def round(self, scale: float) -> float:
        """The scale that a tensor given this one gets."""
        return 2.0 ** round(math.log2(scale)) if self.powers else f32(scale)

    def operator(self, code: OpCode, inputs: Sequence[int | None], output: int, options: Options) -> int:
        self.operators.append(Operator(len(self.operators), code, 1, tuple(inputs), (output,), options))
        return output

    def several(self, code: OpCode, inputs: Sequence[int | None], outputs: Sequence[int], options: Options) -> None:
        self.operators.append(Operator(len(self.operators), code, 1, tuple(inputs), tuple(outputs), options))

    def finish(self, source: int, output: int) -> Graph:
        return Graph(tuple(self.tensors), tuple(self.operators), (source,), (output,))

    def shape(self, tensor: int) -> tuple[int, ...]:
        return self.tensors[tensor].shape

    def scale(self, tensor: int) -> float:
        quantization = self.tensors[tensor].quantization
        assert quantization is not None
        return quantization.scale

    def _add(self, tensor: Tensor) -> int:
        index = len(self.tensors)
        made = Tensor(
            index, f"t{index}", tensor.shape, tensor.dtype, tensor.quantization, tensor.constant, data=tensor.data
        )
        self.tensors.append(made)
        return index


def window_size(size: int, kernel: int, stride: int, padding: Padding) -> int:
    return -(-size // stride) if padding is Padding.SAME else (size - kernel) // stride + 1


def random_zero_point(rng: np.random.Generator) -> int:
    return int(rng.choice(EDGES)) if rng.random() < 0.5 else int(rng.integers(-128, 128))


def random_activation(rng: np.random.Generator) -> Activation:
    return Activation(str(rng.choice([kind.value for kind in Activation])))


def random_output_scale(rng: np.random.Generator, spread: float) -> float:
    """A scale at which values of this spread fill the output's range, saturate it, or hardly move it."""
    return f32(spread / float(rng.choice([20.0, 60.0, 120.0, 1000.0, 3.0])))


def random_builder(rng: np.random.Generator) -> GraphBuilder:
    return GraphBuilder(powers=bool(rng.random() < 0.25))


def random_weights(
    rng: np.random.Generator, shape: tuple[int, ...], channels: int, factor: float, *, bias_share: float = 0.8
) -> tuple[NDArray[np.int8], list[float], NDArray[np.int32] | None]:
    data = rng.integers(-128, 128, shape).astype(np.int8)
    if rng.random() < 0.2:
        data[...] = rng.choice([-128, 127])
    scales = [factor * 10.0 ** rng.uniform(-3, 1) for _ in range(channels)]
    if rng.random() < 0.3:
        scales = [factor] * channels
    if rng.random() < 0.15:
        scales = scales[:1]
    bias = None
    if rng.random() < bias_share:
        size = 10.0 ** rng.uniform(0, 6)
        bias = (rng.normal(0, size, channels)).astype(np.int32)
    return data, [f32(scale) for scale in scales], bias
