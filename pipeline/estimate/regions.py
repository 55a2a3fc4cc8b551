"""Where stack, static data and arena lie in a board's RAM regions, before anything is linked.

:mod:`pipeline.estimate.areas` decides; the linker script is rendered with what it has decided. A block has, after
those before it in its area, as many bytes in the fastest region as can be: all of them where they fit; else it spans
the border to the next region; and where nothing is left of the fastest region it lies in the next. No other placement
in this order has more bytes in faster regions, because within an area none is faster than one below it
(:class:`pipeline.boards.Board` sees to that).

::

    found = place(board, stack=2048, static=2600, arena=90_000)
    found.notes        # what does not fit in the fastest region, and where it lies instead
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.boards import Area, Board, Region, areas_of
from pipeline.estimate.areas import ORDER, Settled, room, settle
from pipeline.estimate.model import Estimate


@dataclass(frozen=True)
class Part:
    """Bytes of a block in one region; ``speed`` is the region's."""

    region: str
    base: int
    bytes: int
    speed: int


@dataclass(frozen=True)
class Block:
    """What lies in one piece: ``stack``, ``static`` or ``arena``.

    Attributes:
        name: Which of them.
        base: Its address.
        bytes: Its size.
        parts: Where it lies, by address; they add up to ``bytes``, less what is behind the end of RAM.
    """

    name: str
    base: int
    bytes: int
    parts: tuple[Part, ...]

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.base + self.bytes

    @property
    def where(self) -> str:
        """``dtcm``, or ``dtcm (58,000 B) and sram1 (12,000 B)``."""
        if len(self.parts) == 1:
            return self.parts[0].region
        return " and ".join(f"{part.region} ({part.bytes:,} B)" for part in self.parts)


@dataclass(frozen=True)
class RamLayout:
    """The blocks, the regions that they lie in, and the bytes by which they do not fit (0: they do).

    ``blocks`` are stack, static data and arena; in one area, they are by address.
    """

    regions: tuple[Region, ...]
    blocks: tuple[Block, ...]
    over: int

    @property
    def fastest(self) -> tuple[str, ...]:
        """Names of the fastest regions."""
        best = min(region.speed for region in self.regions)
        return tuple(region.name for region in self.regions if region.speed == best)

    @property
    def slow_bytes(self) -> int:
        """Bytes that lie outside the fastest regions, what does not fit at all included."""
        return sum(block.bytes - _fast(block, self.fastest) for block in self.blocks)

    @property
    def areas(self) -> tuple[Area, ...]:
        """The regions, those together that a block may span."""
        return areas_of(self.regions)

    @property
    def largest_arena(self) -> Block:
        """The largest arena that can be placed beside stack and static data of these sizes; of 0 bytes where none."""
        stack, static, _ = self.blocks
        most = room(self.areas, stack=stack.bytes, static=static.bytes)
        found = settle(self.areas, stack=stack.bytes, static=static.bytes, arena=most)
        return _blocks(self.areas, found, (stack.bytes, static.bytes, most))[-1]

    def used(self, region: str) -> int:
        """Bytes of the blocks in a region."""
        return sum(part.bytes for block in self.blocks for part in block.parts if part.region == region)

    @property
    def notes(self) -> tuple[str, ...]:
        """What does not fit in the fastest region and where it lies instead, a sentence each; names are the board's."""
        if self.over:
            return (f"{self.over:,} B do not fit: {self._end}.",)
        if len(self.fastest) == len(self.regions):
            return (f"{self._all}: equally fast.",) if len(self.regions) > 1 else ()
        fastest = " and ".join(self.fastest)
        slow = [block for block in self.blocks if _fast(block, self.fastest) < block.bytes]
        if not slow:
            return (f"All of it fits in {fastest}, the fastest region.",)
        return tuple(self._instead(block, fastest) for block in slow)

    @property
    def _all(self) -> str:
        return ", ".join(region.name for region in self.regions)

    @property
    def _end(self) -> str:
        if len(self.areas) == 1:
            return f"RAM ends with {self.regions[-1].name}"
        most = self.largest_arena
        where = f", in {most.where}" if most.bytes else ""
        return f"the largest arena that can be placed beside stack and static data has {most.bytes:,} B{where}"

    def _instead(self, block: Block, fastest: str) -> str:
        next_best = "spanning" if len(block.parts) > 1 else "in"
        left = self._left(block)
        if left is None:
            said = f"{fastest} may not hold the {block.name} of {block.bytes:,} B"
            return f"{said}; next best: {next_best} {block.where}."
        there = f"the {left:,} B that are left of {fastest}" if left else f"{fastest}, of which nothing is left"
        return f"The {block.name} of {block.bytes:,} B does not fit in {there}; next best: {next_best} {block.where}."

    def _left(self, block: Block) -> int | None:
        """Bytes in one piece that the other blocks leave in the fastest regions; None: the block may not lie there."""
        content, alignment = next((content, alignment) for content, alignment in ORDER if content == block.name)
        found = None
        for area in self.areas:
            fast = [region for region in area.regions if region.name in self.fastest]
            if fast and content in area.holds:
                end = fast[-1].end
                others = [one.end for one in self.blocks if one is not block and one.base < end and one.end > area.base]
                begin = max([area.base, *others])
                found = max(found or 0, end - -(-begin // alignment) * alignment)
        return found


def place(board: Board, *, stack: int, static: int, arena: int) -> RamLayout:
    """The placement that the linker script gives blocks of these sizes, in bytes.

    ``stack`` is what the linker sets aside. Blocks that do not fit have fewer bytes in their parts; ``over`` says how
    many are missing.
    """
    found = settle(board.areas, stack=stack, static=static, arena=arena)
    return RamLayout(board.ram, _blocks(board.areas, found, (stack, static, arena)), found.over)


def as_placed(board: Board, blocks: Sequence[tuple[str, int, int]]) -> RamLayout:
    """Blocks of a name, an address and a size as they fall into the board's RAM regions."""
    made = tuple(block(board, *one) for one in blocks)
    return RamLayout(board.ram, made, sum(one.bytes - sum(part.bytes for part in one.parts) for one in made))


def linked(board: Board, symbols: Mapping[str, int]) -> RamLayout:
    """The placement that an ELF has, by the symbols of the linker script.

    Raises:
        KeyError: A symbol is missing.
    """
    ends = (
        ("stack", "danas_stack_bottom", "danas_stack_top"),
        ("static", "danas_data_start", "danas_bss_end"),
        ("arena", "danas_arena_start", "danas_arena_end"),
    )
    return as_placed(board, [(name, symbols[first], symbols[last] - symbols[first]) for name, first, last in ends])


def of_estimate(board: Board, figures: Estimate) -> RamLayout:
    """The placement of an Estimate, with the stack that the linker sets aside."""
    sizes = {item.name: item.bytes for item in figures.ram}
    return place(board, stack=figures.stack_reserve, static=sizes["static"], arena=sizes["arena"])


def block(board: Board, name: str, base: int, size: int) -> Block:
    """A block at an address, as it falls into the board's RAM regions."""
    return Block(name, base, size, tuple(_parts(board.ram, base, base + size)))


def arena_room(board: Board, *, stack: int, static: int) -> int:
    """Bytes of the largest arena that can be placed beside stack and static data, 0 at least."""
    return room(board.areas, stack=stack, static=static)


def _blocks(areas: Sequence[Area], found: Settled, sizes: Sequence[int]) -> tuple[Block, ...]:
    return tuple(
        Block(str(content), base, size, tuple(_parts(areas[number].regions, base, base + size)))
        for (content, _), number, base, size in zip(ORDER, found.areas, found.bases, sizes, strict=True)
    )


def _parts(regions: tuple[Region, ...], begin: int, end: int) -> Iterator[Part]:
    for region in regions:
        low, high = max(begin, region.base), min(end, region.end)
        if low < high:
            yield Part(region.name, low, high - low, region.speed)


def _fast(block: Block, fastest: tuple[str, ...]) -> int:
    return sum(part.bytes for part in block.parts if part.region in fastest)
