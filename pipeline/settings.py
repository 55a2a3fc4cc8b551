"""What the user asks for: one frozen value that goes into the run's manifest and is all a resumed run needs."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.boards import Board
from pipeline.errors import UsageError, printable
from pipeline.estimate.model import InputMode, Limits, Prefer

_SIZE = re.compile(r"^(\d{1,15}(?:\.\d{1,15})?)\s*(b|k|kb|kib|m|mb|mib)?$", re.IGNORECASE)
_DURATION = re.compile(r"^(?:(\d{1,9})h)?(?:(\d{1,9})m(?:in)?)?(?:(\d{1,9})s?)?$", re.IGNORECASE)
_COUNT = re.compile(r"^(\d{1,15}(?:\.\d{1,15})?)\s*(k|m)?$", re.IGNORECASE)

DEFAULT_IMAGES = 100


def _in_utf8(text: str) -> str:
    """A path may hold any bytes; the manifest is JSON, and takes text alone."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("a name that is not UTF-8 cannot be written into a run") from error
    return text


Text = Annotated[str, AfterValidator(_in_utf8)]


class Kind(StrEnum):
    """What a run starts from."""

    SEARCH = "search"  # images
    DEPLOY = "deploy"  # a .tflite


class Target(BaseModel):
    """Where the program runs: on an emulated board, or on the one behind a port or a probe's serial number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    emulate: bool = False
    port: Text | None = None
    serial_number: Text | None = None


class Settings(BaseModel):
    """All that decides the outcome of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    board: str
    target: Target = Target()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    images: Annotated[int | None, Field(ge=1, le=100_000)] = None
    environment: Text | None = None  # PlatformIO environment; None: the board's local one
    prefer: Prefer = Prefer.BALANCED
    input_mode: InputMode = InputMode.RESIDENT

    # search
    data: Text = "sample"
    group_by: Text | None = None
    preset: Literal["quick", "full"] = "quick"
    evaluations: Annotated[int | None, Field(ge=1)] = None
    time_s: Annotated[float | None, Field(gt=0)] = None
    sampler: Literal["evolution", "random"] = "evolution"
    ram: Annotated[int | None, Field(ge=1)] = None
    flash: Annotated[int | None, Field(ge=1)] = None
    macs: Annotated[int | None, Field(ge=1)] = None

    # deploy
    model: Text | None = None
    inputs: Text | None = None

    def limits(self, board: Board) -> Limits:
        """The board's limits, lowered where the user says so."""
        return Limits(
            ram_bytes=min(board.ram_bytes, self.ram or board.ram_bytes),
            flash_bytes=min(board.flash_bytes, self.flash or board.flash_bytes),
            macs=self.macs,
        )


def parse_size(text: str) -> int:
    """Bytes from ``256k``, ``1M``, ``64kB`` or ``4096``; k and M are binary (1024), as boards' memories are.

    Raises:
        UsageError: ``bad-size``.
    """
    match = _SIZE.match(text.strip())
    value = (
        int(float(match[1]) * {"": 1, "b": 1, "k": 1024, "m": 1024**2}[(match[2] or "")[:1].lower()]) if match else 0
    )
    if value <= 0:
        raise UsageError(
            "bad-size",
            f"{printable(text)!r} is no memory size",
            why="A size is a number with an optional k or M (1024, 1024²).",
            next="For example --ram 256k --flash 1M.",
        )
    return value


def parse_duration(text: str) -> float:
    """Seconds from ``10m``, ``90s``, ``1h30m`` or ``90``.

    Raises:
        UsageError: ``bad-duration``.
    """
    match = _DURATION.match(text.strip())
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = hours * 3600 + minutes * 60 + seconds
    if total <= 0:
        raise UsageError(
            "bad-duration",
            f"{printable(text)!r} is no duration",
            why="A duration is hours, minutes and seconds: 1h30m, 10m, 90s.",
            next="For example --time 10m.",
        )
    return float(total)


def parse_count(text: str) -> int:
    """A count from ``6M``, ``500k`` or ``6000000``; k and M are decimal.

    Raises:
        UsageError: ``bad-count``.
    """
    match = _COUNT.match(text.strip())
    value = int(float(match[1]) * {"": 1, "k": 1000, "m": 10**6}[(match[2] or "").lower()]) if match else 0
    if value <= 0:
        raise UsageError(
            "bad-count",
            f"{printable(text)!r} is no count",
            why="A count is a number with an optional k or M (1000, 10⁶).",
            next="For example --macs 6M.",
        )
    return value
