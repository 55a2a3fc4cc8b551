"""The files that power monitors export: where in a row time, current, voltage and power are, and in which units.

Formats were read off what the tools write: Nordic's Power Profiler (``Timestamp(ms),Current(uA)`` with ``D0-D7`` or
``D0``…``D7``), Joulescope's statistics (``#time,current,voltage,power,charge,energy``, in SI units) and Qoitech's Otii
(``Arc Main Current (A)`` beside a time of day). Any other file is read by its header, if that names each unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.errors import UsageError, printable

#: What a column can be, and its unit without a prefix.
QUANTITIES = {"time": "s", "current": "A", "voltage": "V", "power": "W"}
_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "k": 1e3}
_NAMES = {
    "time": {"time", "timestamp", "t", "relativetime", "elapsedtime"},
    "current": {"current", "i", "maincurrent", "amps"},
    "voltage": {"voltage", "v", "u", "mainvoltage", "volts"},
    "power": {"power", "p", "mainpower", "watts"},
}
#: A name with its unit: ``Current (mA)``, ``current[mA]``, ``current_mA``, ``current / mA``.
_WITH_UNIT = re.compile(
    r"^(?P<name>.*?)\s*(?:\((?P<round>[^()]*)\)|\[(?P<square>[^\[\]]*)\]|[_/]\s*(?P<bare>[^_/]*))\s*$"
)
_CLOCK = re.compile(r"wall-?clock|date", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column by its index; a number in it times ``scale`` is in SI units. ``clock``: a time of day (ISO 8601)."""

    index: int
    scale: float = 1.0
    clock: bool = False


@dataclass(frozen=True)
class Columns:
    """Where everything is. Current, power or both are there; ``digital`` are logic channels, as column and character.

    A digital channel is a column of its own, or one character of a column that has several.
    """

    time: Column
    current: Column | None = None
    voltage: Column | None = None
    power: Column | None = None
    digital: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)


class TraceFormat(Protocol):
    """A format of files, told by its header."""

    name: str

    def columns(self, header: Sequence[str]) -> Columns | None:
        """Where everything is; None where this is no header of such a file."""


class Ppk2:
    """Nordic's Power Profiler Kit: milliseconds, microamperes, and eight logic channels. It knows no voltage."""

    name = "ppk2"

    def columns(self, header: Sequence[str]) -> Columns | None:
        """See :class:`TraceFormat`."""
        named = {text: index for index, text in enumerate(header)}
        if "Timestamp(ms)" not in named or "Current(uA)" not in named:
            return None
        digital: dict[str, tuple[int, int | None]] = {
            f"D{number}": (named[f"D{number}"], None) for number in range(8) if f"D{number}" in named
        }
        if "D0-D7" in named:
            digital = {f"D{number}": (named["D0-D7"], number) for number in range(8)} | digital
        return Columns(
            Column(named["Timestamp(ms)"], 1e-3), current=Column(named["Current(uA)"], 1e-6), digital=digital
        )


class Joulescope:
    """Joulescope's statistics and samples: seconds, amperes, volts, watts."""

    name = "joulescope"

    def columns(self, header: Sequence[str]) -> Columns | None:
        """See :class:`TraceFormat`."""
        if not header or header[0] != "#time" or "current" not in header:
            return None
        named = {text: Column(index) for index, text in enumerate(header)}
        digital = {
            text: (index, None)
            for index, text in enumerate(header)
            if re.fullmatch(r"(current|voltage)_lsb|gpi\d", text)
        }
        return Columns(named["#time"], named["current"], named.get("voltage"), named.get("power"), digital)


class Otii:
    """Qoitech's Otii: a time of day or seconds, and channels that begin with the instrument's name."""

    name = "otii"

    def columns(self, header: Sequence[str]) -> Columns | None:
        """See :class:`TraceFormat`."""
        found: dict[str, Column] = {}
        for index, text in enumerate(header):
            if match := re.fullmatch(r"(?:\w+ )?Main (Current|Voltage|Power) \(([AVW])\)", text, re.IGNORECASE):
                found[match[1].lower()] = Column(index)
            elif _CLOCK.search(text):
                found.setdefault("time", Column(index, clock=True))
            elif text.lower().startswith(("timestamp", "time")):
                found["time"] = Column(index)
        if "time" not in found or "current" not in found:
            return None
        digital = {text: (index, None) for index, text in enumerate(header) if re.search(r"\bGPI\s?\d\b", text)}
        return Columns(found["time"], found["current"], found.get("voltage"), found.get("power"), digital)


class Plain:
    """Any other file: each column's name and unit are read from the header, or said by the user.

    Args:
        names: The header's name of each quantity that it does not call by one of the usual names.
        units: The unit of each quantity whose unit the header does not give.
    """

    name = "csv"

    def __init__(self, names: Mapping[str, str] | None = None, units: Mapping[str, str] | None = None) -> None:
        self._names = dict(names or {})
        self._units = dict(units or {})

    def columns(self, header: Sequence[str]) -> Columns | None:
        """See :class:`TraceFormat`.

        Raises:
            UsageError: ``trace-columns``: a column that the user names is not there, or named twice; ``trace-unit``.
        """
        found: dict[str, Column] = {}
        other: dict[str, tuple[int, int | None]] = {}
        for index, text in enumerate(header):
            name, unit = _parted(text)
            quantity = self._quantity(text, name)
            if quantity is None:
                other[text] = (index, None)
                continue
            if quantity in found:
                raise UsageError(
                    "trace-columns",
                    f"the trace has more than one column of {quantity}",
                    why=f"{printable(text)!r} is another.",
                    next=f"Say which one: --columns {quantity}=NAME.",
                )
            found[quantity] = Column(index, scale_of(quantity, self._units.get(quantity) or unit, text))
        if "time" not in found or not {"current", "power"} & set(found):
            return None
        return Columns(found["time"], found.get("current"), found.get("voltage"), found.get("power"), other)

    def _quantity(self, text: str, name: str) -> str | None:
        """What a column is of."""
        for quantity, usual in _NAMES.items():
            named = self._names.get(quantity)
            if (text == named) if named is not None else _plain(name) in usual:
                return quantity
        return None


FORMATS: tuple[TraceFormat, ...] = (Ppk2(), Joulescope(), Otii())


def recognise(header: Sequence[str], name: str, plain: Plain) -> tuple[TraceFormat, Columns] | None:
    """The format that a header is of, and its columns; None where it is none.

    Args:
        header: The fields of a line.
        name: A format's name, or ``auto``.
        plain: Reads what is of no known format.

    Raises:
        UsageError: ``trace-columns``, ``trace-unit``.
    """
    for one in (*FORMATS, plain):
        if name in ("auto", one.name) and (columns := one.columns(header)) is not None:
            return one, columns
    return None


def scale_of(quantity: str, unit: str, column: str) -> float:
    """What a number in ``unit`` is multiplied with to be in SI units.

    >>> scale_of("current", "mA", "I")
    0.001

    Raises:
        UsageError: ``trace-unit``.
    """
    base = QUANTITIES[quantity]
    text = unit.strip()
    text = {"sec": "s", "seconds": "s"}.get(text.lower(), text)
    if text[-1:].lower() == base.lower() and text[:-1] in _PREFIXES:
        return _PREFIXES[text[:-1]]
    raise UsageError(
        "trace-unit",
        f"{printable(column)!r}: "
        + (f"{printable(unit)!r} is no unit of {quantity}" if text else f"the unit of its {quantity} is not said"),
        why=f"Units of {quantity} are {base}, m{base} and u{base}.",
        next=f"Name it in the header, as in {quantity.capitalize()} (m{base}), or by --units {quantity}=m{base}.",
    )


def _parted(text: str) -> tuple[str, str]:
    """A column's name and unit; the unit is empty where the header has none."""
    match = _WITH_UNIT.match(text)
    if match is None:
        return text, ""
    return match["name"], next(
        unit for unit in (match["round"], match["square"], match["bare"], "") if unit is not None
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
