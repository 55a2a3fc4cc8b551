"""Short forms of benchmarks/soak.py: over a bad cable a measurement is right, or ends with a clean error in time."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.device import checked
from pipeline.device.faults import Faults

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def soak() -> Iterator[Any]:
    """benchmarks/soak.py as a module."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("soak")
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_every_measurement_is_right_or_a_clean_error(soak: Any) -> None:
    tally = soak.soak_fake("all", 40, Faults.of_each(0.01))
    assert tally.failed == []
    assert tally.right + sum(tally.errors.values()) == tally.measurements == 40
    assert tally.right > 5
    assert set(tally.errors) <= {"link-closed", "no-answer", "garbled-line", "device-restarted", "load-failed"}


def test_most_of_what_can_be_survived_is_survived(soak: Any) -> None:
    faults = Faults(drop=0.01, duplicate=0.01, corrupt=0.01, delay=0.01, truncate=0.01, reset=0.01, log=0.01)
    tally = soak.soak_fake("survivable", 40, faults, seed=100)
    assert tally.failed == []
    assert tally.right >= 32
    assert tally.repeated >= tally.restarts > 0


@given(st.integers(0, 2**20), st.floats(0, 0.2))
def test_no_figure_is_ever_wrong(soak: Any, seed: int, probability: float) -> None:
    assert soak.soak_fake("any", 2, Faults.of_each(probability), inputs=1, seed=seed).failed == []


def test_the_soak_finds_replies_that_are_not_checked(soak: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Anything(int):
        def __ne__(self, _: object) -> bool:
            return False

        __hash__ = int.__hash__

    monkeypatch.setattr(checked, "reply_sum", lambda *_: Anything())
    tally = soak.soak_fake("unchecked", 60, Faults(corrupt=0.1), inputs=1)
    assert tally.wrong
    assert " instead of " in tally.wrong[0]


def test_the_cable_is_pulled_at_any_moment(soak: Any) -> None:
    tally = soak.pull_fake("pulled", 12)
    assert tally.failed == []
    assert set(tally.errors) <= {"link-closed"}
    assert tally.right + tally.errors["link-closed"] == 12


def test_the_table(soak: Any) -> None:
    tally = soak.soak_fake("fake", 3, Faults())
    text = soak.table([tally], injected=True)
    assert "| fake | 3 | 3 | none | 0 | 0 | 0 | 0 | 0 |" in text
    assert all(kind in text for kind in ("drop", "log", "reset"))
