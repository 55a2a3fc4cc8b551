"""How far a table holds for the compiler at hand: a mark on each estimate whose compiler or flags are others.

The percentages are measured, and rounded up (docs/calibration.md): the same models built by another major version of
GCC, and with other levels of optimisation, against those that tables were made for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from pipeline.errors import printable

if TYPE_CHECKING:
    from pipeline.estimate.profiles import Profile

_VERSION = re.compile(r"\b(\d+\.\d+\.\d+)(?: (\d{8}))?")
#: What decides which code is made: optimisation, processor, and how it is called.
_DECISIVE = ("-O", "-m", "-f")
#: Flags that only ask for something to read.
_HARMLESS = ("-O", "-fcallgraph-info", "-fstack-usage", "-fdiagnostics", "-fmessage-length")


@dataclass(frozen=True)
class Toolchain:
    """A compiler by its first line about itself, and the flags that it is given; empty where one is not known."""

    compiler: str = ""
    flags: str = ""


class Doubt(BaseModel):
    """By how many per cent figures may be off, up or down: bytes of code, bytes of stack, instructions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: int
    stack: int
    instructions: int


#: GCC 11.3 against 12.2: 1.2 % of code, 7.8 % of stack, 0.5 % of instructions.
OTHER_COMPILER = Doubt(code=2, stack=10, instructions=1)
#: -O3 and -Os against -O2: 10.2 % of code, 5.8 % of stack, 2.5 % of instructions.
OTHER_FLAGS = Doubt(code=12, stack=10, instructions=3)


class Calibration(BaseModel):
    """The table that an estimate was made from.

    Attributes:
        origin: ``package``, or ``user``: measured by the user, and kept in the user's data folder.
        board: The board type that was measured.
        compiler: The compiler that it holds for.
        date: Of the measurement, ISO 8601.
        source: What the figures are.
        other: How the compiler at hand, or its flags, differ from that; empty where they do not, or are not known.
        doubt: How far figures may be off for that; None where nothing differs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: str
    board: str
    compiler: str
    date: str
    source: str
    other: str = ""
    doubt: Doubt | None = None

    @property
    def mark(self) -> str:
        """For those who read an estimate: that it does not hold for the compiler at hand; empty where it does."""
        if self.doubt is None:
            return ""
        return (
            f"not calibrated for this compiler: code ±{self.doubt.code} %, stack ±{self.doubt.stack} %, "
            f"instructions ±{self.doubt.instructions} % ({self.other})"
        )

    @property
    def text(self) -> str:
        """Where the figures come from, in one line."""
        whose = "the user's table" if self.origin == "user" else "the package's table"
        return f"{whose}, {self.date}, {self.board}, {printable(self.compiler, 200)}"


def calibration(profile: Profile, flags: str, toolchain: Toolchain, *, origin: str) -> Calibration:
    """What is to be said about a table for a compiler.

    Args:
        profile: The table's.
        flags: Those that the table holds for; of another port of the same processor they may be others.
        toolchain: What builds, or has built, the program.
        origin: ``package`` or ``user``.
    """
    found = {}
    if toolchain.compiler and version(toolchain.compiler) != version(profile.compiler):
        found[f"{printable(toolchain.compiler, 100)} instead of {printable(profile.compiler, 100)}"] = OTHER_COMPILER
    missing = decisive(flags) - decisive(toolchain.flags)
    if toolchain.flags and (missing or optimisation(flags) != optimisation(toolchain.flags)):
        listed = printable(" ".join(sorted(missing)) or optimisation(flags), 200)
        found[f"flags: without {listed}"] = OTHER_FLAGS
    doubt = None
    if found:
        doubt = Doubt(**{name: sum(getattr(one, name) for one in found.values()) for name in Doubt.model_fields})
    return Calibration(
        origin=origin,
        board=profile.board,
        compiler=profile.compiler,
        date=profile.date.isoformat(),
        source=profile.source,
        other="; ".join(found),
        doubt=doubt,
    )


def version(compiler: str) -> str:
    """The number of a version with its date; of a text without one the text, which then is like no other."""
    match = _VERSION.search(re.sub(r"\([^()]*\)", "", compiler))
    return " ".join(filter(None, match.groups())) if match else compiler


def decisive(flags: str) -> frozenset[str]:
    """The flags that decide which code is made."""
    return frozenset(flag for flag in flags.split() if flag.startswith(_DECISIVE) and not flag.startswith(_HARMLESS))


def optimisation(flags: str) -> str:
    """The level of optimisation: the last that is named."""
    return next((flag for flag in reversed(flags.split()) if flag.startswith("-O")), "-O0")
