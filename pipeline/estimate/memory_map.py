"""What lies where in an arena, and when: a memory plan as buffers over moments, which tables and drawings are made of.

::

    found = memory_map(graph, plan)      # of the ahead-of-time runtime; tflm.py has the interpreter's
    found.moments[found.peak].alive
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.estimate.areas import ALIGNMENT
from pipeline.estimate.model import MemoryPlan
from pipeline.estimate.stages import image_rows
from pipeline.graph.model import Graph


class Use(StrEnum):
    """What bytes are there for."""

    WHOLE = "whole"
    RING = "ring"
    SCRATCH = "scratch"
    SUMS = "sums"
    OVERLAP = "overlap"
    PERSISTENT = "persistent"


@dataclass(frozen=True)
class Buffer:
    """Bytes [offset, offset + nbytes) of the arena, from the moment ``first`` to the moment ``last``, both included.

    Attributes:
        use: What they are; never ``OVERLAP``, which is where two buffers lie over each other.
        offset: Of the arena.
        nbytes: Rounded up to the arena's alignment.
        first: First moment.
        last: Last moment.
        tensors: Activations that have these bytes, one after the other or under two names; none for scratch, sums and
            what persists.
        rows: Rows that a ring keeps, and that the image has; None for others.
    """

    use: Use
    offset: int
    nbytes: int
    first: int
    last: int
    tensors: tuple[int, ...] = ()
    rows: tuple[int, int] | None = None

    @property
    def end(self) -> int:
        """First byte behind it."""
        return self.offset + self.nbytes


@dataclass(frozen=True)
class Moment:
    """What runs as one, and what is alive meanwhile.

    Attributes:
        operators: (index, name), in order; none where nothing runs.
        alive: Bytes of the arena that some buffer has.
        gaps: Bytes of the arena that none has.
    """

    operators: tuple[tuple[int, str], ...]
    alive: int
    gaps: int

    @property
    def label(self) -> str:
        """``3 CONV_2D … 7 ADD``; both names are ours."""
        ends = [f"{index} {code}" for index, code in self.operators]
        return " … ".join(dict.fromkeys((ends[0], ends[-1]))) if ends else "nothing runs"


@dataclass(frozen=True)
class MemoryMap:
    """An arena over time; ``peak`` is the first moment with the most bytes alive."""

    arena_bytes: int
    buffers: tuple[Buffer, ...]
    moments: tuple[Moment, ...]
    peak: int

    def alive(self, moment: int) -> tuple[Buffer, ...]:
        """The buffers of a moment, by offset."""
        there = (buffer for buffer in self.buffers if buffer.first <= moment <= buffer.last)
        return tuple(sorted(there, key=lambda buffer: (buffer.offset, buffer.end)))


def memory_map(graph: Graph, plan: MemoryPlan) -> MemoryMap:
    """The map of a plan that is made ahead of time; a moment is a segment. A Graph without data will do."""
    steps = [
        tuple((part.index, part.code.value) for stage in segment.stages for part in stage.operators)
        for segment in plan.segments
    ]
    return assembled(plan.arena_bytes, [*_activations(graph, plan), *_working(plan)], steps)


def assembled(arena_bytes: int, buffers: Sequence[Buffer], steps: Sequence[tuple[tuple[int, str], ...]]) -> MemoryMap:
    """A map of buffers, and of the operators of each moment; one empty moment where nothing runs."""
    there: list[list[Buffer]] = [[] for _ in steps or [()]]
    for buffer in buffers:
        for alive in there[buffer.first : buffer.last + 1]:
            alive.append(buffer)
    sizes = [taken(alive) for alive in there]
    moments = [
        Moment(operators, size, arena_bytes - size) for operators, size in zip(steps or [()], sizes, strict=True)
    ]
    return MemoryMap(
        arena_bytes,
        tuple(sorted(buffers, key=lambda buffer: (buffer.first, buffer.offset, buffer.last))),
        tuple(moments),
        max(range(len(moments)), key=lambda number: moments[number].alive),
    )


def taken(buffers: Iterable[Buffer]) -> int:
    """Bytes that the buffers take together: those that two of them share count once."""
    total = reached = 0
    for buffer in sorted(buffers, key=lambda buffer: buffer.offset):
        total += max(0, buffer.end - max(buffer.offset, reached))
        reached = max(reached, buffer.end)
    return total


def aligned(size: int) -> int:
    """Rounded up to the arena's alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _activations(graph: Graph, plan: MemoryPlan) -> Iterator[Buffer]:
    names: dict[int, list[int]] = {}
    for place in plan.placements:
        names.setdefault(place.tensor if place.alias_of is None else place.alias_of, []).append(place.tensor)
    for place in plan.placements:
        if place.alias_of is None:
            ring = None if place.ring is None else (place.ring, image_rows(graph.tensors[place.tensor]))
            tensors = (place.tensor, *(name for name in names[place.tensor] if name != place.tensor))
            use = Use.WHOLE if ring is None else Use.RING
            yield Buffer(use, place.offset, aligned(place.size), place.first, place.last, tensors, ring)


def _working(plan: MemoryPlan) -> Iterator[Buffer]:
    """Scratch and sums: of one segment each."""
    for number, segment in enumerate(plan.segments):
        for use, offset, size in (
            (Use.SCRATCH, segment.scratch, segment.scratch_bytes),
            (Use.SUMS, segment.sums, segment.sums_bytes),
        ):
            if size:
                yield Buffer(use, offset, aligned(size), number, number)
