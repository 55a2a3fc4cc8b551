"""A verification and its views."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from report_samples import HOSTILE, sample

from pipeline.errors import DeviceError, GateError, NoBoardError
from pipeline.report import matrix_views
from pipeline.report.matrix import DeviceResult, Problem, Verification


def _result(name: str, **changes: Any) -> DeviceResult:
    values: dict[str, Any] = {
        "device": name,
        "board": "nucleo_f746zg",
        "target": "emulated",
        "run": name,
        "seconds": 1.5,
    }
    return DeviceResult(**values | {"report": sample()} | changes)


def _lost(name: str, error: DeviceError | NoBoardError) -> DeviceResult:
    return _result(name, report=None, problem=Problem.model_validate(error.as_dict()))


def _verification(*devices: DeviceResult, notes: tuple[str, ...] = ()) -> Verification:
    return Verification(created="2026-01-01T00:00:00+00:00", name="m", model="ab", devices=devices, notes=notes)


HELD = NoBoardError("device-held", "rack-3 is held", why="By pid 7.", next="Wait.")
MIXED = _verification(
    _result("good"),
    _result("bad", report=sample(passed=False)),
    _lost("gone", DeviceError("no-answer", "it is silent")),
)


def test_a_verification_passes_when_every_device_does() -> None:
    good = _verification(_result("a"), _result("b"))
    assert (good.passed, good.error) == (True, None)
    assert not _verification().passed, "nothing was verified"
    assert not MIXED.passed
    assert [one.outcome for one in MIXED.devices] == ["PASS", "FAIL", "no-answer"]


def test_a_failed_gate_counts_more_than_a_device_that_is_not_there() -> None:
    error = MIXED.error
    assert isinstance(error, GateError)
    assert "bad: RAM estimate" in error.what
    assert "gone" in error.why
    gone = _verification(_result("a"), _lost("b", HELD), _lost("c", DeviceError("no-answer", "silent"))).error
    assert isinstance(gone, NoBoardError)
    assert gone.id == "device-held"
    assert "c [no-answer]" in gone.why


def test_a_regression_fails_a_device_whose_gate_holds() -> None:
    report = sample()
    check = report.verdict.checks[0].model_copy(update={"id": "regression-ram", "passed": False})
    found = _verification(_result("a", regressions=(check,)))
    assert report.passed
    assert isinstance(found.error, GateError)
    suite = ET.fromstring(matrix_views.junit(found))  # noqa: S314 - our own text
    assert suite.find("testcase[@name='regression-ram']/failure") is not None


def test_junit_has_a_class_a_device_and_a_case_a_check() -> None:
    suite = ET.fromstring(matrix_views.junit(MIXED))  # noqa: S314 - our own text
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "1", "1")
    cases = [(case.get("classname"), case.get("name")) for case in suite.iter("testcase")]
    assert cases == [("good", "model"), ("good", "ram"), ("bad", "model"), ("bad", "ram"), ("gone", "verified")]
    error = suite.find("testcase[@classname='gone']/error")
    assert error is not None
    assert error.get("type") == "no-answer"


def test_every_device_has_a_column_however_many_there_are() -> None:
    names = [f"device-{number}" for number in range(6)]
    text = matrix_views.terminal_text(_verification(*map(_result, names)), width=120)
    assert all(name in text for name in names)
    assert "6 of 6 devices" in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("view", [matrix_views.terminal_text, matrix_views.junit, matrix_views.markdown])
def test_hostile_text_is_shown_as_text(view: Any) -> None:
    device = _result(HOSTILE, report=sample(passed=False, note=HOSTILE))
    text = view(_verification(device, _lost(HOSTILE, DeviceError("no-answer", HOSTILE)), notes=(HOSTILE,)))
    assert "\x1b[2J" not in text
    assert "\x00" not in text
    assert "\u202e" not in text
    if view is matrix_views.junit:
        assert len(list(ET.fromstring(text).iter("testcase"))) == 3  # noqa: S314 - our own text
    if view is matrix_views.markdown:
        assert "</script>" not in text
        assert len(text.splitlines()) == 3 + 1 + 2 + 1 + 1 + 3, "a line feed in a name makes no line"


def test_workflow_commands_hold_one_line_each() -> None:
    commands = list(
        matrix_views.workflow_commands(
            _verification(_lost("a,b:c%0A\n", DeviceError("no-answer", "100 % gone\n::set-output")), notes=("note",))
        )
    )
    assert commands == [
        "::error title=a%2Cb%3Ac%250A? (nucleo_f746zg)::100 %25 gone?::set-output [no-answer]",
        "::notice::note",
    ]
