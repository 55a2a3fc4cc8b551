"""Estimates of many designs: networks that are planned alike behind some block are planned once.

A plan is made from the first stage to the last, and looks only back (segments.py, layouts.py). Behind most blocks it
need not look far: what is alive there is one activation, the highest peak lies before, and whatever follows, no run of
stages across that border is better than one that ends there. Then nothing of what is before matters but a few figures:
the peaks, the limit that follows from them, where the activation lies in each layout that is carried on. Trunks in
which these are the same are of one kind, however many blocks they have. What follows a kind is planned once, by the
planner, with one of its trunks, and held against the conditions below; where they do not hold a trunk is planned for
itself.

What must hold so that stages behind a border ``b`` are planned alike for all trunks of a kind:

- *Peaks.* No run that begins before ``b`` and ends behind it has less alive than the least peak P so far: see
  :meth:`_Look.closed`. And behind ``b`` some run that begins there has at most P alive. Then the least peak stays P,
  and the planner takes the same runs: the shortest ones.
- *Instructions.* A run across ``b`` takes at least what its stages take by rows. That is more than what the chosen runs
  take, which begin behind ``b``: see :attr:`_Kind.slack`.
- *Layouts.* The attempt that succeeds is the same, its runs have at most the same peak, so that it is made for an arena
  as large, and it begins with the same layouts of what is alive at ``b``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from pipeline.boards import Board
from pipeline.estimate.compilers import Calibration
from pipeline.estimate.estimator import Planned, room_for
from pipeline.estimate.flash import tallied
from pipeline.estimate.macs import macs
from pipeline.estimate.model import Estimate, InputMode, Item, MemoryPlan, Prefer
from pipeline.estimate.placing import Layout, State, traced
from pipeline.estimate.planner import Attempt, Planner, align, balanced
from pipeline.estimate.ram import Called, arena_item, arena_parts, other_items, stack_bound
from pipeline.estimate.runs import Cut, Runs
from pipeline.estimate.segments import NEVER, much
from pipeline.estimate.steps import Steps
from pipeline.estimate.table import Table, calibration_of, load_for
from pipeline.estimate.tally import Tally, finds_by_rows, tally, together
from pipeline.genotype import Block, DataConfig, Genotype, architecture
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype, grown, headed

#: Kinds that are remembered.
_MOST = 1 << 15


class _Way(NamedTuple):
    """How a trunk's output lies in a layout that is carried on, what that costs beyond the first one, and its arena.

    ``alive`` is the most that is alive in it, ``uses`` what that is.
    """

    offset: int
    end: int
    cost: int
    top: int
    alive: int
    uses: tuple[tuple[str, int], ...]


class _Peaks(NamedTuple):
    """What the cuts of a trunk with the least peak have alive; see :meth:`Planner.shrink`."""

    least: int
    highest: int
    scratch: int


class _Plans(NamedTuple):
    """What is the same in all trunks of a kind."""

    peaks: tuple[_Peaks, ...]
    limit: int
    peak: int
    attempt: int


class _Begun(NamedTuple):
    """An attempt with its number, and the layouts that it carries on behind a trunk."""

    number: int
    attempt: Attempt
    layouts: list[tuple[State, Layout]]


class _Look:
    """A trunk, or a whole network, as the planner sees it where there is plenty of room, or none to spare."""

    def __init__(self, graph: Graph, *, roomy: bool, since: int = 0) -> None:
        """Plan a graph.

        Args:
            graph: That of the trunk or network.
            roomy: Whether there is plenty of room.
            since: The number of the first attempt that does not fail before the border of the kind before.
        """
        self.graph, self.since = graph, since
        self.planner = Planner(graph)
        self.steps = self.planner.steps
        least = self.planner.least
        self.limit = balanced(least) if roomy else least
        self.count = len(self.steps.runs.stages)
        self.peaks = tuple([_peaks(steps) for steps in self.planner.tried])
        _, self.peak = self.steps.fewest_instructions(self.limit, sparing=True)

    @cached_property
    def begun(self) -> _Begun | None:
        """The first attempt that does not fail in the trunk; None where they all do."""
        for number, attempt in self.attempts():
            states = self.planner.behind(attempt)
            if states:
                return _Begun(number, attempt, [(state, traced(state)) for state in states])
        return None

    def attempts(self) -> Iterator[tuple[int, Attempt]]:
        """Those of the planner by number, as long as no arena is as large as all activations together."""
        everything = self.planner.runs.everything
        for number, attempt in enumerate(self.planner.attempts(self.limit)):
            if attempt.limit > everything:
                return
            if number >= self.since:
                yield number, attempt

    def closed(self) -> bool:
        """Whether no run that begins in the trunk and goes on behind it can have less alive than the least peak."""
        for steps in self.planner.tried:
            least = steps.cutter.least_peaks
            if any(max(pair) < least[-1] for pair in zip(least, _across(steps.runs), strict=False)):
                return False
        return True

    def beyond(self, attempt: Attempt, base: int, more: int) -> int | None:
        """What a layout with a run across the end of the trunk takes more, at least, than the cheapest one there.

        An attempt without a chain looks at all runs within the limit that have a stage with much alive among theirs.
        None: with such runs other layouts might be carried on in the trunk itself, because there is less room then.

        Args:
            attempt: One without a chain.
            base: The first stage behind the border before.
            more: The same of runs across that border.
        """
        ways = self.steps.runs.ways
        large = [number for number, cuts in enumerate(self.steps.cutter.by_end) if self.large(cuts[0])]
        behind, across = self.planner.behind_each(attempt, last=False), _across(self.steps.runs)
        cheapest, rows = behind[-1][0][0].cost, 0
        for first in range(self.count - 1, base - 1, -1):
            rows += ways[first][0].rows
            states, tight = behind[first]
            if states and first <= max(large, default=-1) and across[first] <= attempt.limit:
                if not tight:
                    return None
                more = min(more, states[0].cost + rows - cheapest)
        # So coarse a bound, because trunks with another one are of another kind.
        return 1 << more.bit_length() - 1 if more > 0 else None

    def kept(self, kind: _Kind, attempt: Attempt, *, last: bool) -> int | None:
        """What layouts with runs across a kind's border take more, at least, than the cheapest ones behind it.

        None: for some stage they may be the cheapest.
        """
        if any(self.large(cuts[0]) for cuts in self.steps.cutter.by_end[kind.count :]):
            return None
        behind, ways = self.planner.behind_each(attempt, last=last), self.steps.runs.ways
        ends = self.steps.within(attempt.limit)
        bound = behind[kind.base][0][0].cost + kind.beyond
        least, rows, more = {kind.base: 0}, 0, kind.beyond
        for end in range(kind.base + 1, self.count + 1):
            rows += ways[end - 1][0].rows
            local = [least[step.first] + step.cost for step in ends[end - 1] if step.first >= kind.base]
            least[end] = min([rows, *local])
            states, _ = behind[end]
            more = bound + least[end] - states[0].cost if states else 0
            if more <= 0:
                return None
        return more

    def large(self, alone: Cut) -> bool:
        """Whether stages are looked at together with this one, see :meth:`Cutter.cuts`."""
        return alone.peak > much(self.limit)

    def slack(self) -> int:
        """Instructions, at least, that a run across the end of the trunk takes more than those that end there."""
        runs, fastest = self.steps.runs, self.steps.cutter.fewest(self.limit)
        found, rows = NEVER, 0
        for first in range(self.count - 1, -1, -1):
            rows += runs.ways[first][0].rows
            found = min(found, fastest[first] + rows)
        return found - fastest[self.count]

    def alike(self, kind: _Kind) -> bool:
        """Whether all that is behind a kind's border is planned as in all its trunks."""
        base, least = kind.base, kind.plans.peaks
        if self.peaks != least or (self.limit, self.peak) != (kind.plans.limit, kind.plans.peak):
            return False
        for steps, peaks in zip(self.planner.tried, least, strict=True):
            for cuts in steps.cutter.by_end[kind.count :]:
                if not any(cut.first >= base and cut.least_peak <= peaks.least for cut in cuts):
                    return False
        cutter, ways = self.steps.cutter, self.steps.runs.ways
        fastest, chosen = cutter.fewest(self.limit), cutter.chosen(self.limit)
        across = fastest[base] + kind.slack
        for end in range(base + 1, self.count + 1):
            across += ways[end - 1][0].rows
            cut = chosen[end]
            if cut is None or cut.first < base or fastest[end] >= across:
                return False
        return True


def _across(runs: Runs) -> list[int]:
    """For each stage what a run that begins with it and goes on behind the last one has alive, at least.

    That is what was there before it began, a ring of each activation that its stages make, and scratch. An output
    that is written over an input saves at most itself, and is none of these rings.
    """
    found = []
    rings = scratch = 0
    for first in range(len(runs.stages) - 1, -1, -1):
        number = runs.store_of[first]
        if runs.stores[number].first == first:
            rings += runs.rings[number]
        scratch = max(scratch, runs.ways[first][-1].scratch)
        found.append(runs.alive[first] + rings + align(scratch))
    return found[::-1]


def _peaks(steps: Steps) -> _Peaks:
    least, cuts = steps.cutter.least_peak()
    highest = max(cuts, key=steps.cutter.lowest)
    return _Peaks(least, steps.cutter.lowest(highest), highest.scratch)


@dataclass(slots=True, eq=False)
class _Kind:
    """Trunks behind which networks are planned alike.

    Attributes:
        data: That of one of them.
        blocks: Its blocks.
        count: Its stages.
        base: Stages before the border; those behind it are the same ones in all trunks. 0: there is one trunk.
        slack: Instructions that a run across the border takes more than those that end there, at least.
        plans: How it is planned.
        beyond: The same of what is laid out with such a run, where attempts look at all runs.
        anchor: Where attempts look at all runs, the activation that is alive at the border, and its offset in the first
            of the layouts that are carried on: what is before the border may be cut in another way in the others.
        macs: Multiply-accumulates of the one trunk.
        after: By the block that follows, what is behind it; None: each trunk is to be looked at for itself. By a block
            and the head likewise.
    """

    data: DataConfig
    blocks: tuple[Block, ...]
    count: int
    base: int
    slack: int
    plans: _Plans
    beyond: int
    anchor: tuple[int, int] | None
    macs: int
    after: dict[Block, _Step | None] = field(default_factory=dict)
    ends: dict[Block, _End | None] = field(default_factory=dict)

    @property
    def since(self) -> int:
        """The number of the first attempt that does not fail before the border; the peak may still be another one."""
        return max(0, self.plans.attempt) if self.base else 0


class _Step(NamedTuple):
    """A kind, what the segments need that it has before its border and that before had not, and the block's MACs."""

    kind: _Kind
    gain: Tally | None
    macs: int


class _End(NamedTuple):
    """A whole network: the arena, what the segments behind the border of the kind before need, MACs behind that."""

    arena: Item
    gain: Tally
    macs: int
    least: int


class Designs:
    """Estimates designs on a board: the figures are those that :class:`Planned` gives of each alone."""

    def __init__(self, board: Board, classes: int, planned: Planned) -> None:
        """Estimates for a board.

        Args:
            board: The board type.
            classes: Outputs of the networks.
            planned: How they are planned. Only balanced plans of networks with their input in whole are shared.
        """
        self.board, self.classes, self.planned = board, classes, planned
        self._shares = planned.prefer is Prefer.BALANCED and planned.input_mode is InputMode.RESIDENT
        self._kinds: dict[object, _Kind] = {}
        self._trunks: dict[tuple[DataConfig, tuple[Block, ...], bool], _Step] = {}
        self._called: dict[Called, tuple[Item, Item, int]] = {}

    def __call__(self, genotype: Genotype) -> Estimate:
        """The estimate of a design.

        Raises:
            UsageError: As :class:`Planned`.
        """
        # Of the wide space's designs few are alike.
        found = self._shared(genotype) if self._shares and genotype.wide is None else None
        return self.planned(from_genotype(genotype, self.classes), self.board) if found is None else found

    def _shared(self, genotype: Genotype) -> Estimate | None:
        """The estimate of a design, None where it must be planned for itself."""
        if len(self._kinds) + len(self._trunks) > _MOST:
            self._forget()
        blocks = architecture(genotype)
        for roomy in (True, False):
            end, gains, done = self._followed(genotype.data, blocks, roomy=roomy)
            if end is None:
                break
            found = self._estimate(end, together(gains), done, roomy=roomy)
            if found is not None:
                return found
        return None

    def _forget(self) -> None:
        for kind in (*self._kinds.values(), *(step.kind for step in self._trunks.values())):
            kind.after.clear()  # A kind may be behind itself.
        self._kinds.clear()
        self._trunks.clear()
        self._called.clear()

    def _estimate(self, end: _End, needs: Tally, done: int, *, roomy: bool) -> Estimate | None:
        """The estimate of a network, None where the board leaves its arena another room."""
        board, table = self.board, self._table
        kernels = frozenset(needs.kernels)
        if not kernels <= table.kernels.keys():
            return None  # Refused later, with the operator.
        static, stack, frame = self._others(Called(len(needs.kernels), False, kernels, needs.needs))
        room = room_for(board, static=static.bytes, stack=stack.bytes, ram_bytes=self.planned.ram_bytes)
        if room < balanced(end.least) if roomy else room > end.least:
            return None
        return Estimate(
            ram=(end.arena, static, stack),
            flash=tallied(needs, table, streams=False),
            stack_reserve=board.stack.reserve_bytes,
            frame_reserve=frame,
            macs=done,
            calibration=self._calibration,
        )

    @cached_property
    def _table(self) -> Table:
        return load_for(self.board)

    @cached_property
    def _calibration(self) -> Calibration:
        return calibration_of(self.board)

    def _others(self, calls: Called) -> tuple[Item, Item, int]:
        """The items static and stack, and what exceptions may take of the stack besides."""
        found = self._called.get(calls)
        if found is None:
            static, stack = other_items(self.classes, calls, self._table)  # An output is a byte a class.
            found = self._called[calls] = static, stack, stack_bound(calls, self._table).frame_reserve
        return found

    def _followed(
        self, data: DataConfig, blocks: tuple[Block, ...], *, roomy: bool
    ) -> tuple[_End | None, list[Tally], int]:
        """From kind to kind: the end of a network, what its segments need, and its MACs."""
        kind, gain, done = self._trunk(data, blocks[:1], roomy=roomy)
        gains = [] if gain is None else [gain]
        for position, block in enumerate(blocks[1:-1], 2):
            try:
                step = kind.after[block]
            except KeyError:
                step = kind.after[block] = self._step(kind, block, roomy=roomy)
            if step is not None:
                kind, gain, more = step
                done += more
            else:
                kind, gain, done = self._trunk(data, blocks[:position], roomy=roomy)
                gains = []
            if gain is not None:
                gains.append(gain)
        last = blocks[-1]
        if last not in kind.ends:
            kind.ends[last] = self._end(kind, last, roomy=roomy)
        end = kind.ends[last]
        if end is None:
            return None, gains, done
        return end, [*gains, end.gain], done + end.macs

    def _trunk(self, data: DataConfig, blocks: tuple[Block, ...], *, roomy: bool) -> _Step:
        """What a trunk is, looked at for itself."""
        known = self._trunks.get((data, blocks, roomy))
        if known is None:
            look = _Look(grown(data, blocks), roomy=roomy)
            known = self._trunks[data, blocks, roomy] = self._kind(look, data, blocks)
        return known

    def _step(self, kind: _Kind, block: Block, *, roomy: bool) -> _Step | None:
        """What is behind a kind and one more block."""
        blocks = (*kind.blocks, block)
        look = _Look(grown(kind.data, blocks), roomy=roomy, since=kind.since)
        if not kind.base:
            return self._kind(look, kind.data, blocks, kind)
        begun = look.begun if look.alike(kind) else None
        if begun is None or begun.number != kind.plans.attempt:
            return None
        beyond = look.kept(kind, begun.attempt, last=False) if begun.attempt.chain is None else NEVER
        return None if beyond is None else self._kind(look, kind.data, blocks, kind, beyond)

    def _end(self, kind: _Kind, block: Block, *, roomy: bool) -> _End | None:
        graph = headed(grown(kind.data, (*kind.blocks, block)), self.classes)
        look = _Look(graph, roomy=roomy, since=kind.since)
        if kind.base and not look.alike(kind):
            return None
        tries = ((number, attempt, look.planner.laid(attempt)) for number, attempt in look.attempts())
        number, attempt, layout = next((one for one in tries if one[2] is not None), (-1, None, None))
        if layout is None or attempt is None or (kind.base and number != kind.plans.attempt):
            return None
        if kind.base and attempt.chain is None and look.kept(kind, attempt, last=True) is None:
            return None
        plan = look.planner.finished(layout)
        if not _from(kind, plan):
            return None
        gain = _tally(graph, plan, kind.base)
        return _End(arena_item(plan), gain, macs(graph) - kind.macs, look.planner.least)

    def _kind(
        self,
        look: _Look,
        data: DataConfig,
        blocks: tuple[Block, ...],
        before: _Kind | None = None,
        beyond: int = NEVER,
    ) -> _Step:
        """The kind of a trunk, behind the one of its other blocks; ``beyond``: as :meth:`_Look.kept` finds it."""
        begun, graph, done = look.begun, look.graph, macs(look.graph)
        plans = _Plans(look.peaks, look.limit, look.peak, -1 if begun is None else begun.number)
        if before is None:
            new = _Kind(data, blocks, look.count, 0, 0, plans, NEVER, None, done)
            alone = _Step(new, None, done)
        else:
            new = replace(before, blocks=blocks, count=look.count, plans=plans, macs=done, after={}, ends={})
            alone = _Step(new, None, done - before.macs)
        output = graph.output
        # Of single rows no run is quicker than another: what follows goes on with them.
        if begun is None or output.shape[1] == 1 or not look.closed():
            return alone
        layouts = begun.layouts
        if begun.attempt.chain is None:
            coarse = look.beyond(begun.attempt, new.base, beyond)
            if coarse is None:
                return alone
            beyond = coarse
            layouts = [one for one in layouts if one[0].cost - layouts[0][0].cost < beyond]
        made = [look.planner.finished(layout) for _, layout in layouts]
        ways = _ways(look, [state for state, _ in layouts], made)
        first = made[0]
        if ways is None or not _from(new, first):
            return alone
        # What is before the border is cut alike in all layouts: so it is in those of all trunks of the kind.
        cut = {tuple([laid.step for laid in layout.laid]) for _, layout in layouts}
        uniform = len(cut) == 1 and all(_from(new, plan) for plan in made)
        by_rows = finds_by_rows(graph, first.segments[-1], output.index)
        gain = _tally(graph, first, new.base)
        new.base, new.slack, new.beyond = look.count, look.slack(), beyond
        new.anchor = None if uniform else (output.index, ways[0].offset)
        key = (data, output.shape, plans, new.slack, beyond, ways, by_rows, uniform)
        return _Step(self._kinds.setdefault(key, new), gain, alone.macs)


def _from(kind: _Kind, plan: MemoryPlan) -> bool:
    """Whether a plan goes on from the first of the layouts that are carried on, where that matters."""
    return kind.anchor is None or plan.offset(kind.anchor[0]) == kind.anchor[1]


def _tally(graph: Graph, plan: MemoryPlan, base: int) -> Tally:
    """What the segments of a plan need that begin with stage ``base`` or later."""
    number = next(number for number, segment in enumerate(plan.segments) if segment.stages[0].index >= base)
    # Of what those before have only the activation that is alive at the border is needed, and the last one writes it.
    return tally(graph, plan.segments[number:], plan.segments[max(0, number - 1) : number])


def _ways(look: _Look, states: Sequence[State], made: Sequence[MemoryPlan]) -> tuple[_Way, ...] | None:
    """How the trunk's output lies in its layouts; None where something else is alive as well."""
    number = look.steps.runs.store_of[look.count - 1]
    found = []
    for state, plan in zip(states, made, strict=True):
        if len(state.live) != 1 or state.live[0][2] != number:
            return None
        uses = tuple((part.name, part.bytes) for part in arena_parts(plan)[:-1])  # The last ones are the gaps.
        alive = max(segment.peak for segment in plan.segments)
        offset, end, _ = state.live[0]
        found.append(_Way(offset, end, state.cost - states[0].cost, state.top, alive, uses))
    return tuple(found)
