"""The short forms of rescaling against the reference's own steps, at every accumulator where the output changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.firmware.lowering.requantization import Form, Sums, choose, sums

INT8 = st.integers(-128, 127)
MULTIPLIERS = st.one_of(st.sampled_from([2**30, 2**30 + 1, 2**31 - 1]), st.integers(2**30, 2**31 - 1))
SHIFTS = st.integers(-31, 31)
LIMIT = 2**23


def reference(acc: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier, as TensorFlow Lite writes it: two roundings, the second one away from zero."""
    left, right = max(shift, 0), max(-shift, 0)
    shifted = (acc << left) + 2**31 & 0xFFFFFFFF
    product = (shifted - 2**31) * multiplier
    nudge = 2**30 if product >= 0 else 1 - 2**30
    # A truncating division by 2^31.
    high = (product + nudge) // 2**31 if product + nudge >= 0 else -(-(product + nudge) // 2**31)
    mask = (1 << right) - 1
    threshold = (mask >> 1) + (high < 0)
    return (high >> right) + ((high & mask) > threshold)


def expected(acc: int, pair: tuple[int, int], zero_point: int, output_min: int = -128) -> int:
    return min(max(reference(acc, *pair) + zero_point, output_min), 127)


def smmla(a: int, b: int, c: int, *, rounded: bool = False) -> int:
    """The instruction; every operand and the result must be 32-bit numbers."""
    result = c + (a * b + (2**31 if rounded else 0) >> 32)
    assert all(-(2**31) <= value < 2**31 for value in (a, b, c, result)), "an intermediate value overflows"
    return result


def saturated(value: int) -> int:
    return min(max(value, -128), 127)


def relu(acc: int, exponent: int, multiplier: int, zero_point: int) -> tuple[int, int]:
    """requantize.h: Relu of acc, and ReluUpper of 256 · acc."""
    low = smmla(acc << 16 - exponent, multiplier, (2 * zero_point + 1) * 2**14 + (2**14 >> exponent)) >> 15
    high = smmla(256 * acc, multiplier, (2 * zero_point + 1) * 2 ** (exponent + 6) + 64) >> exponent + 7
    return saturated(low), saturated(high)


def linear(acc: int, exponent: int, multiplier: int, zero_point: int) -> int:
    """requantize.h: Linear."""
    rounding = ((2 * zero_point + 1) << exponent) >> 1
    return saturated(smmla(2 * acc, multiplier, rounding - (acc < 0), rounded=True) >> exponent)


def thresholds(pair: tuple[int, int], zero_point: int, low: int, high: int) -> list[int]:
    """Accumulators on both sides of each change of the output between ``low`` and ``high``, and those two."""
    found = {low, high}
    for value in range(expected(low, pair, zero_point) + 1, expected(high, pair, zero_point) + 1):
        below, above = low, high  # the output at below is less than value, at above it is not
        while above - below > 1:
            middle = (below + above) // 2
            if expected(middle, pair, zero_point) < value:
                below = middle
            else:
                above = middle
        found |= {below, above}
    return sorted(found)


def layer(low: int, high: int) -> Sums:
    """One channel whose accumulators begin at 0 and end anywhere between."""
    return Sums(np.array([0]), np.array([low]), np.array([high]))


@settings(max_examples=60)
@given(MULTIPLIERS, SHIFTS, INT8, INT8, st.integers(1, 24), st.booleans())
def test_a_chosen_form_gives_the_reference_wherever_its_output_changes(
    multiplier: int, shift: int, zero_point: int, output_min: int, bits: int, skewed: bool
) -> None:
    """Both sides are monotone, so that equality there is equality everywhere."""
    high = min(2**bits, 2**24) - 1
    low = -high // 3 if skewed else -high
    pair = (multiplier, shift)
    chosen = choose(layer(low, high), [pair], zero_point, output_min)
    if chosen.form is Form.PLAIN:
        assert chosen.records.tolist() == [[0, multiplier, shift]]
        assert high >= LIMIT or not 1 <= -shift <= 22, "a short form would do"
        return
    assert chosen.records.tolist() == [[-shift, multiplier]]
    for acc in thresholds(pair, zero_point, low, high):
        wanted = expected(acc, pair, zero_point, output_min)
        if chosen.form is Form.RELU:
            assert output_min >= zero_point
            for found in relu(acc, -shift, multiplier, zero_point):
                assert max(found, output_min) == wanted, acc
        else:
            assert max(linear(acc, -shift, multiplier, zero_point), output_min) == wanted, acc


@pytest.mark.parametrize("exponent", [1, 5, 8])
def test_every_accumulator_around_zero(exponent: int) -> None:
    """Powers of two have ties; there is nothing between these accumulators."""
    for multiplier in (2**30, 3 * 2**29, 2**31 - 1):
        for acc in range(-700, 700):
            wanted = expected(acc, (multiplier, -exponent), -3)
            assert linear(acc, exponent, multiplier, -3) == wanted
            assert [max(found, -3) for found in relu(acc, exponent, multiplier, -3)] == [max(wanted, -3)] * 2


def test_the_form_follows_from_what_can_occur() -> None:
    pair = (2**30 + 12345, -6)
    small, large = layer(-1000, 1000), layer(-(2**22), 2**22)
    assert choose(small, [pair], -128, -128).form is Form.RELU
    assert choose(small, [pair], -128, -127).form is Form.RELU
    assert choose(small, [pair], -127, -128).form is Form.LINEAR, "outputs below the zero point occur"
    assert choose(large, [pair], -128, -128).form is Form.LINEAR, "2^10 times the accumulator leaves 32 bits"
    assert choose(layer(-LIMIT, 0), [pair], -128, -128).form is Form.PLAIN
    assert choose(small, [pair], -128, -128, shared=False).form is Form.PLAIN
    assert choose(small, [(0, 0)], -128, -128).form is Form.PLAIN
    bias = Sums(np.array([LIMIT]), np.array([-5]), np.array([5]))
    assert choose(bias, [pair], -128, -128).form is Form.PLAIN, "the record holds 24 bits of the bias"


@given(st.integers(0, 2**32 - 1), INT8)
def test_sums_are_the_extremes_over_all_inputs(seed: int, zero_point: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (3, 2)).astype(np.int8)
    bias = rng.integers(-1000, 1000, 3).astype(np.int32)
    found = sums(weights, bias, zero_point)
    inputs = np.array([(a, b) for a in (-128, 127) for b in (-128, 127)])
    reached = (inputs - zero_point) @ weights.T.astype(np.int64) + bias
    np.testing.assert_array_equal(found.low, reached.min(axis=0))
    np.testing.assert_array_equal(found.high, reached.max(axis=0))
    np.testing.assert_array_equal(found.bias, bias - zero_point * weights.astype(np.int64).sum(axis=1))
