"""Values of the estimator: the memory plan that will run, and the Estimate with its items."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from pipeline.estimate.compilers import Calibration

if TYPE_CHECKING:
    from pipeline.estimate.stages import Stage

#: Every activation starts at a multiple of this, as does the arena.
ALIGNMENT = 16


class Prefer(StrEnum):
    """What a firmware is made for, where RAM, flash and instructions pull apart."""

    BALANCED = "balanced"
    RAM = "ram"
    FLASH = "flash"
    SPEED = "speed"


class InputMode(StrEnum):
    """How a firmware takes its input: in whole before an inference, or row by row as it is needed."""

    RESIDENT = "resident"
    STREAMED = "streamed"


#: Name of the stage that takes the rows of a streamed input; no operator is called so.
INPUT = "INPUT"


@dataclass(frozen=True)
class Placement:
    """Where an activation lives: bytes [offset, offset + size) of the arena, segments [first, last].

    ``alias_of`` is the tensor whose bytes it shares (RESHAPE, or what is written over its input), else None. ``ring``
    is the number of rows that have a place, None where all have one.
    """

    tensor: int
    offset: int
    size: int
    first: int
    last: int
    alias_of: int | None = None
    ring: int | None = None


@dataclass(frozen=True)
class Segment:
    """Stages that run together, row by row; ``flat``: the only one takes its image for one long row.

    ``scratch`` and ``sums`` are offsets in the arena of ``scratch_bytes`` that the stages share and ``sums_bytes``
    that are kept from step to step. ``peak`` is what is alive while it runs.
    """

    stages: tuple[Stage, ...]
    flat: bool
    scratch: int
    scratch_bytes: int
    sums: int
    sums_bytes: int
    peak: int = 0


@dataclass(frozen=True)
class MemoryPlan:
    """The arena: the one fact that renderer and estimator share, so that the plan estimated is the plan that runs.

    ``least`` is the smallest peak that any cut into segments has.
    """

    arena_bytes: int
    placements: tuple[Placement, ...]
    segments: tuple[Segment, ...]
    peak_operator: int
    least: int

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, in order."""
        return tuple(stage for segment in self.segments for stage in segment.stages)

    def streams(self, tensor: int) -> bool:
        """Whether a tensor, the model's input, is never there in whole: its rows come as they are needed."""
        return any(placement.tensor == tensor and placement.ring is not None for placement in self.placements)

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
    """One line of an estimate; ``parts``, where there are any, add up to its bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bytes: int
    parts: tuple[Item, ...] = ()


class Estimate(BaseModel):
    """What the program will need, before it is built. All figures are analytic.

    ``ram`` has the items arena, static and stack; ``flash`` model, kernels, runtime, port and libraries, as a link map
    has them, and of a Graph without data what its weights may decide.
    ``stack_reserve`` is what the linker sets aside for the stack; the stack item is what may be used of it at most.
    ``frame_reserve`` is what exceptions may add to that, a fault's report included; it is not in ``ram_bytes``.
    ``calibration`` says which table the figures come from, and whether it holds for the compiler at hand.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ram: tuple[Item, ...]
    flash: tuple[Item, ...]
    stack_reserve: int
    macs: int
    frame_reserve: int = 0
    calibration: Calibration | None = None

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
