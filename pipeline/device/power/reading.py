"""A trace file read row by row: a recording of minutes has a hundred million rows, and none of them is kept."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.device.power.formats import Column, Columns, Plain, TraceFormat, recognise
from pipeline.errors import UsageError, printable

#: Longest line that is read. What is longer is no row of numbers.
LONGEST_LINE = 65_536
#: The header is looked for in so many lines: programs put remarks before it.
_PREAMBLE = 50


class Sample(NamedTuple):
    """One row, in SI units; ``current`` is None where the file has power alone, ``level`` is the marker channel's."""

    time: float
    power: float
    current: float | None
    level: bool


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user says about a file.

    Attributes:
        format: ``auto``, ``ppk2``, ``joulescope``, ``otii`` or ``csv``.
        volts: Supply voltage, for a file without one.
        marker: A logic channel that is high during an inference.
        names, units: Of columns, by quantity; see :class:`~pipeline.device.power.formats.Plain`.
    """

    format: str = "auto"
    volts: float | None = None
    marker: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


class Trace:
    """A file of samples. :meth:`samples` may be read once; the other attributes are whole when it has ended.

    Args:
        path: The file.
        options: What the user says about it.

    Attributes:
        format: The format's name.
        count: Samples read.
        sha256: Of the whole file.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self._options = options
        self._hash = hashlib.sha256()
        self.format = ""
        self.count = 0
        self._line = 0

    @property
    def sha256(self) -> str:
        """Of what was read so far."""
        return self._hash.hexdigest()

    def samples(self) -> Iterator[Sample]:
        """The rows, in the file's order, which must be that of time.

        Raises:
            UsageError: ``trace-unreadable``, ``trace-columns``, ``trace-unit``, ``trace-value``, ``trace-order``,
                ``no-voltage``, ``no-marker``.
        """
        try:
            with self.path.open("rb") as file:
                yield from self._samples(file)
        except (OSError, csv.Error, UnicodeDecodeError) as error:
            raise self._unreadable(printable(error)) from error

    def _samples(self, file: BinaryIO) -> Iterator[Sample]:
        lines = self._lines(file)
        kind, columns, delimiter = self._header(lines)
        self.format = kind.name
        bit = self._marker(columns)
        if columns.power is None and columns.voltage is None and self._options.volts is None:
            raise UsageError(
                "no-voltage",
                f"{printable(self.path)} has neither power nor voltage",
                why="Energy is voltage times current.",
                next="Say what the board was supplied with: --volts 3.3.",
            )
        before = -math.inf
        for row in csv.reader(lines, delimiter=delimiter):
            if not row:
                continue
            time = self._number(row, columns.time, "time")
            if time < before:
                raise UsageError(
                    "trace-order",
                    f"{printable(self.path)}, line {self._line}: time goes back",
                    why=f"{time:g} s comes after {before:g} s.",
                    next="Sort the file by time, or export it anew.",
                )
            before = time
            current = None if columns.current is None else self._number(row, columns.current, "current")
            self.count += 1
            yield Sample(time, self._power(row, columns, current), current, bit is not None and self._level(row, *bit))

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        while raw := file.readline(LONGEST_LINE + 1):
            self._line += 1
            if len(raw) > LONGEST_LINE:
                raise self._unreadable(f"Line {self._line} has more than {LONGEST_LINE:,} bytes.")
            if b"\0" in raw:
                raise self._unreadable(f"Line {self._line} is no text.")
            self._hash.update(raw)
            yield raw.decode("utf-8-sig" if self._line == 1 else "utf-8")

    def _header(self, lines: Iterator[str]) -> tuple[TraceFormat, Columns, str]:
        plain = Plain(self._options.names, self._options.units)
        first = ""
        for _, line in zip(range(_PREAMBLE), lines, strict=False):
            delimiter = max(",;\t", key=line.count)
            fields = [text.strip() for text in next(csv.reader([line.strip("\r\n")], delimiter=delimiter), [])]
            found = recognise(fields, self._options.format, plain)
            if found is not None:
                return (*found, delimiter)
            first = first or line.strip()
        raise UsageError(
            "trace-columns",
            f"{printable(self.path)}: no columns of time and of current or power",
            why=f"It begins with {printable(first, 120)!r}." if first else "It is empty.",
            next="Export a CSV with a header, as in Time (s),Current (mA); or name them: "
            "--columns time=T,current=I --units time=s,current=mA.",
        )

    def _marker(self, columns: Columns) -> tuple[int, int | None] | None:
        name = self._options.marker
        if name is None:
            return None
        if name not in columns.digital:
            known = ", ".join(printable(one, 40) for one in list(columns.digital)[:10])
            raise UsageError(
                "no-marker",
                f"{printable(self.path)} has no channel {printable(name)!r}",
                why=f"It has {known}." if known else "It has none.",
                next="Name another one with --marker, or take --from and --to, or --threshold.",
            )
        return columns.digital[name]

    def _power(self, row: Sequence[str], columns: Columns, current: float | None) -> float:
        """Power of a row. A voltage that the user gives comes before what the monitor says: it is the device's own."""
        if current is not None and self._options.volts is not None:
            return current * self._options.volts
        if columns.power is not None:
            return self._number(row, columns.power, "power")
        if current is None or columns.voltage is None:
            return 0.0
        return current * self._number(row, columns.voltage, "voltage")

    def _number(self, row: Sequence[str], column: Column, what: str) -> float:
        try:
            text = row[column.index].strip()
            if column.clock:
                moment = datetime.fromisoformat(text)
                return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
            value = float(text) * column.scale
        except (IndexError, ValueError) as error:
            raise self._wrong(row, column, what) from error
        if not math.isfinite(value):
            raise self._wrong(row, column, what)
        return value

    def _level(self, row: Sequence[str], index: int, bit: int | None) -> bool:
        """Whether a logic channel is high. The Power Profiler writes 0, 1, X (both, in this sample) and - (unknown)."""
        try:
            text = row[index].strip() if bit is None else row[index].strip()[bit]
            return text == "X" or (text not in ("", "-") and float(text) > 0.5)
        except (IndexError, ValueError) as error:
            raise self._wrong(row, Column(index), f"channel {printable(self._options.marker or '')}") from error

    def _wrong(self, row: Sequence[str], column: Column, what: str) -> UsageError:
        found = printable(row[column.index], 40) if column.index < len(row) else ""
        return UsageError(
            "trace-value",
            f"{printable(self.path)}, line {self._line}: {what} is "
            + (f"no number: {found!r}" if found else "missing"),
            why="A sample that is lost would falsify the energy.",
            next="Export the file anew, or cut it to a part without gaps.",
        )

    def _unreadable(self, why: str) -> UsageError:
        return UsageError(
            "trace-unreadable",
            f"{printable(self.path)} cannot be read as CSV",
            why=why,
            next="Give the CSV that the power monitor's program exports.",
        )
