"""The memory plan: which stages stream together, and where in the arena each activation lives.

Stages come from the operators (stages.py), Stores from what they read and write (storage.py), cuts from both
(segments.py), offsets from the cuts (placing.py). Everything follows from shapes, nothing from weights, so that a
genotype's plan is its .tflite's.

Not every set of cuts can be laid out in as many bytes as are alive at its peak. So the cuts with the fewest
instructions are tried first; where they don't fit, cuts and offsets are searched together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.estimate.features import block_code, expected
from pipeline.estimate.instructions import instructions
from pipeline.estimate.kernels import stage_needs
from pipeline.estimate.model import ALIGNMENT, MemoryPlan, Placement, Prefer, Segment
from pipeline.estimate.placing import Layout, Step, lay_out
from pipeline.estimate.roots import roots
from pipeline.estimate.runs import IMPOSSIBLE, Cut, Runs, Way
from pipeline.estimate.segments import Cutter
from pipeline.estimate.stages import BLOCK, Stage, stages
from pipeline.estimate.storage import Store, stores
from pipeline.estimate.streaming import demand_streamable, not_streamable
from pipeline.graph.model import Graph

#: ``balanced`` may take this many times the least arena.
BALANCED = 1.15
#: Smaller blocks are of use to a stage whose scratch is more than this share of the least peak ...
_SCRATCH_SHARE = 0.1
#: ... and to a model whose least peak falls below this share of what it was.
_WORTH = 0.97
#: Where ``flash`` looks for less code: each size of blocks has a loop of its own, and that of three is as fast as that
#: of four, and shorter.
_COMPACT_BLOCKS = (BLOCK, 3)
#: The smallest arena is looked for to within this part of the least peak.
_CLOSE = 500
#: ``speed`` may take this many times the fewest instructions, where that saves RAM.
_NEARLY = 1.01
#: How many layouts are carried on: at first, and where the first one does not fit.
_QUICK, _CAREFUL, _THOROUGH = 3, 4, 24


def align(size: int) -> int:
    """Round up to the arena's alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan(
    graph: Graph, *, prefer: Prefer = Prefer.BALANCED, limit: int | None = None, streamed_input: bool = False
) -> MemoryPlan:
    """Cut a Graph into segments and place its activations.

    Args:
        graph: Read from a .tflite, or a skeleton.
        prefer: ``ram`` takes the smallest arena that is found, ``speed`` the fewest instructions within ``limit`` (to
            one percent, given for a smaller arena), ``balanced`` the fewest within 1.15 times the smallest arena, and
            ``flash`` does as ``balanced``, with blocks of three pixels at most where these need less code.
        limit: Bytes that the arena may have; None: any number. It does not bind ``ram``, and the others only where
            there is such an arena.
        streamed_input: The input is not kept in whole: its rows come as they are needed.

    Raises:
        UsageError: ``unsupported-tensor`` for an activation that is read before it is written;
            ``input-not-streamable`` for a model that needs its input in whole.
    """
    made = stages(graph)
    if streamed_input:
        demand_streamable(graph, made, stores(graph, made, roots(graph)))
    if not made:
        return spread(graph)  # Nothing runs.
    plans = []
    for most in _COMPACT_BLOCKS if prefer is Prefer.FLASH else (BLOCK,):
        sized = [replace(stage, block=most) for stage in made]
        planner = Planner(graph, sized, streamed_input, bounded=prefer is not Prefer.SPEED)
        if planner.least >= IMPOSSIBLE:
            raise not_streamable(graph, "What is made from it does not come together before all of it is there.")
        plans.append(planner.plan(prefer, limit))
    if len(plans) == 1:
        return plans[0]
    return min(plans, key=lambda found: block_code(expected(graph, found)))


def spread(graph: Graph) -> MemoryPlan:
    """A plan in which no two activations share a byte and no stages are fused: all of them are left at the end."""
    made = stages(graph, fuse=False)
    placements: list[Placement] = []
    segments = []
    offset = 0
    for name, root in sorted(roots(graph).items(), key=lambda item: item[::-1]):
        if name == root:
            offset += align(placements[-1].size) if placements else 0
        size = graph.tensors[name].nbytes
        placements.append(Placement(name, offset, size, 0, len(made), alias_of=None if name == root else root))
    offset += align(placements[-1].size) if placements else 0
    for stage in made:
        needs = stage_needs(graph, stage)
        segments.append(Segment((stage,), False, offset, needs.scratch, offset + align(needs.scratch), needs.sums))
        offset += align(needs.scratch) + align(needs.sums)
    return MemoryPlan(offset, tuple(placements), tuple(segments), 0, offset)


class Planner:
    """Makes plans of one Graph; ``bounded``: cuts that no plan but the fastest would take are left out."""

    def __init__(self, graph: Graph, made: Sequence[Stage], streamed_input: bool, *, bounded: bool) -> None:
        self.graph = graph
        self.stages = made
        self.roots = roots(graph)
        self.stores = stores(graph, self.stages, self.roots)
        self.keys = {id(store): number for number, store in enumerate(self.stores)}
        self.scratch_key, self.sums_key = len(self.stores), len(self.stores) + 1
        needs = [stage_needs(graph, stage) for stage in self.stages]
        self.sums = [need.sums for need in needs]
        ways = [self.way(stage, need.scratch) for stage, need in zip(self.stages, needs, strict=True)]
        self.runs = Runs(self.stages, self.stores, self.sums, ways, align=align, streamed_input=streamed_input)
        useful = (lambda peak: int(peak * BALANCED)) if bounded else (lambda _: 1 << 60)
        self.cutter = Cutter(self.runs, align=align, useful=useful)
        self.least, cuts = self.cutter.least_peak()
        self.taken: list[_Taken] = []
        self.shrink(ways, cuts)

    def way(self, stage: Stage, scratch: int) -> Way:
        rows = instructions(self.graph, stage, flat=False)
        flat = instructions(self.graph, stage, flat=True) if stage.pointwise else rows
        return Way(stage.block, scratch, rows, flat)

    def shrink(self, ways: Sequence[Way], cuts: Sequence[Cut]) -> None:
        """Allow smaller blocks, where that makes the least peak, which is that of ``cuts``, noticeably smaller."""
        most = int(self.least * _SCRATCH_SHARE)
        highest = max(cuts, key=self.cutter.lowest)
        if highest.scratch <= most:
            return
        smaller = []
        for stage, usual in zip(self.stages, ways, strict=True):
            found = [usual]
            while found[-1].block > 1 and found[-1].scratch > most:
                other = replace(stage, block=found[-1].block // 2)
                found.append(self.way(other, stage_needs(self.graph, other).scratch))
            smaller.append(found)
        self.cutter.allow(smaller)
        least, _ = self.cutter.least_peak()
        if least <= self.least * _WORTH:
            self.least = least
        else:
            self.cutter.allow([[usual] for usual in ways])

    def plan(self, prefer: Prefer, limit: int | None) -> MemoryPlan:
        if prefer is Prefer.RAM:
            return self.finished(self.smallest())
        allowed = 1 << 40 if prefer is Prefer.SPEED else int(self.least * BALANCED)
        if limit is not None:
            allowed = min(allowed, limit)
        if prefer is Prefer.SPEED:
            allowed = self.worth(max(allowed, self.least))
        layout = self.within(max(allowed, self.least))
        if layout is None:
            layout = self.smallest()
            if prefer is not Prefer.SPEED and limit is None:
                layout = self.within(int(layout.arena * BALANCED)) or layout
        return self.finished(layout)

    def worth(self, limit: int) -> int:
        """The smallest peak at which the instructions are within one percent of the fewest within a limit.

        The last instructions cost most: a whole tensor in the arena saves little more than the steps of its rows.
        """

        def taken(most: int) -> tuple[int, int]:
            """(instructions, peak) of the fastest cuts."""
            ways = [self.cutter.within(cut, most) for cut in self.cutter.fewest_instructions(most)]
            found = [way for way in ways if way is not None]
            return sum(way[0] for way in found), max(way[1] for way in found)

        fewest, high = taken(limit)
        low = self.least
        while high - low > max(ALIGNMENT, self.least // _CLOSE):
            middle = (low + high) // 2
            instructions, peak = taken(middle)
            low, high = (low, peak) if instructions <= fewest * _NEARLY else (middle, high)
        return high

    def within(self, limit: int) -> Layout | None:
        """The layout with the fewest instructions that is found within a limit."""
        chosen = self.cutter.fewest_instructions(limit)
        found = [self.cutter.within(cut, limit) for cut in chosen]
        peak = max(way[1] for way in found if way is not None)
        steps = self.by_first([self.step(cut, limit, sparing=True) for cut in chosen])
        layout = self.lay_out(steps, peak, _QUICK)
        if layout is not None:
            return layout
        steps = self.by_first([self.step(cut, limit) for cut in chosen])
        for percents in ((100, 104, 108), (125, 150, 200, 400)):
            mosts = sorted({min(align(peak * percent // 100), limit) for percent in percents})
            for width, most in ((width, most) for width in (_QUICK, _CAREFUL) for most in mosts):
                layout = self.lay_out(steps, most, width)
                if layout is not None:
                    return layout
        return self.together(limit, _CAREFUL)

    def together(self, limit: int, width: int) -> Layout | None:
        """Cuts and offsets searched together."""
        steps = [[self.step(cut, limit) for cut in cuts] for cuts in self.cutter.cuts(limit)]
        return self.lay_out(steps, limit, width)

    def smallest(self) -> Layout:
        """The smallest arena that is found."""
        low = high = self.least
        layout = self.within(high) or self.together(high, _THOROUGH)
        step = max(ALIGNMENT, align(self.least // 100))
        while layout is None:
            low, high, step = high, high + step, 2 * step
            layout = self.within(high)
        # Nothing was found within ``low``; halve what lies between, in whole alignments.
        while layout.arena > self.least and layout.arena - low > max(ALIGNMENT, self.least // _CLOSE):
            middle = (low + layout.arena) // (2 * ALIGNMENT) * ALIGNMENT
            found = self.together(middle, _CAREFUL)
            if found is None:
                low = middle
            else:
                layout = found
        return layout

    def by_first(self, steps: Sequence[Step]) -> list[list[Step]]:
        found: list[list[Step]] = [[] for _ in self.stages]
        for step in steps:
            found[step.first].append(step)
        return found

    def lay_out(self, steps: list[list[Step]], limit: int, width: int) -> Layout | None:
        everything = sum(align(store.nbytes) for store in self.stores)
        everything += max(step.size for first in steps for step in first)
        limit = min(limit - limit % ALIGNMENT, everything)
        given = [(self.keys[id(store)], align(store.nbytes)) for store in self.stores if store.first < 0]
        stream = self.keys[id(self.runs.stream)] if self.runs.stream is not None else -1
        found = []
        for rings in (True, False):
            first = [step for step in steps[0] if any(key == stream for key, _ in step.local) is rings]
            there = [item for item in given if not (rings and item[0] == stream)]
            if first:
                found.append(lay_out([first, *steps[1:]], there, limit, width=width))
        layouts = [layout for layout in found if layout is not None]
        return min(layouts, key=lambda layout: sum(laid.step.cost for laid in layout.laid), default=None)

    def step(self, cut: Cut, limit: int, *, sparing: bool = False) -> Step:
        """A cut as a Step; ``sparing``: with an overlap only where it is needed."""
        found = self.cutter.within(cut, limit)
        if found is None:
            raise ValueError(f"stages {cut.first} to {cut.end} need more than {limit} bytes")
        cost, peak, needed = found
        overlap = self.runs.overlap(cut) if needed or (not sparing and peak > limit // 2) else None
        kept: list[Store] = []
        local: list[tuple[int, int]] = []
        dying = {self.keys[id(store)] for store in self.runs.standing(cut) if store.last < cut.end}
        for made in self.runs.made[cut.first : cut.end]:
            kept += [store for store in made if store.last >= cut.end]
        for store in self.runs.rings(cut):
            local.append((self.keys[id(store)], align(store.ring_bytes)))
        for store in self.runs.made[cut.end - 1]:
            if store.last < cut.end:
                local.append((self.keys[id(store)], align(store.nbytes)))
        taken = _Taken(cut, self.cutter.blocks(cut, limit - (cut.base - (overlap.saved if needed and overlap else 0))))
        self.taken.append(taken)
        for key, size in ((self.scratch_key, taken.scratch), (self.sums_key, sum(self.sums[cut.first : cut.end]))):
            if size:
                local.append((key, align(size)))
        first = overlap.output if overlap is not None else None
        kept.sort(key=lambda store: (store is not first, -store.nbytes))
        local.sort(key=lambda item: -item[1])
        return Step(
            cut.first,
            cut.end,
            cost,
            tuple((self.keys[id(store)], align(store.nbytes)) for store in kept),
            tuple(local),
            frozenset(dying),
            (self.keys[id(overlap.input)], overlap.distance) if overlap is not None else None,
            len(self.taken) - 1,
        )

    def finished(self, layout: Layout) -> MemoryPlan:
        """The plan of a layout."""
        segment_of = {-1: 0, len(self.stages): len(layout.laid) - 1}
        offsets = dict(layout.given)
        rings: set[int] = set()
        segments = []
        for number, laid in enumerate(layout.laid):
            taken = self.taken[laid.step.number]
            cut = taken.cut
            segment_of.update(dict.fromkeys(range(cut.first, cut.end), number))
            offsets.update(laid.offsets)
            rings.update(id(store) for store in self.runs.rings(cut))
            ran = tuple(
                stage if stage.block == way.block else replace(stage, block=way.block)
                for stage, way in zip(self.stages[cut.first : cut.end], taken.ways, strict=True)
            )
            scratch, sums = laid.offsets.get(self.scratch_key, 0), laid.offsets.get(self.sums_key, 0)
            sums_bytes = sum(self.sums[cut.first : cut.end])
            segments.append(Segment(ran, cut.flat, scratch, taken.scratch, sums, sums_bytes, laid.alive))
        named: dict[int, list[int]] = {}
        for name, root in self.roots.items():
            named.setdefault(root, []).append(name)
        placements = []
        for number, store in enumerate(self.stores):
            ring = store.ring if id(store) in rings else None
            size = store.nbytes if ring is None else store.ring_bytes
            first, last = segment_of[store.first], segment_of[store.last]
            for name in (name for tensor in store.tensors for name in named[tensor]):
                alias = None if name == store.tensors[0] else store.tensors[0]
                placements.append(Placement(name, offsets[number], size, first, last, alias, ring))
        placements.sort(key=lambda placement: placement.tensor)
        highest = max(segments, key=lambda segment: segment.peak)
        operator = highest.stages[0].operators[0].index
        return MemoryPlan(layout.arena, tuple(placements), tuple(segments), operator, self.least)


@dataclass(frozen=True)
class _Taken:
    """A cut and how its stages run."""

    cut: Cut
    ways: list[Way]

    @property
    def scratch(self) -> int:
        return max(way.scratch for way in self.ways)
