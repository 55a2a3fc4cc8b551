"""Tables for people, in Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.errors import printable
from pipeline.experiments.statistics import Interval


@dataclass(frozen=True)
class Table:
    """A table; every row has as many cells as the header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The title in bold and the table; what would end a cell is escaped."""
        lines = [self.header, tuple("---" for _ in self.header), *self.rows]
        return "\n".join([f"**{_cell(self.title)}**", "", *(f"| {' | '.join(map(_cell, line))} |" for line in lines)])

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"title": self.title, "header": list(self.header), "rows": [list(row) for row in self.rows]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Table:
        """The inverse of :meth:`as_dict`."""
        return cls(
            str(values["title"]), tuple(map(str, values["header"])), tuple(tuple(map(str, r)) for r in values["rows"])
        )


def _cell(text: str) -> str:
    clean = printable(text, 500)
    return clean.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def percent(value: float | None) -> str:
    """For example ``75.3 %``; a dash for nothing."""
    return "–" if value is None else f"{100 * value:.1f} %"


def percents(interval: Interval) -> str:
    """For example ``75.3 % (73.0 … 77.1)``."""
    if interval.low is None or interval.high is None:
        return percent(interval.value)
    return f"{percent(interval.value)} ({100 * interval.low:.1f} … {100 * interval.high:.1f})"


def points(interval: Interval) -> str:
    """A difference of shares, for example ``+1.9 points (−0.2 … +3.8)``."""
    if interval.low is None or interval.high is None:
        return f"{_signed(interval.value)} points"
    return f"{_signed(interval.value)} points ({_signed(interval.low)} … {_signed(interval.high)})"


def _signed(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def number(interval: Interval, digits: int = 1) -> str:
    """A plain figure with its interval."""
    if interval.low is None or interval.high is None:
        return f"{interval.value:.{digits}f}"
    return f"{interval.value:.{digits}f} ({interval.low:.{digits}f} … {interval.high:.{digits}f})"
