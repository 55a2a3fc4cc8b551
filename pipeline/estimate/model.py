"""Values of the estimator: the memory plan that will run, and the Estimate with its items."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

#: Every activation starts at a multiple of this, as does the arena.
ALIGNMENT = 16


@dataclass(frozen=True)
class Placement:
    """Where an activation lives: bytes [offset, offset + size) of the arena, operators [first, last].

    A graph input lives from operator 0; a graph output until the last operator. ``alias_of`` is the tensor whose
    bytes it shares (RESHAPE), else None.
    """

    tensor: int
    offset: int
    size: int
    first: int
    last: int
    alias_of: int | None = None


@dataclass(frozen=True)
class MemoryPlan:
    """The arena: the one fact that renderer and estimator share, so that the plan estimated is the plan that runs."""

    arena_bytes: int
    placements: tuple[Placement, ...]
    peak_operator: int

    def offset(self, tensor: int) -> int:
        """Offset of a tensor in the arena.

        Raises:
            KeyError: The tensor has no place in the arena (a constant).
        """
        for placement in self.placements:
            if placement.tensor == tensor:
                return placement.offset
        raise KeyError(tensor)


class Item(BaseModel):
    """One line of an estimate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bytes: int


class Estimate(BaseModel):
    """What the program will need, before it is built. All figures are analytic.

    ``ram`` has the items arena, static and stack; ``flash`` constants, one item a kernel, runtime, port.
    ``stack_reserve`` is what the linker sets aside for the stack; the stack item is what is expected to be used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ram: tuple[Item, ...]
    flash: tuple[Item, ...]
    stack_reserve: int
    macs: int

    @property
    def ram_bytes(self) -> int:
        """Sum of the RAM items."""
        return sum(item.bytes for item in self.ram)

    @property
    def flash_bytes(self) -> int:
        """Sum of the flash items."""
        return sum(item.bytes for item in self.flash)


class Limits(BaseModel):
    """What a design may need; from the board, or smaller where the user says so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ram_bytes: int
    flash_bytes: int
    macs: int | None = None

    def admits(self, estimate: Estimate) -> bool:
        """True when every figure is within its limit."""
        return (
            estimate.ram_bytes <= self.ram_bytes
            and estimate.flash_bytes <= self.flash_bytes
            and (self.macs is None or estimate.macs <= self.macs)
        )
