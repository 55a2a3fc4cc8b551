"""Board types: ``boards/*.toml`` read into validated, frozen values."""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline import resources
from pipeline.errors import UsageError, printable

_Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")]
_Address = Annotated[int, Field(ge=0, lt=2**32)]
_Bytes = Annotated[int, Field(gt=0, lt=2**32)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RegionKind(StrEnum):
    """What a memory region is made of."""

    RAM = "ram"
    FLASH = "flash"


class Content(StrEnum):
    """What a program has in a memory region."""

    STACK = "stack"
    STATIC = "static"
    ARENA = "arena"
    CONSTANTS = "constants"


#: What a region may hold where its table does not say.
_USUAL = {RegionKind.RAM: (Content.STACK, Content.STATIC, Content.ARENA), RegionKind.FLASH: (Content.CONSTANTS,)}

#: Below the stack nobody may touch as many bytes, at a multiple of as many: an overflow faults there
#: (firmware_templates/port/cortex_m/core.cpp).
STACK_GUARD_BYTES = 1 << 16


#: Of memory regions, and so of areas: as many the emulator knows (pipeline/device/emulator/hook.c).
MOST_AREAS = 16


class Region(_Frozen):
    """A memory region.

    Attributes:
        name: As the board's documents call it.
        kind: What it is made of.
        base: Its first address.
        bytes: Its size.
        speed: Its place among the board's RAM regions, 0 for the fastest; equally fast ones have the same.
        holds: What of a program may lie in it; by default all that its kind can hold.
        source: Names the documents that the figures were read in.
    """

    name: _Identifier
    kind: RegionKind
    base: _Address
    bytes: _Bytes
    speed: Annotated[int, Field(ge=0, le=9)] = 0
    holds: Annotated[tuple[Content, ...], Field(min_length=1)] = ()
    source: str

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, values: Any) -> Any:
        if isinstance(values, dict) and "holds" not in values and values.get("kind") in tuple(RegionKind):
            return values | {"holds": _USUAL[RegionKind(values["kind"])]}
        return values

    @model_validator(mode="after")
    def _can_hold_it(self) -> Region:
        for content in self.holds:
            if content not in _USUAL[self.kind]:
                raise ValueError(f"{self.kind} region {self.name} cannot hold {content}")
        if len(set(self.holds)) < len(self.holds):
            raise ValueError(f"region {self.name} holds something twice")
        return self

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.base + self.bytes


@dataclass(frozen=True)
class Area:
    """RAM regions, by address, that follow each other without a gap and may hold the same: a block may span them."""

    regions: tuple[Region, ...]

    @property
    def base(self) -> int:
        """Its first address."""
        return self.regions[0].base

    @property
    def end(self) -> int:
        """First address behind it."""
        return self.regions[-1].end

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.end - self.base

    @property
    def holds(self) -> tuple[Content, ...]:
        """What of a program may lie in it."""
        return self.regions[0].holds

    @property
    def name(self) -> str:
        """The names of its regions."""
        return " and ".join(region.name for region in self.regions)


class Same:
    """A key for what has been worked out of a tuple: equal to that of the very same object alone, and quickly hashed.

    A search asks for a board's RAM with each design, and to hash a board takes longer than to look at it.
    """

    __slots__ = ("value",)

    def __init__(self, value: tuple[Any, ...]) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def areas_of(regions: Iterable[Region]) -> tuple[Area, ...]:
    """RAM regions, given by address, those together that a block may span."""
    found: list[list[Region]] = []
    for region in regions:
        before = found[-1][-1] if found else None
        if before is not None and before.end == region.base and set(before.holds) == set(region.holds):
            found[-1].append(region)
        else:
            found.append([region])
    return tuple(Area(tuple(area)) for area in found)


@lru_cache(maxsize=64)
def _areas_of(memory: Same) -> tuple[Area, ...]:
    return areas_of(_ram(memory.value))


def _ram(memory: Iterable[Region]) -> tuple[Region, ...]:
    return tuple(sorted((region for region in memory if region.kind is RegionKind.RAM), key=lambda region: region.base))


class Core(_Frozen):
    """The processor core."""

    cpu: Literal["cortex-m4", "cortex-m7"]
    fpu: str
    clock_hz: Annotated[int, Field(gt=0)]
    source: str


class Stack(_Frozen):
    """What the linker sets aside for the stack."""

    reserve_bytes: Annotated[int, Field(ge=512, multiple_of=16)]


class Serial(_Frozen):
    """The UART that the host sees as a serial port, or the processor's own USB.

    Attributes:
        base: First address of the UART's registers; 0 where a framework drives it.
    """

    uart: _Identifier
    base: _Address = 0
    baud: Annotated[int, Field(ge=9600, le=4_000_000)]
    pins: str
    source: str


class ClockSource(_Frozen):
    """What the clock tree starts from; ``framework``: a framework has set all clocks before our program runs."""

    kind: Literal["hse-bypass", "hse-crystal", "internal", "framework"]
    hz: Annotated[int, Field(gt=0)]
    source: str


class UsbId(_Frozen):
    """USB vendor and product id of the board's probe."""

    vid: Annotated[int, Field(ge=0, lt=2**16)]
    pid: Annotated[int, Field(ge=0, lt=2**16)]


class Chip(_Frozen):
    """How the microcontroller tells which one it is, asked through the probe before it is programmed.

    Attributes:
        idcode: Address of DBGMCU_IDCODE.
        dev_id: What its field DEV_ID holds.
        source: Names the document that both were read in.
    """

    idcode: _Address
    dev_id: Annotated[int, Field(ge=0, lt=2**12)]
    source: Annotated[str, Field(min_length=1)]


class Build(_Frozen):
    """How its firmware is built: by PlatformIO, in an environment of platformio.ini.

    Attributes:
        local: The environment that needs no registry, if any.
        registry: That of PlatformIO's own platform, if any.
        framework: What our program is a part of, with its own start-up code, linker script and stack; None: it is
            bare-metal, and all of it is ours.
    """

    local: _Identifier | None = None
    registry: _Identifier | None = None
    framework: Literal["arduino"] | None = None

    @property
    def usual(self) -> str:
        """The environment where nobody says otherwise."""
        return self.local or self.registry or ""

    @model_validator(mode="after")
    def _is_buildable(self) -> Build:
        if not self.usual:
            raise ValueError("build names a local or a registry environment")
        if self.framework is not None and self.local is not None:
            raise ValueError("a framework comes from the registry: there is no local environment with it")
        return self


class Cpi(_Frozen):
    """Cycles an instruction, for boards that nobody has measured: milliseconds are modelled with it, never measured.

    Attributes:
        cpi: The best guess.
        low, high: What it may be.
        source: How each of the three was derived, and from which publications.
    """

    cpi: Annotated[float, Field(gt=0, le=20)]
    low: Annotated[float, Field(gt=0, le=20)]
    high: Annotated[float, Field(gt=0, le=20)]
    source: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _is_an_interval(self) -> Cpi:
        if not self.low <= self.cpi <= self.high:
            raise ValueError("cpi lies within low and high")
        return self


class ActivePower(_Frozen):
    """What the microcontroller draws while it computes; energy is modelled with it.

    Attributes:
        volts: Supply of the microcontroller on this board.
        amperes: Supply current, the best guess.
        low, high: What it may be, in amperes.
        conditions: Under which it was taken.
        source: Document and table of each figure, or how it was derived from them.
    """

    volts: Annotated[float, Field(gt=0, le=60)]
    amperes: Annotated[float, Field(gt=0, le=10)]
    low: Annotated[float, Field(gt=0, le=10)]
    high: Annotated[float, Field(gt=0, le=10)]
    conditions: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _is_an_interval(self) -> ActivePower:
        if not self.low <= self.amperes <= self.high:
            raise ValueError("amperes lies within low and high")
        return self


class UnicornEmulator(_Frozen):
    """Our own model of the board, on the Unicorn engine; ``port`` names the family whose peripherals it has."""

    engine: Literal["unicorn"]


class QemuEmulator(_Frozen):
    """A machine of QEMU's.

    Attributes:
        machine: QEMU's name for it.
        icount_shift: An instruction takes 2^``icount_shift`` ns of the machine's own time (QEMU's ``-icount``).
    """

    engine: Literal["qemu"]
    machine: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
    icount_shift: Annotated[int, Field(ge=0, le=10)]

    @property
    def instructions_per_second(self) -> int:
        """Instructions in a second of the machine's own time."""
        return 1_000_000_000 >> self.icount_shift


class Engine(StrEnum):
    """What an emulated board runs on."""

    QEMU = "qemu"
    UNICORN = "unicorn"


Emulator = Annotated[UnicornEmulator | QemuEmulator, Field(discriminator="engine")]


class Board(_Frozen):
    """A board type.

    Attributes:
        emulator: What it is emulated by where nobody says otherwise.
        other_emulators: What else can run the same ELF; of an engine there is one at most.
    """

    schema_version: Literal[1]
    name: _Identifier
    title: str
    mcu: str
    url: str
    port: _Identifier
    core: Core
    memory: Annotated[tuple[Region, ...], Field(min_length=2, max_length=MOST_AREAS)]
    stack: Stack
    serial: Serial
    clock: ClockSource
    usb: tuple[UsbId, ...] = ()
    chip: Chip | None = None
    build: Build
    emulator: Emulator | None = None
    other_emulators: tuple[Emulator, ...] = ()
    latency: Cpi | None = None
    energy: ActivePower | None = None

    @model_validator(mode="after")
    def _regions_are_sound(self) -> Board:
        ordered = sorted(self.memory, key=lambda region: region.base)
        for before, after in itertools.pairwise(ordered):
            if before.end > after.base:
                raise ValueError(f"memory regions {before.name} and {after.name} overlap")
        for content in Content:
            if not any(content in region.holds for region in self.memory):
                raise ValueError(f"memory has no region that may hold {content}")
        for area in self.areas:
            for before, after in itertools.pairwise(area.regions):
                # What a program uses most is put at the bottom (pipeline/estimate/areas.py).
                if before.speed > after.speed:
                    raise ValueError(f"ram region {after.name} is faster than {before.name}, which is below it")
            if Content.STACK in area.holds and self.build.framework is None:
                self._demand_guard(area)
        return self

    def _demand_guard(self, area: Area) -> None:
        """An overflow of the stack must leave RAM, by whatever bytes the guard takes."""
        name = area.regions[0].name
        if area.base % STACK_GUARD_BYTES:
            raise ValueError(f"ram region {name} may hold the stack, but does not start at a multiple of 64 KiB")
        for region in self.ram:
            if area.base - STACK_GUARD_BYTES < region.end <= area.base:
                raise ValueError(f"ram region {name} may hold the stack, but {region.name} is where its guard would be")

    @model_validator(mode="after")
    def _engines_are_sound(self) -> Board:
        engines = [one.engine for one in self.emulators]
        if self.other_emulators and self.emulator is None:
            raise ValueError("other_emulators stand beside an [emulator]")
        if len(set(engines)) != len(engines):
            raise ValueError("the same engine is named twice")
        return self

    @property
    def emulators(self) -> tuple[Emulator, ...]:
        """All that can run its ELF, the usual one first; none of a board that cannot be emulated."""
        return (*(() if self.emulator is None else (self.emulator,)), *self.other_emulators)

    def emulated_by(self, engine: Engine | None) -> Board:
        """The same board, emulated by that engine; None: the usual one. What is built for it does not depend on this.

        Raises:
            UsageError: ``no-emulator``.
        """
        if engine is None or (self.emulator is not None and self.emulator.engine == engine):
            return self
        chosen = next((one for one in self.other_emulators if one.engine == engine), None)
        if chosen is None:
            known = ", ".join(one.engine for one in self.emulators)
            raise UsageError(
                "no-emulator",
                f"{self.name} cannot be emulated by {engine}",
                why=f"Its board file names {known}." if known else "Its board file has no [emulator] table.",
                next="Leave the engine out." if known else "Attach the board and leave --emulate out.",
            )
        others = tuple(one for one in self.emulators if one != chosen)
        return self.model_copy(update={"emulator": chosen, "other_emulators": others})

    def at_baud(self, baud: int | None) -> Board:
        """The board with its serial port at another rate; None: at its own."""
        if baud is None or baud == self.serial.baud:
            return self
        return self.model_copy(update={"serial": self.serial.model_copy(update={"baud": baud})})

    @property
    def ram(self) -> tuple[Region, ...]:
        """RAM regions by address."""
        return _ram(self.memory)

    @property
    def areas(self) -> tuple[Area, ...]:
        """The RAM regions by address, those together that a block may span; of one board always the same tuple."""
        return _areas_of(Same(self.memory))

    @property
    def flash(self) -> tuple[Region, ...]:
        """Flash regions by address."""
        return tuple(sorted((r for r in self.memory if r.kind is RegionKind.FLASH), key=lambda r: r.base))

    @property
    def ram_bytes(self) -> int:
        """All the RAM that the linker may use."""
        return sum(region.bytes for region in self.ram)

    @property
    def flash_bytes(self) -> int:
        """All the flash that the linker may use."""
        return sum(region.bytes for region in self.flash)


def read(path: Path) -> Board:
    """Read and validate one board file.

    Raises:
        UsageError: ``board-file`` with file and field.
    """
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
        return Board.model_validate(values)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            "board-file", f"{printable(path.name)}: not a TOML file", why=printable(error), next="Mend the file."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        raise UsageError(
            "board-file",
            f"{printable(path.name)}: field {printable(field)}: {printable(first['msg'])}",
            why=f"{error.error_count()} wrong field(s) in {printable(path)}",
            next="Mend the field; boards/nucleo_f746zg.toml shows each of them.",
        ) from error


def names() -> tuple[str, ...]:
    """Names of the known boards, sorted."""
    return tuple(sorted(path.stem for path in resources.boards().glob("*.toml")))


@cache
def load(name: str) -> Board:
    """A known board by its name.

    Raises:
        UsageError: ``unknown-board`` with the near names, or ``board-file``.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=3, cutoff=0.5)
        raise UsageError(
            "unknown-board",
            f"unknown board {printable(name)!r}",
            why=f"near names: {', '.join(near)}" if near else f"known boards: {', '.join(known)}",
            next="See `danas-deploy boards list`.",
        )
    return read(resources.boards() / f"{name}.toml")
