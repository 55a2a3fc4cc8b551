"""Values of the estimator: the memory plan that will run, and the Estimate with its items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from pipeline.boards import Area
from pipeline.estimate.areas import ALIGNMENT, excess
from pipeline.estimate.compilers import Calibration
from pipeline.figures import Modelled

if TYPE_CHECKING:
    from pipeline.estimate.stages import Stage


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


class Placement(NamedTuple):
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
    #: What has been found out about it (shapes.py), by the function that found it.
    known: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)


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

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """All stages, in order."""
        return tuple([stage for segment in self.segments for stage in segment.stages])

    def streams(self, tensor: int) -> bool:
        """Whether a tensor, the model's input, is never there in whole: its rows come as they are needed."""
        for placement in self.placements:
            if placement.tensor == tensor:
                return placement.ring is not None
        return False

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


@lru_cache(maxsize=4096)
def leaf(name: str, size: int) -> Item:
    """The Item without parts; the same bytes come again and again, and an Item takes longer to make than to find."""
    return Item(name=name, bytes=size)


class Predicted(BaseModel):
    """The work of one inference, predicted from shapes.

    ``unit`` is that of the profile that it was predicted with: executed instructions where an emulated board was
    calibrated, cycles where a physical one was. ``source`` names the profile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    unit: Literal["instructions", "cycles"]
    source: str


class Estimate(BaseModel):
    """What the program will need, before it is built. All figures but the last two are analytic.

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
    instructions: Predicted | None = None
    latency: Modelled | None = None
    energy: Modelled | None = None

    @property
    def ram_bytes(self) -> int:
        """Sum of the RAM items."""
        return sum(item.bytes for item in self.ram)

    @property
    def linked_bytes(self) -> int:
        """RAM as it is linked in one piece: with all that is set aside for the stack, the arena aligned."""
        blocks = self.blocks
        before = self.stack_reserve + blocks["static"]
        return -(-before // ALIGNMENT) * ALIGNMENT + blocks["arena"]

    @property
    def blocks(self) -> dict[str, int]:
        """Bytes of ``static`` and ``arena``, 0 where there is no such item."""
        sizes = {item.name: item.bytes for item in self.ram}
        arena = sizes.get("arena", 0)
        return {"static": self.ram_bytes - sizes.get("stack", 0) - arena, "arena": arena}

    @property
    def flash_bytes(self) -> int:
        """Sum of the flash items."""
        return sum(item.bytes for item in self.flash)


class Limits(BaseModel):
    """What a design may need; from the board, or smaller where the user says so.

    ``latency_ms`` and ``energy_mj`` are compared with what is modelled; the program may take more or less.
    ``linked_bytes`` is the RAM that a linker has, whose stack takes what is set aside for it. Where it is in several
    pieces, ``areas`` are these: what no placement gives a piece to exceeds the limit, however little it is in all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ram_bytes: int
    flash_bytes: int
    macs: int | None = None
    instructions: int | None = None
    latency_ms: float | None = None
    energy_mj: float | None = None
    linked_bytes: int | None = None
    areas: Annotated[tuple[Area, ...], Field(exclude=True)] = ()

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """Each limit that there is, in the order of the fields."""
        found = [
            Bound(title, unit, limit, figure)
            for name, title, unit, figure in _LIMITED
            if (limit := getattr(self, name)) is not None
        ]
        linked = self.linked
        return (*found, linked) if linked is not None else tuple(found)

    @property
    def linked(self) -> Bound | None:
        """The limit on what is linked: met exactly by what the linker has room for, in one piece or in several."""
        limit, areas = self.linked_bytes, self.areas
        if limit is None:
            return None

        def needed(estimate: Estimate) -> int:
            if len(areas) < 2:
                return estimate.linked_bytes
            over = excess(areas, stack=estimate.stack_reserve, **estimate.blocks)
            return limit + over if over else min(estimate.linked_bytes, limit)

        return Bound("RAM with the stack's reserve", "bytes", limit, needed)

    @property
    def on_work(self) -> bool:
        """Whether an estimate must have its work predicted before it can be compared."""
        return not (self.instructions is None and self.latency_ms is None and self.energy_mj is None)

    def admits(self, estimate: Estimate) -> bool:
        """True when every figure is within its limit; a figure that the estimate lacks is not."""
        return (
            estimate.ram_bytes <= self.ram_bytes
            and estimate.flash_bytes <= self.flash_bytes
            and all(bound.holds(estimate) for bound in self.bounds[2:])
        )


@dataclass(frozen=True)
class Bound:
    """One limit: a title and unit for people, and the figure that it is about; None where an estimate lacks that."""

    title: str
    unit: str
    limit: float
    figure: Callable[[Estimate], float | None]

    def holds(self, estimate: Estimate) -> bool:
        """Whether the figure is there and within the limit."""
        needed = self.figure(estimate)
        return needed is not None and needed <= self.limit


def _instructions(estimate: Estimate) -> float | None:
    work = estimate.instructions
    return work.count if work is not None and work.unit == "instructions" else None


def _value(modelled: Modelled | None) -> float | None:
    return None if modelled is None else modelled.value


_LIMITED: tuple[tuple[str, str, str, Callable[[Estimate], float | None]], ...] = (
    ("ram_bytes", "RAM", "bytes", lambda estimate: estimate.ram_bytes),
    ("flash_bytes", "flash", "bytes", lambda estimate: estimate.flash_bytes),
    ("macs", "MAC", "operations", lambda estimate: estimate.macs),
    ("instructions", "instructions", "instructions", _instructions),
    ("latency_ms", "latency", "ms (modelled)", lambda estimate: _value(estimate.latency)),
    ("energy_mj", "energy", "mJ (modelled)", lambda estimate: _value(estimate.energy)),
)
