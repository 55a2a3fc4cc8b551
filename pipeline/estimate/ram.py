"""RAM of a program: arena and static data to the byte, and a bound of the stack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.estimate import stack
from pipeline.estimate.areas import ALIGNMENT
from pipeline.estimate.features import shape_features
from pipeline.estimate.kernels import kernel_name, stage_state, words
from pipeline.estimate.model import Item, MemoryPlan, Segment, leaf
from pipeline.estimate.shapes import of_graph, of_segment
from pipeline.estimate.stages import Stage, stages
from pipeline.estimate.table import Table
from pipeline.graph.model import Graph

#: Kernels of ADD and SUB, and the one that takes their place where sums of two products are not exact.
_SUMS, _REFERENCE = ("add", "add_broadcast"), "add_reference"


@dataclass(frozen=True)
class Called:
    """What the stages of a program call, whatever their weights are and however they are cut into segments.

    Attributes:
        count: The stages that the firmware runs, that which takes the rows of a streamed input among them.
        streams: Whether there is such a one.
        kernels: Names of their kernels.
        features: Names of the features that they need of these.
    """

    count: int
    streams: bool
    kernels: frozenset[str]
    features: frozenset[str]


def called(graph: Graph, *, streams: bool) -> Called:
    """What the stages of a Graph call; ``streams``: with a streamed input."""
    return Called(len(stages(graph)) + streams, streams, *_of_graph(graph))


def called_by(graph: Graph, plan: MemoryPlan) -> Called:
    """What the stages of a plan call."""
    streams = plan.streams(graph.input.index)
    if len(plan.stages) == len(stages(graph)):
        return called(graph, streams=streams)  # As many as with all that can be fused: the same ones.
    return Called(
        len(plan.stages) + streams, streams, *_united([_of_segment(graph, segment) for segment in plan.segments])
    )


#: Kernels, and features of them, by name.
_Names = tuple[frozenset[str], frozenset[str]]


@of_graph
def _of_graph(graph: Graph) -> _Names:
    made = stages(graph)
    if graph.trunk is None:
        return _of_stages(graph, made)
    return _united([_of_graph(graph.trunk), _of_stages(graph, made[len(stages(graph.trunk)) :])])


@of_segment
def _of_segment(graph: Graph, segment: Segment) -> _Names:
    return _of_stages(graph, segment.stages)


def _of_stages(graph: Graph, some: Iterable[Stage]) -> _Names:
    return _united([(frozenset((kernel_name(graph, stage),)), shape_features(graph, stage)) for stage in some])


def _united(names: list[_Names]) -> _Names:
    return frozenset().union(*[each[0] for each in names]), frozenset().union(*[each[1] for each in names])


def ram_items(graph: Graph, plan: MemoryPlan, calls: Called, table: Table) -> tuple[Item, ...]:
    """The items arena, static and stack, in bytes, of a plan whose stages call ``calls``.

    Raises:
        UsageError: As :func:`other_items`.
    """
    return (arena_item(plan), *other_items(graph.output.nbytes, calls, table))


def arena_item(plan: MemoryPlan) -> Item:
    """The item arena."""
    return Item(name="arena", bytes=plan.arena_bytes, parts=arena_parts(plan))


def arena_parts(plan: MemoryPlan) -> tuple[Item, ...]:
    """What the arena is at its peak: activations in whole, rings, scratch and sums of the segment with most alive.

    Bytes that two of them share count once, with the one that begins first; ``gaps`` are bytes that nothing uses then.
    """
    number, segment = max(enumerate(plan.segments), key=lambda pair: pair[1].peak, default=(0, None))
    found = dict.fromkeys(("activations", "rings", "scratch", "sums"), 0)
    reached = 0
    for offset, size, use in sorted(_alive(plan, number, segment)):
        end = offset + -(-size // ALIGNMENT) * ALIGNMENT
        found[use] += max(0, end - max(offset, reached))
        reached = max(reached, end)
    gaps = plan.arena_bytes - sum(found.values())
    return tuple([leaf(name, size) for name, size in (*found.items(), ("gaps", gaps))])


def _alive(plan: MemoryPlan, number: int, segment: Segment | None) -> Iterator[tuple[int, int, str]]:
    """(offset, bytes, use) of what is alive in a segment."""
    for place in plan.placements:
        if place.alias_of is None and place.first <= number <= place.last:
            yield place.offset, place.size, "activations" if place.ring is None else "rings"
    if segment is not None:
        yield segment.scratch, segment.scratch_bytes, "scratch"
        yield segment.sums, segment.sums_bytes, "sums"


def other_items(output: int, calls: Called, table: Table) -> tuple[Item, Item]:
    """The items static and stack, which are the same for every plan of the stages; ``output``: bytes of the output.

    Raises:
        UsageError: ``no-calibration`` where the table of the stack, or a kernel in it, is missing.
    """
    parts = (
        leaf("program", table.program.static),
        leaf("runtime state", stage_state(calls.count)),
        # The command loop keeps a copy of the first output.
        leaf("output copy", words(output)),
    )
    static = sum([part.bytes for part in parts])
    return Item(name="static", bytes=static, parts=parts), leaf("stack", stack_bound(calls, table).bytes)


def stack_bound(calls: Called, table: Table) -> stack.StackBound:
    """The most stack that a program can use: that of the kernels that its stages call.

    Raises:
        UsageError: ``no-calibration``.
    """
    kernels = calls.kernels
    if not kernels.isdisjoint(_SUMS):
        kernels |= {_REFERENCE}  # Scales decide which of them it is, and they change no RAM.
    return stack.load(table.cpu).bound(kernels, calls.features, streamed=calls.streams)
