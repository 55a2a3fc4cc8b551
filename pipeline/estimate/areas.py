"""In which of a board's RAM areas stack, static data and arena lie, and where in it.

An area is RAM in one piece that may hold the same everywhere (:class:`pipeline.boards.Area`); each block lies in one.
Several blocks of an area lie one behind the other from its bottom up: the stack first, because its overflow must leave
RAM and fault; static data, which is small; the arena last. So where a board's RAM is one area there is one placement.
Where there are several, of all placements that fit that one is taken in which the stack has the fewest bytes in slow
regions; of those in which it has as few, that of the arena; then that of static data, which an inference hardly
touches; of equal ones the one at the lowest addresses.

Plain numbers, for the search asks for each design what room is left; :mod:`pipeline.estimate.regions` names them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.boards import Area, Content, Same

#: Every activation starts at a multiple of this, as does the arena.
ALIGNMENT = 16
#: The blocks in the order of their addresses within an area, and the multiple that each starts at (linker.ld.j2).
ORDER = ((Content.STACK, 8), (Content.STATIC, 4), (Content.ARENA, ALIGNMENT))


@dataclass(frozen=True)
class Settled:
    """A placement: of stack, static data and arena the number of its area, and its address.

    ``over`` are the bytes by which blocks reach beyond the ends of their areas, 0 where all fit.
    """

    areas: tuple[int, ...]
    bases: tuple[int, ...]
    over: int


def settle(areas: Sequence[Area], *, stack: int, static: int, arena: int) -> Settled:
    """The best placement of blocks of these sizes, in bytes; of what does not fit, the one that lacks least."""
    sizes = (stack, static, arena)
    found = [_piled(areas, chosen, sizes) for chosen in _choices(areas)]
    return found[0] if len(found) == 1 else min(found, key=lambda one: (one.over, *_slowness(areas, one, sizes)))


def room(areas: tuple[Area, ...], *, stack: int, static: int) -> int:
    """Bytes of the largest arena that can be placed beside stack and static data, 0 where none can.

    A smaller one can be placed as well: what fits is decided by these bytes alone.
    """
    return _room(Same(areas), stack, static)


@lru_cache(maxsize=1024)
def _room(of: Same, stack: int, static: int) -> int:
    areas: tuple[Area, ...] = of.value
    most = 0
    for chosen in _choices(areas):
        found = _piled(areas, chosen, (stack, static, 0))
        if not found.over:
            most = max(most, areas[chosen[-1]].end - found.bases[-1])
    return most // ALIGNMENT * ALIGNMENT


def excess(areas: tuple[Area, ...], *, stack: int, static: int, arena: int) -> int:
    """Bytes by which blocks of these sizes do not fit, 0 where they do."""
    if 0 < arena <= room(areas, stack=stack, static=static):
        return 0
    return min(_piled(areas, chosen, (stack, static, arena)).over for chosen in _choices(areas))


def _choices(areas: Sequence[Area]) -> Iterator[tuple[int, ...]]:
    """All ways to give each block an area that may hold it."""
    return itertools.product(
        *([number for number, area in enumerate(areas) if content in area.holds] for content, _ in ORDER)
    )


def _piled(areas: Sequence[Area], chosen: tuple[int, ...], sizes: tuple[int, ...]) -> Settled:
    ends: dict[int, int] = {}
    bases = []
    for number, size, (_, alignment) in zip(chosen, sizes, ORDER, strict=True):
        at = ends.get(number, areas[number].base)
        base = -(-at // alignment) * alignment
        bases.append(base)
        ends[number] = base + size
    over = sum([max(0, end - areas[number].end) for number, end in ends.items()])
    return Settled(chosen, tuple(bases), over)


def _slowness(areas: Sequence[Area], found: Settled, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """What is to be small: of stack, arena and static data, the bytes slower than each speed; then the addresses."""
    speeds = sorted({region.speed for area in areas for region in area.regions})
    stack, static, arena = (
        tuple([_slower(areas[number], base, base + size, speed) for speed in speeds])
        for number, base, size in zip(found.areas, found.bases, sizes, strict=True)
    )
    return stack, arena, static, found.areas


def _slower(area: Area, begin: int, end: int, speed: int) -> int:
    return sum(
        max(0, min(end, region.end) - max(begin, region.base)) for region in area.regions if region.speed > speed
    )
