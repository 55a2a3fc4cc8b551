"""The factors that the host prepares, at the places where TensorFlow Lite's definitions have their corners."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.firmware import fixed_point
from pipeline.graph.model import Activation


@given(st.floats(2.0**-30, 2.0**30))
def test_a_multiplier_is_the_nearest_one(factor: float) -> None:
    multiplier, shift = fixed_point.quantize_multiplier(factor)
    assert 2**30 <= multiplier < 2**31
    unit = Fraction(2) ** (shift - 31)
    assert abs(multiplier * unit - Fraction(factor)) <= unit / 2


@pytest.mark.parametrize(
    ("factor", "wanted"),
    [
        (0.0, (0, 0)),
        (1.0, (2**30, 1)),
        (0.5, (2**30, 0)),
        (2.0**-32, (2**30, -31)),
        (2.0**-33, (0, 0)),
        (1.0 - 2.0**-40, (2**30, 1)),  # rounds up to the next power of two
        (0.5 + 2.0**-32, (2**30 + 1, 0)),  # a tie goes away from zero
        (math.nextafter(0.5 + 2.0**-32, 0), (2**30, 0)),
    ],
)
def test_multipliers_at_the_corners(factor: float, wanted: tuple[int, int]) -> None:
    assert fixed_point.quantize_multiplier(factor) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.5, 1), (-0.5, -1), (1.5, 2), (2.5, 3), (-2.5, -3), (0.49999999999999994, 0), (-0.49999999999999994, 0), (7, 7)],
)
def test_ties_round_away_from_zero(value: float, wanted: int) -> None:
    assert fixed_point.round_half_away(value) == wanted


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "wanted"),
    [
        (Activation.NONE, 0.1, 7, (-128, 127)),
        (Activation.RELU, 0.1, 7, (7, 127)),
        (Activation.RELU6, 0.1, 7, (7, 67)),
        (Activation.RELU6, 6 / 255, -128, (-128, 127)),
        (Activation.RELU6, 4.0, 0, (0, 2)),  # 1.5 is a tie
        (Activation.RELU6, 1e-30, -128, (-128, 127)),
        (Activation.RELU6, 100.0, 127, (127, 127)),
    ],
)
def test_activations_bound_the_output(
    activation: Activation, scale: float, zero_point: int, wanted: tuple[int, int]
) -> None:
    assert fixed_point.activation_range(activation, scale, zero_point) == wanted


@given(st.floats(2.0**-10, 2.0**10), st.integers(1, 50_000))
def test_a_mean_divides_the_multiplier_and_keeps_its_bits(factor: float, count: int) -> None:
    multiplier, shift = fixed_point.mean_multiplier(factor, count)
    assert 0 < multiplier < 2**31
    exact = Fraction(factor) / count
    assert abs(multiplier * Fraction(2) ** (shift - 31) / exact - 1) < Fraction(1, 2**28)


def test_the_mean_s_quotient_is_cut_not_rounded() -> None:
    # 2^30 · 2^1 / 3 = 715827882.67
    assert fixed_point.mean_multiplier(1.0, 3) == (715_827_882, 0)


def test_softmax_scaling_is_capped() -> None:
    assert fixed_point.softmax_scaling(1.0, 0.5) == (2**30, 26, -31)
    assert fixed_point.softmax_scaling(1.0, 1e9)[:2] == (2**31 - 1, 31)
