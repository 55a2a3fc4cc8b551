"""Models of single operators of many shapes: what the cost model is fitted to.

A model is a chain of cases, each an operator on an image of a shape of its own. Between two cases the elements are
brought to the number that the next one takes (CONCATENATION with itself, STRIDED_SLICE) and to its shape (RESHAPE,
which costs nothing), so that each case is a stage by itself. Other models are networks whose stages run together row
by row, which shows what the executor costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TypeVar

import numpy as np

from pipeline.calibration.costs_chain import Chain, Layer
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.model import Activation, DType, Graph, OpCode, Padding
from pipeline.graph.skeleton import from_genotype

T = TypeVar("T")

_NONE, _RELU = Activation.NONE, Activation.RELU
#: Multiply-accumulates of a case, about.
_MOST_WORK = 300_000
#: Networks of the search space: stages that run together.
NETWORKS = ("32-rgb-d21000-a03", "96-mono-d10000-a05", "64-rgb-d11111-a02")


@dataclass(frozen=True)
class Case:
    """Operators on an input of a shape, batch first."""

    shape: tuple[int, ...]
    apply: Callable[[Chain], None]


def models() -> Iterator[Graph]:
    """All models, each of which becomes a program."""
    rng = np.random.default_rng(2502)
    both = (_RELU, _NONE)
    yield _chain([*_convolutions(rng, (_RELU,), 30)], 1)
    yield _chain([*_convolutions(rng, (_NONE,), 30)], 2)
    yield _chain([*_convolutions(rng, both, 24), *_wide((_NONE, _RELU, _NONE))], 3)
    yield _chain([*_depthwise(rng, (_NONE, _RELU, _RELU), 60)], 4)
    yield _chain([*_depthwise(rng, both, 50), *_wide(both)], 5)
    yield _chain([*_pools(), *_elementwise(), *_moves()], 6)
    for elements in (60, 2000):
        yield _edges(elements, 7)
    for network in NETWORKS:
        yield filled(from_genotype(Genotype.parse(network), 4), seed=8)


def _chain(cases: Sequence[Case], seed: int) -> Graph:
    chain = Chain((1, 1024), seed)
    for case in cases:
        chain.supply(case.shape)
        case.apply(chain)
        # A convolution right behind a depthwise one would be part of the same stage.
        chain.reshape((1, prod(chain.shape)))
    return chain.graph()


def _edges(elements: int, seed: int) -> Graph:
    """QUANTIZE from float32 and DEQUANTIZE back to it."""
    chain = Chain((1, elements), seed, DType.FLOAT32)
    chain.cast(OpCode.QUANTIZE, DType.INT8)
    chain.cast(OpCode.DEQUANTIZE, DType.FLOAT32)
    return chain.graph()


def _convolutions(rng: np.random.Generator, activations: Sequence[Activation], count: int) -> Iterator[Case]:
    """Convolutions whose rows are made in blocks of every size, with windows that lie inside and outside."""
    for number in range(count):
        width = (1, 2, 3, 4, 5, 7, 8, 11, 14, 16)[number % 10]
        kernel = _one_of(rng, ((1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (3, 1), (2, 2)))
        channels = _one_of(rng, (1, 2, 3, 4, 6, 8, 16, 24, 40, 96))
        outputs = _one_of(rng, (1, 2, 3, 8, 11, 16, 24, 32, 64))
        stride = _one_of(rng, (1, 1, 2))
        height = int(rng.integers(2, 9))
        if prod(kernel) * channels * outputs * width * height > _MOST_WORK:
            height = 2
        layer = Layer(
            outputs,
            kernel,
            stride,
            activations[number % len(activations)],
            narrow=number % 11 == 5,
            huge=number % 16 == 9,
        )
        yield Case((1, height, width * stride, channels), partial(Chain.convolution, layer=layer))
    yield Case((1, 9, 11, 8), partial(Chain.convolution, layer=Layer(16, (3, 3), 1, _RELU, Padding.VALID)))
    yield Case((1, 9, 14, 16), partial(Chain.convolution, layer=Layer(8, (3, 3), 2, _NONE, Padding.VALID)))


def _wide(activations: Sequence[Activation]) -> Iterator[Case]:
    """1×1 convolutions and dense layers of many channels: long rounds of the innermost loops."""
    for number, (pixels, channels, outputs) in enumerate(
        ((4, 192, 64), (3, 576, 32), (8, 96, 96), (2, 320, 48), (1, 960, 40), (7, 384, 24), (16, 32, 192), (9, 144, 40))
    ):
        layer = Layer(outputs, activation=activations[number % len(activations)])
        yield Case((1, 1, pixels, channels), partial(Chain.convolution, layer=layer))
    for rows, inputs, outputs in (
        *((1, 40, 10), (1, 640, 128), (1, 256, 2), (3, 64, 12), (1, 33, 7)),
        *((1, 24, 2), (1, 96, 3), (1, 160, 10), (1, 32, 2), (2, 48, 5)),
    ):
        layer = Layer(outputs, activation=activations[(rows + outputs) % len(activations)])
        yield Case((rows, inputs), partial(Chain.dense, layer=layer))


def _depthwise(rng: np.random.Generator, activations: Sequence[Activation], count: int) -> Iterator[Case]:
    """Depthwise convolutions of every kind of kernel, by themselves and before a 1×1 convolution."""
    kernels = ((3, 3), (3, 3), (3, 3), (3, 3), (5, 5), (3, 3), (3, 3), (3, 3), (2, 3), (7, 7), (3, 3), (3, 1), (1, 4))
    for number in range(count):
        kernel = kernels[number % len(kernels)]
        stride = _one_of(rng, (1, 2)) if number % 16 != 4 else 3
        width = _one_of(rng, (1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 16, 17, 24))
        height = int(rng.integers(1, 9))
        channels = _one_of(rng, (4, 8, 16, 24, 48))
        multiplier = 1
        if number % 10 == 7:
            channels, multiplier = _one_of(rng, (3, 5, 6)), _one_of(rng, (1, 2))
        layer = Layer(multiplier, kernel, stride, activations[number % len(activations)], narrow=number % 7 == 5)
        pointwise = None
        if number % 2 and multiplier == 1:
            outputs = _one_of(rng, (4, 8, 9, 16, 32, 48))
            pointwise = Layer(outputs, activation=activations[(number // 2) % len(activations)])
        yield Case(
            (1, height * stride, width * stride, channels),
            partial(_pair, layer=layer, pointwise=pointwise),
        )


def _pair(chain: Chain, layer: Layer, pointwise: Layer | None) -> None:
    chain.depthwise(layer)
    if pointwise is not None:
        chain.convolution(pointwise)


def _pools() -> Iterator[Case]:
    """Pools and means, of images and of dimensions."""
    for number, (height, width, channels, kernel, stride) in enumerate(
        ((12, 12, 16, 2, 2), (9, 7, 6, 3, 1), (8, 8, 5, 3, 2), (17, 17, 2, 16, 1), (4, 20, 24, 2, 1), (6, 6, 1, 5, 1))
    ):
        padding = Padding.VALID if number % 3 == 0 else Padding.SAME
        activation = _RELU if number % 4 == 2 else _NONE
        for code in (OpCode.AVERAGE_POOL_2D, OpCode.MAX_POOL_2D):
            pool = partial(Chain.pool, code=code, kernel=kernel, stride=stride, padding=padding, activation=activation)
            yield Case((1, height, width, channels), pool)
    for height, width, channels in ((8, 8, 16), (5, 7, 6), (3, 300, 5), (1, 1, 3), (16, 4, 40), (9, 2, 1)):
        yield Case((1, height, width, channels), partial(Chain.mean, axes=(1, 2)))
        yield Case((1, height, width, channels), Chain.average)
    yield Case((1, 6, 5, 7), partial(Chain.mean, axes=(3,)))
    yield Case((1, 40), partial(Chain.mean, axes=(1,)))
    yield Case((1, 6, 9, 4), partial(Chain.mean, axes=(2,)))


def _elementwise() -> Iterator[Case]:
    """What makes each element from one or two."""
    for count in (3, 64, 1001, 4096):
        yield Case((1, 1, 1, count), partial(Chain.elementwise, code=OpCode.ADD))
        yield Case((1, 1, 1, count), partial(Chain.elementwise, code=OpCode.MUL))
        yield Case((1, count), partial(Chain.simple, code=OpCode.RELU, scale=0.06))
        yield Case((1, count), partial(Chain.simple, code=OpCode.HARD_SWISH, scale=0.07))
        yield Case((1, count), partial(Chain.cast, code=OpCode.QUANTIZE, dtype=DType.INT8))
    for size in (1, 8):
        yield Case((1, size, 8, 16), partial(Chain.elementwise, code=OpCode.ADD, narrow=True))
        yield Case((1, size, 8, 16), partial(Chain.elementwise, code=OpCode.ADD, fine=True))
    yield Case((1, 5, 3, 6), partial(Chain.elementwise, code=OpCode.ADD, operand=(6,), fine=True))
    for code in (OpCode.ADD, OpCode.MUL):
        yield Case((1, 6, 6, 16), partial(Chain.elementwise, code=code, operand=(16,)))
        yield Case((1, 9, 5, 8), partial(Chain.elementwise, code=code, operand=(1, 9, 5, 1)))
        yield Case((1, 300), partial(Chain.elementwise, code=code, operand=(1, 1)))
        yield Case((1, 7, 2, 3), partial(Chain.elementwise, code=code, operand=(3,)))
    for rows, depth in ((1, 2), (1, 10), (4, 12), (1, 64), (30, 3), (1, 4)):
        yield Case((rows, 24), partial(Chain.softmax, depth=depth))


def _moves() -> Iterator[Case]:
    """What moves elements and changes none."""
    yield Case((1, 6, 6, 8), partial(Chain.pad, paddings=((0, 0), (1, 1), (1, 1), (0, 0))))
    yield Case((1, 30), partial(Chain.pad, paddings=((0, 0), (5, 50))))
    yield Case((1, 3, 40, 3), partial(Chain.pad, paddings=((0, 0), (2, 0), (0, 3), (0, 0))))
    yield Case((1, 12, 3, 2), partial(Chain.pad, paddings=((0, 0), (0, 4), (0, 0), (1, 1))))
    yield Case((1, 20, 2, 24), partial(Chain.pad, paddings=((0, 0), (1, 2), (1, 0), (0, 0))))
    yield Case((1, 10, 9, 5), partial(Chain.pad, paddings=((0, 0), (0, 0), (1, 1), (3, 9))))
    yield Case((1, 6, 6, 8), partial(Chain.transpose, permutation=(0, 3, 1, 2)))
    yield Case((1, 2, 50, 3), partial(Chain.transpose, permutation=(0, 2, 1, 3)))
    yield Case((1, 40, 9, 1), partial(Chain.transpose, permutation=(0, 2, 1, 3)))
    yield Case((1, 7, 8, 4), partial(Chain.slice, begins=(0, 1, 0, 0), ends=(1, 7, 8, 4), strides=(1, 2, 1, 1)))
    yield Case((1, 6, 6, 8), partial(Chain.split, parts=2))
    yield Case((1, 400), partial(Chain.split, parts=4))
    yield Case((1, 30, 9), partial(Chain.split, parts=3))
    yield Case((1, 2, 96), partial(Chain.split, parts=2))
    yield Case((1, 9, 7), partial(Chain.concatenate, times=3))
    yield Case((1, 40, 2), partial(Chain.concatenate, times=2))
    yield Case((1, 3, 64), partial(Chain.concatenate, times=4))


def _one_of(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]
