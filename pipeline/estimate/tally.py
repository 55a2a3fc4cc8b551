"""What a plan's segments need besides the arena, added up: kernels, their features, constants, names, rows.

Tallies of segments that follow each other add up to that of all of them, so that networks that begin or end alike need
be looked through only once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.estimate.features import segment_bits, shape_features
from pipeline.estimate.kernels import (
    constant_bytes,
    kernel_name,
    stage_constant_bytes,
    window_elements,
    with_rows,
    words,
)
from pipeline.estimate.model import Segment
from pipeline.estimate.shapes import of_segment, of_shapes
from pipeline.estimate.stages import ELEMENTWISE, Stage, StageKind
from pipeline.graph.model import Graph, OpCode, Operator

_FORMED = (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED)
#: Bytes of bias, multiplier and shift of a channel.
_PLAIN_RECORD = 12


class Tally(NamedTuple):
    """What follows from the shapes of segments.

    Attributes:
        kernels: The function of each stage, in order.
        names: The different names of stages.
        needs: Features that their kernels need in every plan, whatever the weights are; by name.
        bits: Features that they need in this plan, as far as shapes and activations tell (features.py).
        constants: Bytes of constant arrays.
        more_if_plain: Bytes that these take in the form plain beyond the usual one.
        row_operands: Operands that stages of single elements find row by row.
        rows: How many activations are found by their rows.
        segments: How many segments there are.
    """

    kernels: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    bits: int = 0
    constants: int = 0
    more_if_plain: int = 0
    row_operands: int = 0
    rows: int = 0
    segments: int = 0


class _Known(NamedTuple):
    """A segment's part of a Tally, and the activations that it finds by their rows."""

    kernels: tuple[str, ...]
    names: frozenset[str]
    needs: frozenset[str]
    bits: int
    constants: int
    more_if_plain: int
    row_operands: int
    rows: frozenset[int]


def tally(graph: Graph, segments: Sequence[Segment], behind: Iterable[Segment] = ()) -> Tally:
    """What segments of a plan need; what is found by rows in those that they are ``behind`` does not count again."""
    known = [_known(graph, segment) for segment in segments]
    rows = frozenset().union(*[each.rows for each in known])
    for segment in behind:
        rows -= _known(graph, segment).rows
    bits = 0
    for each in known:
        bits |= each.bits
    return Tally(
        tuple([name for each in known for name in each.kernels]),
        frozenset().union(*[each.names for each in known]),
        frozenset().union(*[each.needs for each in known]),
        bits,
        sum([each.constants for each in known]),
        sum([each.more_if_plain for each in known]),
        sum([each.row_operands for each in known]),
        len(rows),
        len(known),
    )


def together(tallies: Sequence[Tally]) -> Tally:
    """The Tally of all."""
    kernels, names, needs, bits, constants, more, operands, rows, segments = zip(*tallies, strict=True)
    every = 0
    for some in bits:
        every |= some
    return Tally(
        tuple([name for each in kernels for name in each]),
        names[0].union(*names[1:]),
        needs[0].union(*needs[1:]),
        every,
        sum(constants),
        sum(more),
        sum(operands),
        sum(rows),
        sum(segments),
    )


def finds_by_rows(graph: Graph, segment: Segment, tensor: int) -> bool:
    """Whether a stage of a segment finds an activation by its rows."""
    return tensor in _known(graph, segment).rows


@of_segment
def _known(graph: Graph, segment: Segment) -> _Known:
    stages = segment.stages
    return _Known(
        tuple(kernel_name(graph, stage) for stage in stages),
        frozenset(stage.name for stage in stages),
        frozenset().union(*[shape_features(graph, stage) for stage in stages]),
        segment_bits(graph, segment),
        sum(stage_constant_bytes(graph, stage) for stage in stages),
        sum(_more_if_plain(graph, stage) for stage in stages),
        sum(
            len(stage.feeds) + len(stage.outputs)
            for stage in stages
            if stage.kind is StageKind.ROWS and not segment.flat and stage.operators[0].code in ELEMENTWISE
        ),
        frozenset(tensor for stage in stages for tensor in with_rows(stage, flat=segment.flat)),
    )


@of_shapes
def _more_if_plain(graph: Graph, stage: Stage) -> int:
    return sum(max(0, _plain_bytes(graph, operator) - constant_bytes(graph, operator)) for operator in stage.operators)


def _plain_bytes(graph: Graph, operator: Operator) -> int:
    """Bytes of a layer's constants in the form plain: three words a channel; 0 for what has no such form."""
    index = operator.inputs[1] if len(operator.inputs) > 1 else None
    if operator.code not in _FORMED or index is None:
        return 0
    weights = graph.tensors[index]
    channels = graph.tensors[operator.outputs[0]].shape[-1]
    if operator.code is OpCode.DEPTHWISE_CONV_2D:
        return words(_PLAIN_RECORD * channels + weights.nbytes)
    return channels * (_PLAIN_RECORD + window_elements(weights))
