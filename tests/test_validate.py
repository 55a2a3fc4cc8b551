"""The gate: each kind of check passes and fails where it should."""

import pytest

from pipeline.errors import GateError
from pipeline.figures import Source
from pipeline.validate import Check, Verdict, at_most, covers, equal, within

A, E = Source.ANALYTIC, Source.EMULATED


@pytest.mark.parametrize(
    ("estimate", "measured", "passed"),
    [
        (10_000, 10_000, True),
        (10_200, 10_000, True),
        (10_201, 10_000, False),
        (9_999, 10_000, False),
        (1_064, 1_000, True),
        (1_065, 1_000, False),
    ],
)
def test_an_estimate_covers_what_is_measured(estimate: int, measured: int, passed: bool) -> None:
    assert covers("ram", "RAM", (estimate, A), (measured, E), tolerance=0.02, tolerance_bytes=64).passed is passed


@pytest.mark.parametrize(("estimate", "passed"), [(970, True), (969, False), (1030, True), (1031, False)])
def test_within_looks_at_both_sides(estimate: int, passed: bool) -> None:
    assert within("flash", "Flash", (estimate, A), (1000, E), tolerance=0.03).passed is passed


def test_limits_and_equality() -> None:
    assert at_most("limit", "Limit", (10, A), (10, E)).passed
    assert not at_most("limit", "Limit", (10, A), (11, E)).passed
    assert equal("hash", "Hash", ("ab", A), ("ab", E)).passed
    assert not equal("hash", "Hash", ("ab", A), ("aB", E)).passed


def _check(passed: bool) -> Check:
    return equal("x", "X", (1, A), (1 if passed else 2, E))


def test_a_verdict_is_the_conjunction() -> None:
    assert Verdict(checks=(_check(True), _check(True))).passed
    assert not Verdict(checks=(_check(True), _check(False))).passed


def test_nothing_checked_is_nothing_passed() -> None:
    assert not Verdict(checks=()).passed
    with pytest.raises(GateError):
        Verdict(checks=()).raise_if_failed()


def test_a_failed_gate_names_its_checks_and_exits_with_7() -> None:
    with pytest.raises(GateError) as caught:
        Verdict(checks=(_check(True), _check(False))).raise_if_failed()
    assert caught.value.id == "gate-failed"
    assert caught.value.exit_code == 7
    assert "expected 1 (equal), found 2" in caught.value.what
    Verdict(checks=(_check(True),)).raise_if_failed()
