"""Scores and fitness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.estimate.model import Estimate, Item, Limits
from pipeline.search.fitness import Fitness, Scores, scores


def _estimate(ram: int, flash: int) -> Estimate:
    return Estimate(ram=(Item(name="a", bytes=ram),), flash=(Item(name="b", bytes=flash),), stack_reserve=0, macs=1)


def test_precision_and_recall_are_per_class() -> None:
    # Class 0: 3 of 4 found, 3 of 5 claims right. Class 1: 4 of 6 found, 4 of 5 claims right.
    labels = np.array([0] * 4 + [1] * 6)
    predicted = np.array([0, 0, 0, 1, 0, 0, 1, 1, 1, 1])
    found = scores(predicted, labels, 2)
    assert found.accuracy == pytest.approx(0.7)
    assert found.precision == pytest.approx((3 / 5 + 4 / 5) / 2)
    assert found.recall == pytest.approx((3 / 4 + 4 / 6) / 2)


def test_a_class_never_predicted_has_no_precision() -> None:
    found = scores(np.zeros(10, np.int64), np.array([0] * 9 + [1]), 2)
    assert found == Scores(accuracy=0.9, precision=0.45, recall=0.5)


def test_a_class_without_images_does_not_count() -> None:
    assert scores(np.array([0, 1]), np.array([0, 1]), 3) == Scores(1.0, 1.0, 1.0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_scores_are_fractions(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = (np.array(column) for column in zip(*pairs, strict=True))
    found = scores(predicted, labels, 4)
    assert all(0 <= value <= 1 for value in (found.accuracy, found.precision, found.recall))


def test_fitness_is_the_published_sum() -> None:
    limits = Limits(ram_bytes=100, flash_bytes=200)
    scored = Scores(0.8, 0.7, 0.6)
    assert Fitness()(scored, _estimate(100, 200), limits) == pytest.approx(0.8 + 0.7 + 0.6 + 2)
    assert Fitness()(scored, _estimate(150, 210), limits) == pytest.approx(0.8 + 0.7 + 0.6 + 0.5 + 0.95)
    assert Fitness(precision=0, recall=0, ram=0, flash=0)(scored, _estimate(900, 900), limits) == pytest.approx(0.8)
