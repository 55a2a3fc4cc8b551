"""Plots as SVG documents that stand alone: no script, no font; each text is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from pipeline.errors import printable
from pipeline.experiments.statistics import Interval

_WIDTH, _HEIGHT, _LEFT, _TOP = 520, 300, 70, 44
#: Distinguishable without colours by the dashes.
_COLOURS = ("#1f5fa8", "#c4532b", "#3a7d44", "#7a4b94", "#8a6d1f", "#4a4a4a")
_DASHES = ("none", "7 3", "2 3", "9 3 2 3", "4 4", "1 2")

Points = Sequence[tuple[float, float]]


def lines(title: str, series: Mapping[str, Points], *, across: str, up: str) -> str:
    """Curves.

    Args:
        title: Of the plot.
        series: Points by name, each in the order of x; at least one point in all.
        across: What x is.
        up: What y is.
    """
    return _document(title, _curves(series), series, across=across, up=up)


def scatter(title: str, series: Mapping[str, Points], *, across: str, up: str) -> str:
    """Points by series; see :func:`lines`."""
    return _document(title, _dots(series), series, across=across, up=up)


def intervals(title: str, rows: Mapping[str, Interval], *, across: str) -> str:
    """A row for each estimate with its interval; where zero is in reach it is marked.

    Args:
        title: Of the plot.
        rows: By label; at least one.
        across: What the values are.
    """
    ends = [end for row in rows.values() for end in (row.low, row.value, row.high) if end is not None]
    low, high, ticks = _axis(min(ends), max(ends))
    left, height = 250, 26 * len(rows)
    bottom = _TOP + height

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (_WIDTH - 100)

    parts = [*_head(title, left + _WIDTH - 60, bottom + 56)]
    for tick in ticks:
        bold = ' stroke="#555" stroke-dasharray="4 3"' if tick == 0 else ' stroke="#ddd"'
        parts.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{_TOP}" y2="{bottom}"{bold}/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{_number(tick)}</text>')
    for index, (label, row) in enumerate(rows.items()):
        y = _TOP + 26 * index + 13
        parts.append(f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{_text(label)}</text>')
        if row.low is not None and row.high is not None:
            ends_at = f'x1="{x(row.low):.1f}" x2="{x(row.high):.1f}"'
            parts.append(f'<line {ends_at} y1="{y}" y2="{y}" stroke="{_COLOURS[0]}" stroke-width="2"/>')
        parts.append(f'<circle cx="{x(row.value):.1f}" cy="{y}" r="4" fill="{_COLOURS[0]}"/>')
    middle = left + (_WIDTH - 100) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 40}" text-anchor="middle">{_text(across)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Frame:
    """Where values are drawn."""

    def __init__(self, series: Mapping[str, Points]) -> None:
        every = [point for points in series.values() for point in points]
        self.left, self.right, self.across = _axis(min(x for x, _ in every), max(x for x, _ in every))
        self.bottom, self.top, self.up = _axis(min(y for _, y in every), max(y for _, y in every))

    def x(self, value: float) -> float:
        return _LEFT + (value - self.left) / (self.right - self.left) * _WIDTH

    def y(self, value: float) -> float:
        return _TOP + _HEIGHT - (value - self.bottom) / (self.top - self.bottom) * _HEIGHT


def _document(title: str, drawn: Iterator[str], series: Mapping[str, Points], *, across: str, up: str) -> str:
    frame = _Frame(series)
    below = 60 + 18 * len(series)
    parts = [*_head(title, _LEFT + _WIDTH + 30, _TOP + _HEIGHT + below)]
    parts.append(f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#888"/>')
    for tick in frame.across:
        x = frame.x(tick)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_TOP + _HEIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 16}" text-anchor="middle">{_number(tick)}</text>')
    for tick in frame.up:
        y = frame.y(tick)
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    parts.append(f'<text x="{_LEFT}" y="{_TOP - 8}">{_text(up)}</text>')
    middle, under = _LEFT + _WIDTH / 2, _TOP + _HEIGHT + 36
    parts.append(f'<text x="{middle}" y="{under}" text-anchor="middle">{_text(across)}</text>')
    parts.extend(drawn)
    for index, name in enumerate(series):
        y = _TOP + _HEIGHT + 52 + 18 * index
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + 34}" y1="{y}" y2="{y}" {_stroke(index)}/>')
        parts.append(f'<text x="{_LEFT + 42}" y="{y + 4}">{_text(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _curves(series: Mapping[str, Points]) -> Iterator[str]:
    frame = _Frame(series)
    for index, points in enumerate(series.values()):
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
        yield f'<polyline points="{path}" fill="none" {_stroke(index)}/>'


def _dots(series: Mapping[str, Points]) -> Iterator[str]:
    frame = _Frame(series)
    for index, points in enumerate(series.values()):
        colour = _COLOURS[index % len(_COLOURS)]
        for x, y in points:
            yield f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3.5" fill="{colour}" fill-opacity="0.7"/>'


def _head(title: str, width: float, height: float) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
    yield ' font-size="12">'
    yield f"<title>{_text(title)}</title>"
    yield f'<rect width="{width}" height="{height}" fill="white"/>'
    yield f'<text x="{_LEFT}" y="18" font-size="14" font-weight="bold">{_text(title)}</text>'


def _stroke(index: int) -> str:
    dashes = _DASHES[index % len(_DASHES)]
    return f'stroke="{_COLOURS[index % len(_COLOURS)]}" stroke-width="2" stroke-dasharray="{dashes}"'


def _axis(low: float, high: float) -> tuple[float, float, list[float]]:
    """The ends of an axis that holds both values, and where its marks are."""
    if high <= low:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    exponent = math.floor(math.log10((high - low) / 4))
    step = next(s for f in (1, 2, 5, 10) if (high - low) / (s := f * 10.0**exponent) <= 7)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [round(number * step, 12) for number in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def _number(value: float) -> str:
    return f"{value:,.6g}"


def _text(text: str) -> str:
    return escape(printable(text))
