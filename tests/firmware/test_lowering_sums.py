"""The integers of ADD and SUB: equal to the reference on every pair of inputs, found for nearly all quantizations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.firmware.fixed_point import quantize_multiplier
from pipeline.firmware.lowering import sums

VALUES = range(-128, 128)


def rescaled(value: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier for a shift that is not positive, in Python's integers."""
    high = (value * multiplier + (1 << 30)) >> 31
    magnitude = (abs(high) + (1 << -shift >> 1)) >> -shift
    return magnitude if high >= 0 else -magnitude


def table(
    scales: tuple[float, float, float],
    zero_points: tuple[int, int, int],
    *,
    sign: int = 1,
    bounds: tuple[int, int] = (-128, 127),
) -> NDArray[np.int64]:
    """The reference's results, pair by pair, written anew from its source."""
    a, b, output = (float(np.float32(scale)) for scale in scales)
    twice = 2.0 * max(a, b)
    pairs = [quantize_multiplier(factor) for factor in (a / twice, b / twice, twice / (2.0**20 * output))]
    left = [rescaled((value - zero_points[0]) << 20, *pairs[0]) for value in VALUES]
    right = [rescaled((value - zero_points[1]) << 20, *pairs[1]) for value in VALUES]
    made = {
        total: min(max(rescaled(total, *pairs[2]) + zero_points[2], bounds[0]), bounds[1])
        for total in {x + sign * y for x in left for y in right}
    }
    return np.array([[made[x + sign * y] for y in right] for x in left], np.int64)


def slopes(scales: tuple[float, float, float], sign: int = 1) -> tuple[float, float]:
    return scales[0] / scales[2], sign * scales[1] / scales[2]


scale = st.floats(-3, 1).map(lambda exponent: float(np.float32(10.0**exponent)))
zero_point = st.integers(-128, 127)


@settings(max_examples=4)
@given(st.tuples(scale, scale, scale), st.tuples(zero_point, zero_point, zero_point), st.sampled_from([1, -1]))
def test_what_is_found_equals_the_reference_on_all_pairs(
    scales: tuple[float, float, float], zero_points: tuple[int, int, int], sign: int
) -> None:
    wanted = table(scales, zero_points, sign=sign)
    found = sums.short_sum(wanted, *slopes(scales, sign))
    if found is not None:
        np.testing.assert_array_equal(sums.evaluate(found), wanted)
        assert max(abs(found.factor_a), abs(found.factor_b), abs(found.rounding)) < 2**31


@pytest.mark.parametrize(
    "scales", [(0.5, 0.5, 0.5), (0.5, 0.5, 1.0), (1.0, 0.25, 1.0), (0.1, 0.1, 0.2), (0.0231, 0.0307, 0.0402)]
)
@pytest.mark.parametrize("zero_points", [(0, 0, 0), (-128, 5, -3), (127, -128, 127)])
def test_usual_scales_and_ties_have_a_short_form(
    scales: tuple[float, float, float], zero_points: tuple[int, int, int]
) -> None:
    wanted = table(scales, zero_points)
    found = sums.short_sum(wanted, *slopes(scales))
    assert found is not None
    np.testing.assert_array_equal(sums.evaluate(found), wanted)


def test_bounds_of_an_activation_may_be_clamped_afterwards() -> None:
    scales, zero_points = (0.04, 0.03, 0.05), (3, -7, -20)
    bounded = table(scales, zero_points, bounds=(-20, 90))
    found = sums.short_sum(bounded, *slopes(scales), bounds=(-20, 90))
    assert found is not None
    np.testing.assert_array_equal(np.clip(sums.evaluate(found), -20, 90), bounded)


def test_nothing_is_claimed_where_there_is_no_such_sum() -> None:
    scales = (0.5, 0.5, 0.5)
    wanted = table(scales, (0, 0, 0))
    wanted[128, 128] += 1  # a dent that no plane follows
    assert sums.short_sum(wanted, *slopes(scales)) is None


def test_factors_beyond_32_bits_are_left_to_the_reference() -> None:
    scales = (1.0, 1.0, 0.01)
    assert sums.short_sum(table(scales, (0, 0, 0)), *slopes(scales)) is None


def test_a_sum_that_is_never_within_its_bounds_is_still_that_of_the_reference() -> None:
    """A zero point at the end of the range: every pair gives the same value, which no bound of the kernel is."""
    wanted = table((0.02, 0.02, 0.034), (-128, -128, 126))
    assert wanted.min() == 126
    found = sums.short_sum(wanted, *slopes((0.02, 0.02, 0.034)))
    assert found is None or np.array_equal(sums.evaluate(found), wanted)
