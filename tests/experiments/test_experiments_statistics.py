"""Statistics: known answers, coverage of the intervals, and properties of the hypervolume."""

from __future__ import annotations

import doctest
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.experiments import statistics
from pipeline.experiments.statistics import Interval

Point = tuple[float, float, float]
UNIT = st.tuples(*[st.integers(0, 12).map(lambda number: number / 10)] * 3)


def test_the_examples_hold() -> None:
    assert doctest.testmod(statistics).failed == 0


def test_one_run_has_no_interval_and_a_constant_has_one_of_no_width() -> None:
    assert statistics.mean([0.5]) == Interval(0.5, None, None)
    assert statistics.mean([0.25] * 5) == Interval(0.25, 0.25, 0.25)
    nothing = Interval(1.0, None, None)
    assert not nothing.above_zero
    assert not nothing.below_zero
    assert Interval(1.0, 0.5, 2.0).above_zero
    assert Interval(-1.0, -2.0, -0.5).below_zero


def test_the_mean_of_many_runs_has_the_interval_of_theory() -> None:
    values = np.random.default_rng(1).normal(3, 2, 400)
    found = statistics.mean(list(values))
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(found.value - half, abs=0.03)
    assert found.high == pytest.approx(found.value + half, abs=0.03)


def test_images_of_a_group_count_as_one() -> None:
    """Twenty groups of fifty equal answers are known no better than twenty answers."""
    answers = np.arange(20) % 2 == 0
    alone = statistics.accuracy(answers, np.arange(20))
    grouped = statistics.accuracy(np.repeat(answers, 50), np.repeat(np.arange(20), 50))
    apart = statistics.accuracy(np.repeat(answers, 50), np.arange(1000))
    assert grouped == alone
    assert _width(apart) < _width(grouped) / 5


def test_pairing_takes_out_what_both_share() -> None:
    rng = np.random.default_rng(2)
    hard = rng.random(600) < 0.4
    one, other = ~hard | (rng.random(600) < 0.05), ~hard
    groups = np.arange(600) // 2
    paired = statistics.difference(one, other, groups)
    assert paired.value == pytest.approx(one.mean() - other.mean())
    assert paired.above_zero
    assert _width(paired) < _width(statistics.accuracy(one, groups)) / 2


def test_seeds_that_disagree_widen_the_interval() -> None:
    groups = np.arange(200)
    steady = np.tile(groups % 4 < 2, (5, 1))
    shaky = np.stack([groups % 10 < 5 + number for number in range(-2, 3)])
    assert _width(statistics.accuracy(shaky, groups)) > 1.5 * _width(statistics.accuracy(steady, groups))


def test_a_bootstrap_is_the_same_each_time_and_wants_a_group_for_each_image() -> None:
    answers, groups = np.arange(30) % 3 == 0, np.arange(30) // 3
    assert statistics.accuracy(answers, groups) == statistics.accuracy(answers, groups)
    assert statistics.accuracy([[True, False]], [4, 4]) == Interval(0.5, None, None)
    with pytest.raises(ValueError, match="30 images, but the groups of 29"):
        statistics.accuracy(answers, groups[:-1])


@settings(max_examples=40)
@given(st.lists(UNIT, max_size=6))
def test_hypervolume_is_the_share_of_cells_that_are_dominated(points: list[Point]) -> None:
    cells = itertools.product(range(10), repeat=3)
    inside = sum(
        any(all(value <= cell / 10 + 1e-9 for value, cell in zip(point, place, strict=True)) for point in points)
        for place in cells
    )
    assert statistics.hypervolume(points, (1.0, 1.0, 1.0)) == pytest.approx(inside / 1000)


def _width(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low
