"""A picture of predicted against counted instructions: both on one diagonal, and the errors by themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

_SIZE, _GAP, _LEFT, _TOP = 360, 90, 70, 50
#: One a board, and distinguishable without colours: filled and open.
_COLOURS = ("#1f5fa8", "#c4532b", "#3a7d44", "#7a4b94")


@dataclass(frozen=True)
class Point:
    """An inference: what was counted, and the relative error of the prediction."""

    counted: int
    error: float
    board: str
    kind: str


def plot(points: Sequence[Point], *, bars: tuple[float, float]) -> str:
    """An SVG document.

    Args:
        points: At least one.
        bars: The mean and the largest absolute error that are allowed.
    """
    decades = (
        math.floor(math.log10(min(p.counted for p in points))),
        math.ceil(math.log10(max(p.counted for p in points))),
    )
    reach = max(bars[1], *(abs(point.error) for point in points)) * 1.1
    width, height = 2 * _SIZE + _GAP + _LEFT + 20, _SIZE + _TOP + 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="12">',
        "<title>Instructions of an inference, predicted against counted</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_frame(_LEFT, "predicted", decades),
        *_frame(_LEFT + _SIZE + _GAP, "error", decades),
        *_powers(decades),
        *_percents(bars, reach),
        *_marks(points, decades, reach),
        *_legend(list(dict.fromkeys(point.board for point in points)), height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _frame(left: int, upwards: str, decades: tuple[int, int]) -> Iterator[str]:
    """The borders of a panel, and the decades of what was counted below it."""
    yield f'<rect x="{left}" y="{_TOP}" width="{_SIZE}" height="{_SIZE}" fill="none" stroke="#888"/>'
    yield f'<text x="{left}" y="{_TOP - 14}" font-weight="bold">{upwards}</text>'
    yield f'<text x="{left + _SIZE / 2}" y="{_TOP + _SIZE + 40}" text-anchor="middle">instructions counted</text>'
    for power in range(decades[0], decades[1] + 1):
        x = left + _along(power, decades)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_TOP + _SIZE}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="{_TOP + _SIZE + 18}" text-anchor="middle">{_power(power)}</text>'


def _powers(decades: tuple[int, int]) -> Iterator[str]:
    """The decades of what was predicted, and the diagonal."""
    for power in range(decades[0], decades[1] + 1):
        y = _TOP + _SIZE - _along(power, decades)
        yield f'<line x1="{_LEFT}" x2="{_LEFT + _SIZE}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_power(power)}</text>'
    ends = f'x1="{_LEFT}" y1="{_TOP + _SIZE}" x2="{_LEFT + _SIZE}" y2="{_TOP}"'
    yield f'<line {ends} stroke="#555" stroke-dasharray="4 3"/>'


def _percents(bars: tuple[float, float], reach: float) -> Iterator[str]:
    """The errors that are allowed, and none."""
    left = _LEFT + _SIZE + _GAP
    for share in sorted({-bars[1], -bars[0], 0.0, bars[0], bars[1]}):
        y = _TOP + _SIZE / 2 * (1 - share / reach)
        dashes = ' stroke-dasharray="4 3"' if share else ""
        yield f'<line x1="{left}" x2="{left + _SIZE}" y1="{y:.1f}" y2="{y:.1f}" stroke="#555"{dashes}/>'
        yield f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{share:+.0%}</text>'


def _marks(points: Sequence[Point], decades: tuple[int, int], reach: float) -> Iterator[str]:
    boards = list(dict.fromkeys(point.board for point in points))
    for point in points:
        colour = _COLOURS[boards.index(point.board) % len(_COLOURS)]
        fill = colour if point.kind == "genotype" else "white"
        x = _along(math.log10(point.counted), decades)
        guess = _along(math.log10(point.counted * (1 + point.error)), decades)
        for left, y in (
            (_LEFT, _TOP + _SIZE - guess),
            (_LEFT + _SIZE + _GAP, _TOP + _SIZE / 2 * (1 - point.error / reach)),
        ):
            yield (
                f'<circle cx="{left + x:.1f}" cy="{y:.1f}" r="3.5" fill="{fill}" stroke="{colour}" fill-opacity="0.7">'
                f"<title>{point.counted:,} instructions, {point.error:+.2%}</title></circle>"
            )


def _legend(boards: Sequence[str], height: int) -> Iterator[str]:
    x = _LEFT
    for number, board in enumerate(boards):
        colour = _COLOURS[number % len(_COLOURS)]
        yield f'<circle cx="{x}" cy="{height - 18}" r="4" fill="{colour}"/>'
        yield f'<text x="{x + 10}" y="{height - 14}">{escape(board)}</text>'
        x += 140
    yield f'<text x="{x}" y="{height - 14}" fill="#555">filled: random genotypes; open: other networks</text>'


def _along(power: float, decades: tuple[int, int]) -> float:
    return _SIZE * (power - decades[0]) / max(1, decades[1] - decades[0])


def _power(power: int) -> str:
    digits = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    return f"10{str(power).translate(digits)}"
