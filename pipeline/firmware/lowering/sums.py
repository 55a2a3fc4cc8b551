"""ADD and SUB as one sum of two products: integers for which it equals TensorFlow Lite's on every pair of inputs.

The reference brings both operands to a common scale, rounds, adds, and rescales the sum with two more roundings. Its
result is a staircase over the plane of the 256 · 256 pairs of inputs, whose steps one tilted plane nearly always
follows: with a and b as they are stored,

    result = (floor(factor_a · a / 2^8) + floor(factor_b · b / 2^8) + rounding) >> 20, saturated

A pair whose result is t asks that the sum be at least t · 2^20 (unless t is the least output) and below (t + 1) · 2^20
(unless it is the largest). For given factors, the rounding has to lie between the largest of the lower bounds and the
smallest of the upper ones. Where these leave no room, the two pairs that set them say to which side the factors have to
move: the half-plane in which the room could open. :func:`short_sum` narrows the plausible factors down, cut by cut, and
what it returns has been tried on all pairs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Bits of the sum below one unit of the output, and those of a factor below one unit of the sum.
FRACTION = 20
EXTRA = 8
_UNIT = 1 << FRACTION
_VALUES = np.arange(-128, 128, dtype=np.int64)
#: Cuts before the search ends. Nearly all pairs of factors need none, ties up to a dozen.
_CUTS = 60
#: How far factors may be from the real ones, as a share of the larger: the reference rounds at 2^-20 of its scale, and
#: ties ask for a little more.
_REACH = 2.0**-10

_Point = tuple[float, float]


@dataclass(frozen=True)
class ShortSum:
    """The integers of a sum, each of 32 bits."""

    factor_a: int
    factor_b: int
    rounding: int


def short_sum(
    table: NDArray[np.int64], slope_a: float, slope_b: float, *, bounds: tuple[int, int] = (-128, 127)
) -> ShortSum | None:
    """The sum that equals a table, which never falls where its true slopes rise.

    Args:
        table: The output for each pair, [a + 128, b + 128], within the bounds.
        slope_a: What one unit of a adds to the output, but for roundings.
        slope_b: The same for b; negative for a difference.
        bounds: Between which the kernel holds what it sums up.

    Returns:
        None where no such sum is found, or where it does not fit 32 bits.
    """
    lower = np.where(table > bounds[0], table * _UNIT, -(2**40))
    upper = np.where(table < bounds[1], (table + 1) * _UNIT - 1, 2**40)
    reach = _REACH * max(abs(slope_a), abs(slope_b))
    region = [
        (slope_a + x * reach, slope_b + y * reach) for x, y in ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
    ]
    point = (slope_a, slope_b)
    for _ in range(_CUTS):
        factor_a, factor_b = (round(slope * (_UNIT << EXTRA)) for slope in point)
        if max(abs(factor_a), abs(factor_b)) >= 2**31:
            return None
        total = products(factor_a)[:, None] + products(factor_b)[None, :]
        least, most = lower - total, upper - total
        at_least, at_most = int(np.argmax(least)), int(np.argmin(most))
        low, high = int(least.flat[at_least]), int(most.flat[at_most])
        if low <= high:
            found = ShortSum(factor_a, factor_b, (low + high) // 2)
            reached = max(abs(int(total.min()) + found.rounding), abs(int(total.max()) + found.rounding))
            return found if max(reached, abs(found.rounding)) < 2**31 else None
        # The room is high - low at these factors, and changes by the difference of the two pairs.
        change = (float(at_least // 256 - at_most // 256), float(at_least % 256 - at_most % 256))
        region = _cut(region, point, change, (high - low) / _UNIT)
        if len(region) < 3:
            return None
        point = _centre(region)
    return None


def products(factor: int) -> NDArray[np.int64]:
    """One operand's part of the sum, for each of its values."""
    return (factor * _VALUES) >> EXTRA


def evaluate(found: ShortSum) -> NDArray[np.int64]:
    """The result for each pair, as the kernel computes it."""
    total = products(found.factor_a)[:, None] + products(found.factor_b)[None, :] + found.rounding
    saturated: NDArray[np.int64] = np.clip(total >> FRACTION, -128, 127)
    return saturated


def _cut(region: list[_Point], point: _Point, change: _Point, room: float) -> list[_Point]:
    """The part of a convex polygon where room + change · (x - point) is not negative."""
    heights = [room + change[0] * (x - point[0]) + change[1] * (y - point[1]) for x, y in region]
    kept: list[_Point] = []
    for index, (corner, height) in enumerate(zip(region, heights, strict=True)):
        before, height_before = region[index - 1], heights[index - 1]
        if (height < 0.0) != (height_before < 0.0):
            share = height_before / (height_before - height)
            kept.append((before[0] + share * (corner[0] - before[0]), before[1] + share * (corner[1] - before[1])))
        if height >= 0.0:
            kept.append(corner)
    return kept


def _centre(region: list[_Point]) -> _Point:
    """The centre of gravity: a cut through it leaves at most 63 % of the area."""
    x0, y0 = region[0]
    area = x = y = 0.0
    for (ax, ay), (bx, by) in itertools.pairwise(region[1:]):
        doubled = (ax - x0) * (by - y0) - (bx - x0) * (ay - y0)
        area += doubled
        x += doubled * (ax + bx - 2.0 * x0)
        y += doubled * (ay + by - 2.0 * y0)
    if area == 0.0:
        return x0, y0
    return x0 + x / (3.0 * area), y0 + y / (3.0 * area)
