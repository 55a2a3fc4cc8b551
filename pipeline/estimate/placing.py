"""Where in the arena each buffer goes: the segments are gone through in order, and of all ways to lay out what is alive
the best few are kept.

What a segment makes for later goes to an end of a free gap, or as high over the input that it may be written over as
it can; what only the segment itself needs fills what is left. How the inputs lie decides whether a later output finds
room, so several ways are carried on; where several cuts of the stages are given, those whose buffers fit are found on
the way.

Networks that begin with the same steps begin with the same layouts: :class:`Layouts` remembers them.
"""
# The innermost loops of every estimate: a call of max() would take longer than the rest of a line.
# ruff: noqa: PLR1730

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.estimate.model import Segment

#: Layouts that are remembered.
_MOST = 1_000


@dataclass(frozen=True, eq=False)
class Step:
    """A segment that may run: stages [first, end).

    Attributes:
        first: Its first stage.
        end: The stage behind its last.
        cost: Instructions.
        kept: (key, bytes) of the buffers that it makes and that are needed later; the one with an overlap first.
        local: (key, bytes) of those that only it needs, large ones first.
        dying: Keys of buffers that nobody needs after it.
        overlap: (key, distance): the first one kept may lie over this buffer if it begins that many bytes before it.
        of: What the caller made it of.
    """

    first: int
    end: int
    cost: int
    kept: tuple[tuple[int, int], ...]
    local: tuple[tuple[int, int], ...]
    dying: frozenset[int]
    overlap: tuple[int, int] | None = None
    of: object = None

    @cached_property
    def size(self) -> int:
        """Bytes that it makes."""
        return sum([size for _, size in self.kept]) + sum([size for _, size in self.local])


#: (offset, end, key) of a buffer.
_Place = tuple[int, int, int]
_Live = tuple[_Place, ...]


@dataclass(slots=True)
class _State:
    """What is alive between two segments, and how it came about."""

    live: _Live
    cost: int
    top: int
    before: _State | None
    step: Step | None
    places: list[_Place]
    laid: Laid | None = None

    @property
    def alive(self) -> int:
        """Bytes that are alive."""
        return sum([end - offset for offset, end, _ in self.live])


@dataclass(slots=True)
class Laid:
    """A step, the offsets of what it makes by key, and the bytes that are alive while it runs.

    ``segment`` is what the planner has made of it.
    """

    step: Step
    offsets: dict[int, int]
    alive: int
    segment: Segment | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Layout:
    """Bytes of the arena, the steps that were chosen, and the offsets of what was there before."""

    arena: int
    laid: tuple[Laid, ...]
    given: dict[int, int]


#: The steps that may end with a stage, and with each the most bytes that any step makes which begins where it does.
_Ending = tuple[tuple[Step, int], ...]


@dataclass(slots=True)
class _Behind:
    """The ways to lay out what is alive behind the first ``count`` stages, the best first; where they come from."""

    count: int
    states: list[_State]
    before: _Behind | None

    def at(self, count: int) -> list[_State]:
        """The ways behind so many stages; none where no step ends there."""
        reached: _Behind | None = self
        while reached is not None and reached.count > count:
            reached = reached.before
        return reached.states if reached is not None and reached.count == count else []


@dataclass(slots=True)
class _Reached:
    """What was reached, and what from there; nothing refers back, so that it is freed when it is dropped."""

    behind: _Behind
    then: dict[tuple[_Ending, bool], _Reached] = field(default_factory=dict)


#: (buffers that are there at the beginning, limit, width)
_Start = tuple[tuple[tuple[int, int], ...], int, int]


class Layouts:
    """Lays out steps, and remembers the layouts of what they begin with."""

    def __init__(self) -> None:
        self._starts: dict[_Start, _Reached] = {}
        self._count = 0

    def lay_out(
        self, ends: Sequence[tuple[Step, ...]], given: Sequence[tuple[int, int]], limit: int, *, width: int
    ) -> Layout | None:
        """The cheapest layout that was found within a limit; None where none was.

        Args:
            ends: For each stage the segments that may end with it, those that begin first before others.
            given: (key, bytes) of the buffers that are there at the beginning.
            limit: Bytes of the arena.
            width: Ways to lay out what is alive that are carried from stage to stage.
        """
        if self._count > _MOST:
            self._starts.clear()
            self._count = 0
        start = (tuple(given), limit, width)
        reached = self._starts.get(start)
        if reached is None:
            reached = self._starts[start] = _Reached(_Behind(0, list(_beginnings(given, limit)), None))
        most = [0] * len(ends)
        for steps in ends:
            for step in steps:
                if step.size > most[step.first]:
                    most[step.first] = step.size
        for count, steps in enumerate(ends, 1):
            if not steps:
                continue
            ending = tuple([(step, most[step.first]) for step in steps])
            last = count == len(ends)
            known = reached.then.get((ending, last))
            if known is None:
                states = _behind(ending, reached.behind, limit, width, last=last)
                known = reached.then[ending, last] = _Reached(_Behind(count, states, reached.behind))
                self._count += 1
            reached = known
        final = min(reached.behind.at(len(ends)), key=lambda state: (state.cost, state.top, state.live), default=None)
        return None if final is None else _traced(final)


def _behind(ending: _Ending, before: _Behind, limit: int, width: int, *, last: bool) -> list[_State]:
    """The best ways to lay out what is alive behind steps that end with one stage, of those behind each stage before.

    Behind the ``last`` stage those are all that cost least, and some more; else as many as are carried on.
    """
    tried: list[tuple[int, Step, _State]] = []
    for step, need in ending:
        states = before.at(step.first)
        if not states:
            continue
        # Where there is plenty of room, few layouts do.
        tight = need + states[0].alive > limit // 2
        for state in states[: width if tight else min(2, -(-width // 3))]:
            tried.append((state.cost + step.cost, step, state))
    tried.sort(key=itemgetter(0))
    found: dict[_Live, _State] = {}
    enough, most = 1 if last else width, -1
    for cost, step, state in tried:
        if len(found) >= enough and cost > most:
            break  # As many are cheaper as are wanted.
        for way in _ways(state, step, limit):
            known = found.get(way.live)
            if known is None:
                if len(found) < enough:
                    most = cost
                found[way.live] = way
            elif (cost, way.top) < (known.cost, known.top):
                found[way.live] = way
    ranked = sorted(found.values(), key=lambda state: _rank(state, limit)) if len(found) > 1 else list(found.values())
    return ranked if last else ranked[:width]


def _traced(final: _State) -> Layout:
    laid = []
    state = final
    while state.step is not None and state.before is not None:
        if state.laid is None:
            state.laid = _laid(state.step, state.before.live, state.places)
        laid.append(state.laid)
        state = state.before
    laid.reverse()
    return Layout(final.top, tuple(laid), {key: offset for offset, _, key in state.places})


def _laid(step: Step, live: _Live, places: Sequence[_Place]) -> Laid:
    alive = at = 0
    for offset, end, _ in sorted((*live, *places)):
        if end > at:
            alive += end - max(at, offset)
            at = end
    return Laid(step, {key: offset for offset, _, key in places}, alive)


def _rank(state: _State, limit: int) -> tuple[int, int, _Live]:
    """Cheap ones first, then those with one large gap."""
    widest = at = 0
    for offset, end, _ in state.live:
        if offset - at > widest:
            widest = offset - at
        if end > at:
            at = end
    return state.cost, -max(widest, limit - at), state.live


def _beginnings(given: Sequence[tuple[int, int]], limit: int) -> Iterator[_State]:
    """What is there at first, from the top down and from the bottom up."""
    down, up = [], []
    top, at = limit, 0
    for key, size in given:
        top -= size
        down.append((top, top + size, key))
        up.append((at, at + size, key))
        at += size
    if top >= 0:
        states = [
            _State(live, 0, max((end for _, end, _ in live), default=0), None, None, list(live))
            for live in dict.fromkeys((tuple(sorted(down)), tuple(up)))
        ]
        yield from sorted(states, key=lambda state: _rank(state, limit))


def _ways(state: _State, step: Step, limit: int) -> Iterator[_State]:
    """The ways to place what a segment makes: the first that is kept in several, the rest in what gaps are left."""
    live = state.live
    free = limit - state.alive
    if step.size > free and (step.overlap is None or step.size - step.kept[0][1] > free):
        return
    for first in _firsts(live, step, limit):
        occupied = [*live, *first]
        occupied.sort()
        gaps = _gaps(occupied, limit)
        rest = _fill(gaps, step.kept[1:])
        local = None if rest is None else _fill(gaps, step.local)
        if rest is None or local is None:
            continue
        if rest:
            occupied += rest
            occupied.sort()
        places = [*first, *rest, *local]
        top = state.top
        for _, end, _ in places:
            if end > top:
                top = end
        left = tuple([place for place in occupied if place[2] not in step.dying])
        yield _State(left, state.cost + step.cost, top, state, step, places)


def _firsts(live: Sequence[_Place], step: Step, limit: int) -> Iterator[tuple[_Place, ...]]:
    """Places of the first buffer that a segment makes for later; one way without a place where there is none."""
    if not step.kept:
        yield ()
        return
    key, size = step.kept[0]
    offsets: list[int] = []
    if step.overlap is not None:
        offsets += _over(live, size, *step.overlap, limit)
    for low, high in _gaps(live, limit):
        if high - low >= size:
            offsets += [low, high - size]
    for offset in dict.fromkeys(offsets):
        yield ((offset, offset + size, key),)


def _over(live: Sequence[_Place], size: int, over: int, distance: int, limit: int) -> list[int]:
    """Offsets at which a buffer lies over another one: as high as it can, and as low."""
    below, above, found = 0, limit, -1
    for offset, end, key in live:
        if key == over:
            found = offset
        elif found < 0:
            below = max(below, end)
        else:
            above = min(above, offset)
    highest = min(found - distance, above - size)
    return [highest, below] if highest >= below else []


def _gaps(occupied: Sequence[_Place], limit: int) -> list[tuple[int, int]]:
    gaps, at = [], 0
    for offset, end, _ in occupied:
        if offset > at:
            gaps.append((at, offset))
        if end > at:
            at = end
    if at < limit:
        gaps.append((at, limit))
    return gaps


def _fill(gaps: list[tuple[int, int]], sizes: Sequence[tuple[int, int]]) -> list[_Place] | None:
    """Places for buffers in gaps, each in the smallest that holds it; what is taken is taken from the gaps."""
    made = []
    for key, size in sizes:
        best, least = -1, 1 << 60
        for number, (low, high) in enumerate(gaps):
            if size <= high - low < least:
                best, least = number, high - low
        if best < 0:
            return None
        low, high = gaps[best]
        gaps[best] = (low + size, high)
        made.append((low, low + size, key))
    return made
