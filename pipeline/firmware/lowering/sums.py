"""ADD and SUB in one sum of two products: integers for which it equals TensorFlow Lite's on every pair of inputs.

The reference brings both operands to a common scale, rounds, adds, and rescales the sum with two more roundings. Its
result is a staircase over the plane of the 256 · 256 pairs of inputs, which one tilted plane nearly always cuts at
every step: with a and b as they are stored,

    result = (floor(factor_a · a / 2^8) + floor(factor_b · b / 2^8) + rounding) >> 20, saturated

Each pair with the result t asks that the sum be at least t · 2^20 (unless t is the least output) and less than
(t + 1) · 2^20 (unless it is the largest). For given factors the rounding has to lie between the largest lower and the
smallest upper bound; how far these are apart is, the floors aside, a concave function of the factors, and
:func:`short_sum` climbs it. What it returns has been tried on all pairs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Bits of the sum below one unit of the output, and those of a factor below one unit of the sum.
FRACTION = 20
_EXTRA = 8
_UNIT = 1 << FRACTION
_VALUES = np.arange(-128, 128, dtype=np.int64)
#: Steps up the slack of the bounds. Most pairs of factors need one, ties a few more.
_STEPS = 60


@dataclass(frozen=True)
class ShortSum:
    """The integers of a sum, each of 32 bits."""

    factor_a: int
    factor_b: int
    rounding: int


def short_sum(table: NDArray[np.int64], slope_a: float, slope_b: float) -> ShortSum | None:
    """The sum that equals a table.

    Args:
        table: The output for each pair, [a + 128, b + 128], activation bounds included.
        slope_a: About what one unit of a adds to the output.
        slope_b: The same for b; negative for a difference.

    Returns:
        None where no such sum is found, or where it does not fit 32 bits.
    """
    climb = _Climb(table)
    point = (slope_a, slope_b)
    for _ in range(_STEPS):
        found = climb.attempt(point)
        if found is not None:
            return found
        following = climb.next_point(slope_a, slope_b)
        if following is None:
            return None
        point = following
    return None


def evaluate(found: ShortSum) -> NDArray[np.int64]:
    """The sum for each pair, saturated: what the kernel computes."""
    total = _products(found.factor_a)[:, None] + _products(found.factor_b)[None, :] + found.rounding
    return np.clip(total >> FRACTION, -128, 127)


def _products(factor: int) -> NDArray[np.int64]:
    return (factor * _VALUES) >> _EXTRA


class _Climb:
    """The bounds of one table, and the tangents to their slack that have been met."""

    def __init__(self, table: NDArray[np.int64]) -> None:
        self._table = table
        low, high = int(table.min()), int(table.max())
        self._above = table > low  # pairs that bound the sum from below
        self._below = table < high
        # Far out where a pair bounds nothing.
        self._lower = np.where(self._above, table * _UNIT, -(2**40))
        self._upper = np.where(self._below, (table + 1) * _UNIT - 1, 2**40)
        self._tangents: list[tuple[float, float, float]] = []

    def attempt(self, point: tuple[float, float]) -> ShortSum | None:
        """The sum with these slopes, if it is right; else the tangent at this point is noted."""
        factors = [round(slope * (_UNIT << _EXTRA)) for slope in point]
        if max(map(abs, factors)) >= 2**31:
            return None
        total = _products(factors[0])[:, None] + _products(factors[1])[None, :]
        least, most = self._lower - total, self._upper - total
        at_least, at_most = int(np.argmax(least)), int(np.argmin(most))
        low, high = int(least.flat[at_least]), int(most.flat[at_most])
        if low <= high:
            found = ShortSum(factors[0], factors[1], (low + high) // 2)
            extremes = [int(total.min()) + found.rounding, int(total.max()) + found.rounding, found.rounding]
            return found if max(map(abs, extremes)) < 2**31 - _UNIT else None
        # slack(m) = min over pairs of (t + 1 - m·p) - max over pairs of (t - m·q): its slope is q - p.
        a = at_least // 256 - at_most // 256
        b = at_least % 256 - at_most % 256
        slack = (high - low) / _UNIT
        self._tangents.append((float(a), float(b), slack - a * point[0] - b * point[1]))
        return None

    def next_point(self, slope_a: float, slope_b: float) -> tuple[float, float] | None:
        """Where the tangents allow the most slack; None where they leave none."""
        # Steps of the reference are rounded at 2^-20 of twice the larger operand: slopes are near the real ones.
        reach_a, reach_b = (2e-4 * max(abs(slope_a), abs(slope_b)),) * 2
        lines = [
            *self._tangents,
        ]
        walls = [
            (1.0, slope_a - reach_a),
            (1.0, slope_a + reach_a),
        ]
        del walls
        best: tuple[float, tuple[float, float]] | None = None
        candidates = list(_vertices(lines, (slope_a - reach_a, slope_a + reach_a), (slope_b - reach_b, slope_b + reach_b)))
        if not candidates:
            return None
        points = np.array(candidates)
        slopes = np.array(lines)
        heights = (points @ slopes[:, :2].T + slopes[:, 2]).min(axis=1)
        place = int(np.argmax(heights))
        if heights[place] < -2.0 / _UNIT:
            return None
        best = (float(heights[place]), (float(points[place, 0]), float(points[place, 1])))
        return best[1]
