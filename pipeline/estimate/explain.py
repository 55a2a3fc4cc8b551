"""Why a memory plan is as it is: for each segment what is alive while it runs, and what other cuts would have cost.

Plain values, which the command line prints::

    for segment in explain(graph, found):
        ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.estimate.memory_map import Use
from pipeline.estimate.model import MemoryPlan
from pipeline.estimate.planner import Planner, align
from pipeline.estimate.runs import IMPOSSIBLE
from pipeline.estimate.segments import Cutter
from pipeline.estimate.stages import BLOCK, image_rows, stages
from pipeline.graph.model import Graph


@dataclass(frozen=True)
class Alive:
    """Bytes that are alive while a segment runs.

    Attributes:
        use: What they are; an ``OVERLAP`` has a negative number: bytes that an output shares with a dying input.
        nbytes: Rounded up to the arena's alignment.
        tensor: The activation, None for scratch and sums. Its name comes from the model: hostile until escaped.
        rows: Rows that a ring keeps, and that the image has; None for others.
    """

    use: Use
    nbytes: int
    tensor: int | None = None
    rows: tuple[int, int] | None = None


@dataclass(frozen=True)
class Explained:
    """A segment.

    Attributes:
        operators: (index, name) of its operators, in order.
        alive: Sums up to ``peak``, largest first, what is shared last.
        peak: Bytes that are alive while it runs.
        highest: No segment has more.
        flat: Its only stage takes the image for one long row.
        block: The fewest pixels that its convolutions make at a time, where that is fewer than they like; else None.
        fused: Bytes that would be alive if it ran together with the segment after it; None where the two can't.
        more: Instructions that the two would take more together than apart, roughly; None as ``fused``.
        alone: The most bytes that would be alive if each of its stages were a segment; None where it has only one.
    """

    operators: tuple[tuple[int, str], ...]
    alive: tuple[Alive, ...]
    peak: int
    highest: bool
    flat: bool
    block: int | None
    fused: int | None
    more: int | None
    alone: int | None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it begins and ends where it does, a sentence each."""
        found = []
        if self.alone is not None:
            found.append(f"one by one, its stages would have up to {self.alone:,} bytes alive")
        if self.fused is None or self.more is None:
            found.append("the next segment cannot run row by row with it")
        elif self.fused > self.peak:
            found.append(f"together with the next segment {self.fused:,} bytes would be alive")
        elif self.more <= 0:
            found.append(
                f"together with the next segment {self.fused:,} bytes would be alive, in smaller blocks of pixels"
            )
        else:
            found.append(f"together with the next segment it would take {self.more:,} instructions more")
        return tuple(found)


def explain(graph: Graph, plan: MemoryPlan, *, streamed_input: bool = False) -> tuple[Explained, ...]:
    """The segments of a Graph's plan, in order; ``streamed_input`` as the plan was made."""
    made = stages(graph)
    if not made:
        return ()
    cutter = Planner(graph, streamed_input=streamed_input).cutter
    highest = max(segment.peak for segment in plan.segments)
    bounds = [(segment.stages[0].index, segment.stages[-1].index + 1) for segment in plan.segments]
    found = []
    for number, segment in enumerate(plan.segments):
        first, end = bounds[number]
        fused = _peak(cutter, first, bounds[number + 1][1]) if number + 1 < len(bounds) else None
        alone = [_peak(cutter, stage.index, stage.index + 1) for stage in segment.stages]
        smallest = min(stage.block for stage in segment.stages)
        found.append(
            Explained(
                operators=tuple((part.index, part.code.value) for stage in segment.stages for part in stage.operators),
                alive=tuple(_alive(graph, plan, number)),
                peak=segment.peak,
                highest=segment.peak == highest,
                flat=segment.flat,
                block=smallest if smallest < BLOCK else None,
                fused=fused,
                more=None if fused is None else _more(cutter, first, end, bounds[number + 1][1]),
                alone=max((peak for peak in alone if peak is not None), default=None) if end - first > 1 else None,
            )
        )
    return tuple(found)


def _peak(cutter: Cutter, first: int, end: int) -> int | None:
    cut = cutter.cut(first, end)
    peak = None if cut is None else cutter.lowest(cut)
    return None if peak is None or peak >= IMPOSSIBLE else peak


def _more(cutter: Cutter, first: int, middle: int, end: int) -> int:
    together, one, other = cutter.cut(first, end), cutter.cut(first, middle), cutter.cut(middle, end)
    if together is None or one is None or other is None:
        raise ValueError(f"stages {first} to {end} are not cut there")
    return together.instructions - one.instructions - other.instructions


def _alive(graph: Graph, plan: MemoryPlan, number: int) -> Iterator[Alive]:
    """What is alive in a segment, the largest first; what an output shares with an input last."""
    segment = plan.segments[number]
    there = [p for p in plan.placements if p.alias_of is None and p.first <= number <= p.last]
    kept = []
    for place in there:
        height = image_rows(graph.tensors[place.tensor])
        use, rows = (Use.WHOLE, None) if place.ring is None else (Use.RING, (place.ring, height))
        kept.append(Alive(use, align(place.size), place.tensor, rows))
    kept += [
        Alive(use, align(size))
        for use, size in ((Use.SCRATCH, segment.scratch_bytes), (Use.SUMS, segment.sums_bytes))
        if size
    ]
    yield from sorted(kept, key=lambda alive: -alive.nbytes)
    end = 0
    for place in sorted(there, key=lambda place: place.offset):
        last = place.offset + align(place.size)
        if place.offset < end:
            yield Alive(Use.OVERLAP, place.offset - min(end, last), place.tensor)
        end = max(end, last)
