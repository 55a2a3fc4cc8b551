"""The memory plan: which stages stream together, and where in the arena each activation lives.

Stages come from the operators (stages.py), Stores from what they read and write (storage.py), cuts from both
(segments.py), offsets from the cuts (placing.py). Everything follows from shapes, nothing from weights, so that a
genotype's plan is its .tflite's.

Not every set of cuts can be laid out in as many bytes as are alive at its peak. So the cuts with the fewest
instructions are tried first; where they don't fit, cuts and offsets are searched together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from pipeline.estimate.areas import ALIGNMENT
from pipeline.estimate.features import block_code, expected
from pipeline.estimate.instructions import instructions
from pipeline.estimate.kernels import stage_needs
from pipeline.estimate.layouts import Chain, Given, Layouts
from pipeline.estimate.model import MemoryPlan, Placement, Prefer, Segment
from pipeline.estimate.placing import Laid, Layout, State, Step
from pipeline.estimate.roots import roots
from pipeline.estimate.runs import IMPOSSIBLE, Cut, Runs, Way
from pipeline.estimate.segments import Cutter
from pipeline.estimate.shapes import of_graph, of_shapes
from pipeline.estimate.stages import BLOCK, Stage, stages
from pipeline.estimate.steps import SCRATCH, SUMS, Steps, Taken
from pipeline.estimate.storage import stores
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
#: Forms for which the cuts of a Graph are kept.
_FORMS = 8
#: How many layouts are carried on: at first, and where the first one does not fit.
_QUICK, _CAREFUL, _THOROUGH = 3, 4, 24


def align(size: int) -> int:
    """Round up to the arena's alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def balanced(least: int) -> int:
    """Bytes that an arena may have where RAM and instructions count both, of the least peak."""
    return int(least * BALANCED)


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
    if streamed_input:
        demand_streamable(graph, stages(graph), stores(graph))
    if not stages(graph):
        return spread(graph)  # Nothing runs.
    plans = []
    for most in _COMPACT_BLOCKS if prefer is Prefer.FLASH else (BLOCK,):
        planner = Planner(graph, streamed_input=streamed_input, block=most)
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


@dataclass(frozen=True)
class _Form:
    """What the cuts of a Graph depend on besides the Graph.

    Attributes:
        streamed: Whether the input is not kept in whole.
        block: Pixels that a convolution makes at a time, at most.
        most: Bytes of scratch above which smaller blocks are tried as well; None: they never are.
    """

    streamed: bool
    block: int
    most: int | None = None


class _Found:
    """What has been found out about a Graph's steps, by form; and layouts of what Graphs with its trunk begin with."""

    def __init__(self, layouts: Layouts) -> None:
        self.steps: dict[_Form, Steps] = {}
        self.layouts = layouts


@of_graph
def _named(graph: Graph) -> dict[int, tuple[int, ...]]:
    """For each root all its names."""
    trunk = graph.trunk
    named = {} if trunk is None else dict(_named(trunk))
    known = 0 if trunk is None else len(roots(trunk))
    for name, root in islice(roots(graph).items(), known, None):
        named[root] = (*named.get(root, ()), name)
    return named


@of_graph
def _found(graph: Graph) -> _Found:
    return _Found(Layouts() if graph.trunk is None else _found(graph.trunk).layouts)


def _steps(graph: Graph, form: _Form) -> Steps:
    """The steps of a Graph, behind those of its trunk."""
    found = _found(graph)
    if form not in found.steps:
        if len(found.steps) == _FORMS:
            found.steps.clear()
        trunk = None if graph.trunk is None else _steps(graph.trunk, form)
        begun = trunk.runs if trunk is not None else None
        made = stages(graph)
        new = [_sized(stage, form.block) for stage in made[len(begun.stages) if begun is not None else 0 :]]
        sums = [] if begun is None else list(begun.sums)
        sums += [stage_needs(graph, stage).sums for stage in new]
        ways = [] if begun is None else list(begun.ways)
        ways += [_ways(graph, stage, form.most) for stage in new]
        runs = Runs(
            [*(begun.stages if begun is not None else ()), *new],
            stores(graph),
            sums,
            ways,
            align=align,
            streamed_input=form.streamed,
            trunk=begun,
        )
        cutter = Cutter(runs, align=align, trunk=trunk.cutter if trunk is not None else None)
        found.steps[form] = Steps(cutter, found.layouts, align=align, trunk=trunk)
    return found.steps[form]


def _sized(stage: Stage, block: int) -> Stage:
    return stage if stage.block == block else replace(stage, block=block)


@of_shapes
def _ways(graph: Graph, stage: Stage, most: int | None) -> tuple[Way, ...]:
    """How a stage may run; with smaller blocks as well as long as its scratch is more than ``most``."""
    found: list[Way] = []
    block = stage.block
    while block > 0 and (not found or (most is not None and found[-1].scratch > most)):
        sized = _sized(stage, block)
        rows = instructions(graph, sized, flat=False)
        flat = instructions(graph, sized, flat=True) if stage.pointwise else rows
        found.append(Way(block, stage_needs(graph, sized).scratch, rows, flat))
        block //= 2
    return tuple(found)


class Attempt(NamedTuple):
    """One way to look for a layout: of a chain of steps, or None: of those that fit best.

    ``limit`` are bytes of the arena, ``width`` the layouts that are carried from step to step.
    """

    chain: Chain | None
    limit: int
    width: int


class Planner:
    """Makes plans of one Graph."""

    def __init__(self, graph: Graph, *, streamed_input: bool = False, block: int = BLOCK) -> None:
        """Find the cuts with the least peak.

        Args:
            graph: At least one of its operators has something to do.
            streamed_input: The input is not kept in whole.
            block: Pixels that a convolution makes at a time, at most.
        """
        self.graph = graph
        form = _Form(streamed_input, block)
        self.steps = _steps(graph, form)
        #: The steps without smaller blocks, and where these are tried the steps with them.
        self.tried = [self.steps]
        self.cutter = self.steps.cutter
        self.least, cuts = self.cutter.least_peak()
        self.shrink(form, cuts)
        self.cutter = self.steps.cutter
        self.runs = self.cutter.runs
        self.stores = self.runs.stores
        self.layouts = self.steps.layouts

    def shrink(self, form: _Form, cuts: Sequence[Cut]) -> None:
        """Allow smaller blocks, where that makes the least peak, which is that of ``cuts``, noticeably smaller."""
        most = int(self.least * _SCRATCH_SHARE)
        if max(cut.scratch for cut in cuts) <= most or max(cuts, key=self.cutter.lowest).scratch <= most:
            return
        smaller = _steps(self.graph, replace(form, most=most))
        self.tried.append(smaller)
        least, _ = smaller.cutter.least_peak()
        if least <= self.least * _WORTH:
            self.least, self.steps = least, smaller

    def plan(self, prefer: Prefer, limit: int | None) -> MemoryPlan:
        if prefer is Prefer.RAM:
            return self.finished(self.smallest())
        allowed = 1 << 40 if prefer is Prefer.SPEED else balanced(self.least)
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
        layouts = (self.laid(attempt) for attempt in self.attempts(limit))
        return next((layout for layout in layouts if layout is not None), None)

    def attempts(self, limit: int) -> Iterator[Attempt]:
        """What is tried one after another within a limit."""
        link, peak = self.steps.fewest_instructions(limit, sparing=True)
        yield Attempt(link.chain, peak, _QUICK)
        link, _ = self.steps.fewest_instructions(limit, sparing=False)
        for percents in ((100, 104, 108), (125, 150, 200, 400)):
            mosts = sorted({min(align(peak * percent // 100), limit) for percent in percents})
            yield from (Attempt(link.chain, most, width) for width in (_QUICK, _CAREFUL) for most in mosts)
        yield Attempt(None, limit, _CAREFUL)

    def laid(self, attempt: Attempt) -> Layout | None:
        """The layout that an attempt finds."""
        if attempt.chain is None:
            return self.together(attempt.limit, attempt.width)
        return self.along(attempt.chain, attempt.limit, attempt.width)

    def behind(self, attempt: Attempt) -> list[State]:
        """The ways to lay out what is alive behind all the stages, if others follow that an attempt carries on with.

        The input is kept in whole, and the arena is no larger than all activations together.
        """
        if attempt.chain is None:
            return self.behind_each(attempt, last=False)[-1][0]
        limit = attempt.limit - attempt.limit % ALIGNMENT
        return self.layouts.behind(attempt.chain, self.given, limit, width=attempt.width)

    def behind_each(self, attempt: Attempt, *, last: bool) -> list[tuple[list[State], bool]]:
        """For each number of first stages the ways that an attempt without a chain carries on; as :meth:`behind`.

        Besides whether room is short there, and ``last``: no other stages follow.
        """
        limit = attempt.limit - attempt.limit % ALIGNMENT
        ends = self.steps.within(attempt.limit)
        return self.layouts.behind_each(ends, self.given, limit, width=attempt.width, last=last)

    def together(self, limit: int, width: int) -> Layout | None:
        """Cuts and offsets searched together."""
        return self.lay_out(self.steps.within(limit), limit, width)

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

    def along(self, chain: Chain, limit: int, width: int) -> Layout | None:
        """The layout of a chain of steps."""
        limit -= limit % ALIGNMENT
        if limit > self.runs.everything:
            limit = min(limit, self.runs.everything + max(step.size for step in chain.steps))
        given = self.given
        stream = self.runs.stream
        if stream is not None and any(key == stream for key, _ in chain.steps[0].local):
            given = tuple(item for item in given if item[0] != stream)
        return self.layouts.along(chain, given, limit, width=width)

    def lay_out(self, ends: Sequence[tuple[Step, ...]], limit: int, width: int) -> Layout | None:
        """The best layout of steps that may be chosen."""
        limit -= limit % ALIGNMENT
        if limit > self.runs.everything:
            limit = min(limit, self.runs.everything + max(step.size for steps in ends for step in steps))
        stream = self.runs.stream
        if stream is None:
            return self.layouts.lay_out(ends, self.given, limit, width=width)
        # The first segment has the input as a ring, or finds it in whole.
        found = []
        for rings in (True, False):
            some = [
                tuple(
                    [step for step in steps if step.first > 0 or any(key == stream for key, _ in step.local) is rings]
                )
                for steps in ends
            ]
            there = tuple(item for item in self.given if not (rings and item[0] == stream))
            found.append(self.layouts.lay_out(some, there, limit, width=width))
        layouts = [layout for layout in found if layout is not None]
        return min(layouts, key=lambda layout: sum(laid.step.cost for laid in layout.laid), default=None)

    @cached_property
    def given(self) -> Given:
        """The buffers that are there at the beginning."""
        return tuple([(number, self.runs.full[number]) for number, store in enumerate(self.stores) if store.first < 0])

    def finished(self, layout: Layout) -> MemoryPlan:
        """The plan of a layout."""
        stages = self.runs.stages
        segment_of = {-1: 0, len(stages): len(layout.laid) - 1}
        offsets = dict(layout.given)
        rings: set[int] = set()
        segments = []
        for number, laid in enumerate(layout.laid):
            taken = laid.step.of
            if not isinstance(taken, Taken):
                raise TypeError("a step that was made of something else")
            for position in range(laid.step.first, laid.step.end):
                segment_of[position] = number
            offsets.update(laid.offsets)
            rings.update(taken.rings)
            if laid.segment is None:
                laid.segment = self._segment(laid, taken)
            segments.append(laid.segment)
        named = _named(self.graph)
        placements: list[Placement] = []
        for number, store in enumerate(self.stores):
            ring = store.ring if number in rings else None
            size = store.nbytes if ring is None else store.ring_bytes
            first, last = segment_of[store.first], segment_of[store.last]
            begins = store.tensors[0]
            for tensor in store.tensors:
                for name in named[tensor]:
                    alias = None if name == begins else begins
                    placements.append(Placement(name, offsets[number], size, first, last, alias, ring))
        placements.sort()
        highest = max(segments, key=lambda segment: segment.peak)
        operator = highest.stages[0].operators[0].index
        return MemoryPlan(layout.arena, tuple(placements), tuple(segments), operator, self.least)

    def _segment(self, laid: Laid, taken: Taken) -> Segment:
        stages = self.runs.stages[laid.step.first : laid.step.end]
        ran = tuple([_sized(stage, way.block) for stage, way in zip(stages, taken.ways, strict=True)])
        scratch, sums = laid.offsets.get(SCRATCH, 0), laid.offsets.get(SUMS, 0)
        return Segment(ran, taken.flat, scratch, taken.scratch, sums, taken.sums, laid.alive)
