"""What a model's calls need of the kernels that come in parts: requantization forms, sizes of blocks, kernel shapes.

The renderer writes it to ``model_features.h``, so that the rest of those kernels is not compiled; the estimator
counts by it. :func:`expected` says what follows from shapes and activations. What weights decide is not seen there:
that a layer takes the form plain, or the form relu because no output can lie below its zero point.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache

from pipeline.estimate.kernels import depthwise_short, depthwise_special, window_of
from pipeline.estimate.model import MemoryPlan, Segment
from pipeline.estimate.shapes import of_segment, of_shapes
from pipeline.estimate.stages import Stage, blocks
from pipeline.graph.model import Activation, ActivationOptions, Graph, OpCode, Operator, WindowOptions

#: Activations whose outputs are never below zero.
_NOT_NEGATIVE = (Activation.RELU, Activation.RELU6)


@dataclass(frozen=True)
class Features:
    """Sets of small numbers, n in the set where bit n is; or bit 0 where there is nothing to choose from.

    Attributes:
        relu: Pixels of the blocks that are multiplied in the form relu.
        linear: Pixels of those in the form linear.
        spread: Pixels of the blocks that are spread from bytes.
        plain: Whether blocks are multiplied in the form plain.
        clamped: Whether some must be clamped.
        depthwise_bytes: Strides of 3×3 depthwise kernels that make rows of bytes.
        depthwise_pairs: Strides of those that make pairs for a 1×1 convolution.
        depthwise_relu: Whether such kernels have the form relu.
        depthwise_linear: Whether they have the form linear.
        depthwise_other: Whether there are depthwise kernels of other shapes.
        depthwise_plain: Whether there are depthwise kernels in the form plain.
        depthwise_clamped: Whether outputs of depthwise kernels must be clamped.
    """

    relu: int = 0
    linear: int = 0
    spread: int = 0
    plain: int = 0
    clamped: int = 0
    depthwise_bytes: int = 0
    depthwise_pairs: int = 0
    depthwise_relu: int = 0
    depthwise_linear: int = 0
    depthwise_other: int = 0
    depthwise_plain: int = 0
    depthwise_clamped: int = 0

    def __or__(self, other: Features) -> Features:
        """What either needs."""
        return of_bits(self.bits | other.bits)

    @cached_property
    def bits(self) -> int:
        """All sets as one, :data:`_WIDTH` bits each."""
        bits = 0
        for each in reversed(fields(self)):
            bits = bits << _WIDTH | getattr(self, each.name)
        return bits

    @cached_property
    def names(self) -> frozenset[str]:
        """Each of them by a name: ``relu 4`` for blocks of four pixels in the form relu."""
        sets = {each.name: getattr(self, each.name) for each in fields(self)}
        return frozenset(
            f"{name} {n}" if n else name for name, values in sets.items() for n in range(8) if values >> n & 1
        )


#: Bits of a set.
_WIDTH = 8


@lru_cache(maxsize=1024)
def of_bits(bits: int) -> Features:
    """Those with these :attr:`Features.bits`."""
    each = range(0, _WIDTH * len(fields(Features)), _WIDTH)
    return Features(*(bits >> at & (1 << _WIDTH) - 1 for at in each))


#: Of a loop over blocks of so many pixels, on an Armv7E-M core.
_LOOP_BYTES = {4: 940, 3: 550, 2: 450, 1: 350}
_SIZES = 0b11110
_STRIDES = 0b110
#: All that there is.
EVERYTHING = Features(_SIZES, _SIZES, _SIZES, 1, 1, _STRIDES, _STRIDES, 1, 1, 1, 1, 1)


def block_sizes(width: int, most: int) -> int:
    """The sizes of the blocks that make a row of ``width`` pixels, of ``most`` at most; block.h, block_sizes."""
    sizes = 0
    for pixels in blocks(width, most):
        sizes |= 1 << pixels
    return sizes


def block_code(found: Features) -> int:
    """Roughly the bytes of the loops that multiply blocks: enough to choose between sizes of blocks."""
    return sum(
        size * (sizes >> pixels & 1) for sizes in (found.relu, found.linear) for pixels, size in _LOOP_BYTES.items()
    )


def depthwise_features(kernel: tuple[int, int], stride: int, *, linear: bool, as_pairs: bool, blocks: int) -> Features:
    """Those of a depthwise kernel in a short form; ``blocks``: the sizes that a 1×1 convolution reads."""
    if not depthwise_special(kernel, stride):
        return Features(depthwise_other=1, spread=blocks if as_pairs else 0)
    return Features(
        depthwise_bytes=0 if as_pairs else 1 << stride,
        depthwise_pairs=1 << stride if as_pairs else 0,
        depthwise_relu=0 if linear else 1,
        depthwise_linear=1 if linear else 0,
    )


def expected(graph: Graph, plan: MemoryPlan) -> Features:
    """What a plan's stages need, as far as shapes and activations tell."""
    bits = 0
    for segment in plan.segments:
        bits |= segment_bits(graph, segment)
    return of_bits(bits)


@of_segment
def segment_bits(graph: Graph, segment: Segment) -> int:
    """What a segment's stages need, as :attr:`Features.bits`."""
    bits = 0
    for stage in segment.stages:
        bits |= _of_stage(graph, stage, flat=segment.flat).bits
    return bits


#: Features that neither weights nor a plan's blocks decide.
_BY_SHAPE = ("depthwise_bytes", "depthwise_other", "depthwise_pairs")


def by_shape(names: Iterable[str]) -> frozenset[str]:
    """Those of them that neither weights nor a plan's blocks decide; of such with a number also the name alone."""
    found = {name for name in names if name.partition(" ")[0] in _BY_SHAPE}
    return frozenset(found.union(name.partition(" ")[0] for name in found))


@of_shapes
def shape_features(graph: Graph, stage: Stage) -> frozenset[str]:
    """Features that a stage needs in every plan, whatever its weights are; by name."""
    return by_shape(_of_stage(graph, stage, flat=False).names)


@of_shapes
def _of_stage(graph: Graph, stage: Stage, *, flat: bool) -> Features:
    last = stage.operators[-1]
    if stage.operators[0].code not in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED):
        return Features()
    shape = graph.tensors[last.outputs[0]].shape
    if last.code is OpCode.FULLY_CONNECTED:
        width = graph.tensors[last.outputs[0]].elements // shape[-1]
    else:
        width = shape[2] * (shape[1] if flat else 1)
    sizes = block_sizes(width, stage.block)
    made = Features()
    if last.code is not OpCode.DEPTHWISE_CONV_2D:
        made |= Features(linear=sizes) if _linear(last) else Features(relu=sizes)
        if len(stage.operators) == 1:
            made |= Features(spread=sizes)
    first = stage.operators[0]
    if first.code is OpCode.DEPTHWISE_CONV_2D:
        kernel, stride = window_of(graph, first)
        made |= (
            depthwise_features(kernel, stride, linear=_linear(first), as_pairs=len(stage.operators) > 1, blocks=sizes)
            if depthwise_short(graph, first)
            else Features(depthwise_plain=1)
        )
    return made


def _linear(operator: Operator) -> bool:
    options = operator.options
    fused = options.activation if isinstance(options, (WindowOptions, ActivationOptions)) else None
    return fused not in _NOT_NEGATIVE
