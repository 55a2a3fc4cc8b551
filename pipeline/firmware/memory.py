"""The linker's names for a board's RAM, and which of them stack, static data and arena go into.

RAM in one piece is ``RAM``; of several each is ``RAM_`` and its first region's name, ``RAM_DTCM``.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.boards import Area, Board
from pipeline.estimate.regions import RamLayout

_RAM = "RAM"


@dataclass(frozen=True)
class Memory:
    """A memory of the linker script: an area of the board's RAM under the linker's name for it."""

    name: str
    area: Area


@dataclass(frozen=True)
class Places:
    """The memories, and the name of that of each block."""

    memories: tuple[Memory, ...]
    stack: str
    static: str
    arena: str


def memories(board: Board) -> tuple[Memory, ...]:
    """All of a board's RAM, by address."""
    areas = board.areas
    if len(areas) == 1:
        return (Memory(_RAM, areas[0]),)
    return tuple(Memory(f"{_RAM}_{area.regions[0].name.upper()}", area) for area in areas)


def places(board: Board, layout: RamLayout) -> Places:
    """What the linker script needs of a placement; where in a memory each block lies, the linker finds out."""
    known = memories(board)
    stack, static, arena = (
        next(memory.name for memory in reversed(known) if memory.area.base <= block.base) for block in layout.blocks
    )
    return Places(known, stack, static, arena)


def called(board: Board, name: str) -> tuple[str, int]:
    """(what to call it, bytes) of a memory by the linker's name, ``FLASH`` included."""
    for memory in memories(board):
        if memory.name == name and name != _RAM:
            return f"{_RAM} in {memory.area.name}", memory.area.bytes
    return name, board.ram_bytes if name == _RAM else board.flash[0].bytes
