"""Where in the arena each buffer goes: the segments are gone through in order, and of all ways to lay out what is alive
the best few are kept.

What a segment makes for later goes to an end of a free gap, or as high over the input that it may be written over as
it can; what only the segment itself needs fills what is left. How the inputs lie decides whether a later output finds
room, so several ways are carried on; where several cuts of the stages are given, those whose buffers fit are found on
the way.

layouts.py goes from step to step, and remembers the way.
"""
# The innermost loops of every estimate: a call of max() would take longer than the rest of a line.
# ruff: noqa: PLR1730

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.estimate.model import Segment


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
class State:
    """What is alive between two segments, and how it came about."""

    live: _Live
    cost: int
    top: int
    before: State | None
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


def behind(tries: Iterable[tuple[Step, Sequence[State]]], limit: int, width: int, *, last: bool) -> list[State]:
    """The best ways to lay out what is alive behind steps that end with one stage.

    Behind the ``last`` stage those are all that cost least, and some more; else as many as are carried on.

    Args:
        tries: The steps, each with the ways before it that are carried on: see :func:`looked_at`.
        limit: Bytes of the arena.
        width: Ways that are carried on.
        last: Whether that is the last stage.
    """
    tried = [(state.cost + step.cost, step, state) for step, states in tries for state in states]
    if len(tried) > 1:
        tried.sort(key=itemgetter(0))
    found: dict[_Live, State] = {}
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


def looked_at(states: list[State], width: int, *, tight: bool) -> list[State]:
    """Of the ways to lay out what is alive those that are looked at: few where there is plenty of room."""
    return states if tight else states[: min(2, -(-width // 3))]


def is_tight(states: Sequence[State], need: int, limit: int) -> bool:
    """Whether ``need`` bytes more take more than half of the room; of at least one state."""
    return need + states[0].alive > limit // 2


def best(states: Iterable[State]) -> State | None:
    """The cheapest of the ways to lay out a whole model, None where there is none."""
    return min(states, key=lambda state: (state.cost, state.top, state.live), default=None)


def traced(final: State) -> Layout:
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


def _rank(state: State, limit: int) -> tuple[int, int, _Live]:
    """Cheap ones first, then those with one large gap."""
    widest = at = 0
    for offset, end, _ in state.live:
        if offset - at > widest:
            widest = offset - at
        if end > at:
            at = end
    return state.cost, -max(widest, limit - at), state.live


def beginnings(given: Sequence[tuple[int, int]], limit: int) -> Iterator[State]:
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
            State(live, 0, max((end for _, end, _ in live), default=0), None, None, list(live))
            for live in dict.fromkeys((tuple(sorted(down)), tuple(up)))
        ]
        yield from sorted(states, key=lambda state: _rank(state, limit))


def _ways(state: State, step: Step, limit: int) -> Iterator[State]:
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
        yield State(left, state.cost + step.cost, top, state, step, places)


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
