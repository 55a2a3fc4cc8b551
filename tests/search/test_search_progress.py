"""How long a search still takes, as it says itself."""

from __future__ import annotations

from pipeline.device.deadline import ManualClock
from pipeline.search.progress import Budget


def test_the_time_left_is_told_from_the_usual_evaluation_not_from_those_that_trained() -> None:
    budget = Budget(24, None)
    assert budget.left(2, [100.0, 2.0]) is None
    assert budget.left(4, [100.0, 2.0, 3.0, 2.0]) == 20 * 2.5
    assert budget.left(4, [100.0, 2.0, 3.0, 2.0], workers=2) == 20 * 2.5 / 2
    assert budget.left(30, [1.0, 1.0, 1.0]) == 0


def test_a_time_budget_bounds_it_and_counts_what_earlier_processes_spent() -> None:
    clock = ManualClock()
    budget = Budget(None, 60.0, spent=10.0, clock=clock)
    clock.advance(20.0)
    assert budget.left(0, []) == 30
    assert budget.time_is_left
    assert Budget(24, 60.0, clock=clock).left(4, [1.0, 1.0, 1.0]) == 20
    clock.advance(40.0)
    assert budget.left(0, []) == 0
    assert not budget.time_is_left
