"""RAM of a program: arena and static data to the byte, and a bound of the stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.estimate import stack
from pipeline.estimate.features import shape_features
from pipeline.estimate.kernels import kernel_name, stage_state, words
from pipeline.estimate.model import ALIGNMENT, Item, MemoryPlan, Segment
from pipeline.estimate.stages import Stage
from pipeline.estimate.table import Table
from pipeline.graph.model import Graph

#: Kernels of ADD and SUB, and the one that takes their place where sums of two products are not exact.
_SUMS, _REFERENCE = ("add", "add_broadcast"), "add_reference"


def ram_items(graph: Graph, plan: MemoryPlan, table: Table) -> tuple[Item, ...]:
    """The items arena, static and stack, in bytes."""
    return (
        Item(name="arena", bytes=plan.arena_bytes, parts=arena_parts(plan)),
        *other_items(graph, plan.stages, table, streams=plan.streams(graph.input.index)),
    )


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
    return tuple(Item(name=name, bytes=size) for name, size in (*found.items(), ("gaps", gaps)))


def _alive(plan: MemoryPlan, number: int, segment: Segment | None) -> Iterator[tuple[int, int, str]]:
    """(offset, bytes, use) of what is alive in a segment."""
    for place in plan.placements:
        if place.alias_of is None and place.first <= number <= place.last:
            yield place.offset, place.size, "activations" if place.ring is None else "rings"
    if segment is not None:
        yield segment.scratch, segment.scratch_bytes, "scratch"
        yield segment.sums, segment.sums_bytes, "sums"


def other_items(graph: Graph, stages: Sequence[Stage], table: Table, *, streams: bool = False) -> tuple[Item, ...]:
    """The items static and stack, which are the same for every plan of the stages; ``streams``: with a streamed input.

    Raises:
        UsageError: ``no-calibration`` where the table of the stack, or a kernel in it, is missing.
    """
    parts = (
        Item(name="program", bytes=table.program.static),
        Item(name="runtime state", bytes=stage_state(len(stages) + streams)),
        # The command loop keeps a copy of the first output.
        Item(name="output copy", bytes=words(graph.output.nbytes)),
    )
    static = sum(part.bytes for part in parts)
    bound = stack_bound(graph, stages, table, streams=streams)
    return (Item(name="static", bytes=static, parts=parts), Item(name="stack", bytes=bound.bytes))


def stack_bound(graph: Graph, stages: Sequence[Stage], table: Table, *, streams: bool = False) -> stack.StackBound:
    """The most stack that a program of these stages can use: that of the kernels that they call.

    Raises:
        UsageError: ``no-calibration``.
    """
    kernels = {kernel_name(graph, stage) for stage in stages}
    if not kernels.isdisjoint(_SUMS):
        kernels.add(_REFERENCE)  # Scales decide which of them it is, and they change no RAM.
    features = {name for stage in stages for name in shape_features(graph, stage)}
    return stack.load(table.cpu).bound(kernels, features, streamed=streams)
