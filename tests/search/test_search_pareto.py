"""Dominance, fronts, crowding and compromise, against their definitions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.search.pareto import Point, crowding, distances, dominates, ranks

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25)


@given(POINTS)
def test_fronts_peel_off_what_nobody_dominates(points: list[Point]) -> None:
    found = ranks(points)
    for point, rank in zip(points, found, strict=True):
        beaters = [other for one, other in zip(points, found, strict=True) if dominates(one, point)]
        assert all(other < rank for other in beaters)
        # Somebody of the front before is the reason for not being in it.
        assert rank == 0 or rank - 1 in beaters


@given(POINTS, st.randoms(use_true_random=False))
def test_fronts_do_not_depend_on_order(points: list[Point], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = points[:]
    random.shuffle(shuffled)
    assert dict(zip(points, ranks(points), strict=True)) == dict(zip(shuffled, ranks(shuffled), strict=True))


@given(POINTS)
def test_dominance_is_a_strict_order(points: list[Point]) -> None:
    for one in points:
        assert not dominates(one, one)
        for other in points:
            assert not (dominates(one, other) and dominates(other, one))


def test_the_ends_of_a_front_are_never_crowded_out() -> None:
    found = crowding([(0.0, 10.0), (1.0, 9.0), (9.0, 1.0), (10.0, 0.0), (5.0, 5.0)])
    assert found[0] == found[3] == math.inf
    # By hand: the neighbours of (5, 5) are 8 apart on each axis of length 10, those of (1, 9) 5.
    assert found[4] == pytest.approx(1.6)
    assert found[1] == found[2] == pytest.approx(1.0)


def test_an_objective_that_all_share_tells_nobody_apart() -> None:
    assert crowding([(1.0, 0.0), (1.0, 1.0), (1.0, 2.0)])[1] == pytest.approx(1.0)
    assert distances([(1.0, 0.0), (1.0, 2.0)], [(1.0, 0.0), (1.0, 2.0)]) == [0.0, 1.0]


def test_nothing_is_no_problem() -> None:
    assert ranks([]) == crowding([]) == distances([], [(1.0,)]) == []


def test_the_compromise_is_near_the_ideal() -> None:
    front = [(0.0, 10.0), (2.0, 3.0), (10.0, 0.0)]
    found = distances(front, front)
    assert min(found) == found[1]
    assert found[0] == found[2] == pytest.approx(1.0)
    # Better than the ideal is no farther than the ideal.
    assert distances([(-5.0, 0.0)], front) == [0.0]
