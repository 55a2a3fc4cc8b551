"""Where in the arena each buffer goes: the segments are gone through in order, and of all ways to lay out what is alive
the best few are kept.

What a segment makes for later goes to an end of a free gap, or as high over the input that it may be written over as
it can; what only the segment itself needs fills what is left. How the inputs lie decides whether a later output finds
room, so several ways are carried on; where several cuts of the stages are given, those whose buffers fit are found on
the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class Step:
    """A segment that may run: stages [first, end).

    Attributes:
        first: Its first stage.
        end: The stage behind its last.
        cost: Instructions.
        kept: (key, bytes) of the buffers that it makes and that are needed later; the one with an overlap first.
        local: (key, bytes) of those that only it needs.
        dying: Keys of buffers that nobody needs after it.
        overlap: (key, distance): the first one kept may lie over this buffer if it begins that many bytes before it.
        number: The caller's.
    """

    first: int
    end: int
    cost: int
    kept: tuple[tuple[int, int], ...]
    local: tuple[tuple[int, int], ...]
    dying: frozenset[int]
    overlap: tuple[int, int] | None = None
    number: int = 0

    @property
    def size(self) -> int:
        """Bytes that it makes."""
        return sum(size for _, size in self.kept) + sum(size for _, size in self.local)


#: (offset, end, key) of a buffer.
_Place = tuple[int, int, int]


@dataclass(slots=True)
class _State:
    """What is alive between two segments, and how it came about."""

    live: tuple[_Place, ...]
    cost: int
    top: int
    before: _State | None
    step: Step | None
    places: list[_Place]


@dataclass(frozen=True)
class Laid:
    """A step, the offsets of what it makes by key, and the bytes that are alive while it runs."""

    step: Step
    offsets: dict[int, int]
    alive: int


@dataclass(frozen=True)
class Layout:
    """Bytes of the arena, the steps that were chosen, and the offsets of what was there before."""

    arena: int
    laid: tuple[Laid, ...]
    given: dict[int, int]


def lay_out(
    steps: Sequence[Sequence[Step]], given: Sequence[tuple[int, int]], limit: int, *, width: int
) -> Layout | None:
    """The cheapest layout that was found within a limit; None where none was.

    Args:
        steps: For each stage the segments that may begin with it.
        given: (key, bytes) of the buffers that are there at the beginning.
        limit: Bytes of the arena.
        width: Ways to lay out what is alive that are carried from stage to stage.
    """
    count = len(steps)
    rank = partial(_rank, limit=limit)
    reached: list[dict[tuple[_Place, ...], _State]] = [{} for _ in range(count + 1)]
    for live in _beginnings(given, limit):
        reached[0][live] = _State(live, 0, max((end for _, end, _ in live), default=0), None, None, list(live))
    for position in range(count):
        if not reached[position]:
            continue
        states = sorted(reached[position].values(), key=rank)
        reached[position] = {}
        # Where there is plenty of room, few layouts do.
        need = max((step.size for step in steps[position]), default=0)
        tight = need + sum(end - offset for offset, end, _ in states[0].live) > limit // 2
        states = states[: width if tight else min(2, -(-width // 3))]
        for state in states:
            for step in steps[position]:
                ways = _ways(state, step, limit)
                if width == 1:
                    ways = iter(sorted(ways, key=rank)[:1])
                for way in ways:
                    known = reached[step.end].get(way.live)
                    if known is None or (way.cost, way.top) < (known.cost, known.top):
                        reached[step.end][way.live] = way
    final = min(reached[count].values(), key=lambda state: (state.cost, state.top, state.live), default=None)
    return None if final is None else _traced(final)


def _traced(final: _State) -> Layout:
    laid = []
    state = final
    while state.step is not None and state.before is not None:
        alive = at = 0
        for offset, end, _ in sorted((*state.before.live, *state.places)):
            alive += max(0, end - max(at, offset))
            at = max(at, end)
        laid.append(Laid(state.step, {key: offset for offset, _, key in state.places}, alive))
        state = state.before
    return Layout(final.top, tuple(reversed(laid)), {key: offset for offset, _, key in state.places})


def _rank(state: _State, limit: int) -> tuple[int, int, tuple[_Place, ...]]:
    """Cheap ones first, then those with one large gap."""
    widest = at = 0
    for offset, end, _ in state.live:
        widest = max(widest, offset - at)
        at = max(at, end)
    return state.cost, -max(widest, limit - at), state.live


def _beginnings(given: Sequence[tuple[int, int]], limit: int) -> Iterator[tuple[_Place, ...]]:
    """What is there at first, from the top down and from the bottom up."""
    down, up = [], []
    top, at = limit, 0
    for key, size in given:
        top -= size
        down.append((top, top + size, key))
        up.append((at, at + size, key))
        at += size
    if top >= 0:
        yield tuple(sorted(down))
        yield tuple(up)


def _ways(state: _State, step: Step, limit: int) -> Iterator[_State]:
    """The ways to place what a segment makes."""
    for kept in _kept(state.live, step, limit):
        occupied = sorted((*state.live, *kept))
        local = _fill(occupied, step.local, limit)
        if local is None:
            continue
        live = tuple(place for place in occupied if place[2] not in step.dying)
        places = [*kept, *local]
        top = max(state.top, max((end for _, end, _ in places), default=0))
        yield _State(live, state.cost + step.cost, top, state, step, places)


def _kept(live: Sequence[_Place], step: Step, limit: int) -> Iterator[list[_Place]]:
    """Places of what a segment makes for later: the first one in several ways, the rest in what gaps are left."""
    if not step.kept:
        yield []
        return
    key, size = step.kept[0]
    offsets: list[int] = []
    if step.overlap is not None:
        offsets += _over(live, size, *step.overlap, limit)
    for low, high in _gaps(live, limit):
        if high - low >= size:
            offsets += [low, high - size]
    for offset in dict.fromkeys(offsets):
        first = (offset, offset + size, key)
        rest = _fill(sorted((*live, first)), step.kept[1:], limit)
        if rest is not None:
            yield [first, *rest]


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
        at = max(at, end)
    if at < limit:
        gaps.append((at, limit))
    return gaps


def _fill(occupied: Sequence[_Place], sizes: Sequence[tuple[int, int]], limit: int) -> list[_Place] | None:
    """Places for buffers in what gaps there are, each in the smallest that holds it, large ones first."""
    if not sizes:
        return []
    gaps = _gaps(occupied, limit)
    made = []
    for key, size in sizes:
        best = min((gap for gap in gaps if gap[1] - gap[0] >= size), key=lambda gap: gap[1] - gap[0], default=None)
        if best is None:
            return None
        gaps[gaps.index(best)] = (best[0] + size, best[1])
        made.append((best[0], best[0] + size, key))
    return made
