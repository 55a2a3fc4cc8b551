"""A Verification: one model on many devices, the report of each, and what became worse since a baseline."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.errors import DanasError, GateError, rebuilt
from pipeline.report.model import Report
from pipeline.validate import Check


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(_Frozen):
    """Why there is no report of a device: an error by its parts."""

    id: str
    what: str
    why: str = ""
    next: str = ""
    exit_code: int


class DeviceResult(_Frozen):
    """What came of one device.

    Attributes:
        device: As the user names it; unique in a verification.
        board: Its type.
        target: Never mixed: what an emulated board says is no measurement.
        run: The device's run directory, inside the verification's folder.
        seconds: From its start to its end, waiting for the device included.
        report: None where there is a ``problem``.
        problem: None where there is a report.
        regressions: Against the baseline, a check a figure that has a limit.
    """

    device: str
    board: str
    target: Literal["emulated", "device"]
    run: str
    seconds: float
    report: Report | None = None
    problem: Problem | None = None
    regressions: tuple[Check, ...] = ()

    @property
    def checks(self) -> tuple[Check, ...]:
        """The gate's checks, and those against the baseline."""
        return (*(self.report.verdict.checks if self.report is not None else ()), *self.regressions)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def passed(self) -> bool:
        """There is a report, its gate holds, and nothing became worse than it may."""
        return self.report is not None and self.report.passed and not self.failed

    @property
    def outcome(self) -> str:
        """One word: PASS, FAIL, or the id of the error."""
        if self.problem is not None:
            return self.problem.id
        return "PASS" if self.passed else "FAIL"


class Verification(_Frozen):
    """All devices, in the order in which they were named; ``notes`` say what could not be compared."""

    schema_version: Literal[1] = 1
    created: str
    name: str
    model: str
    devices: tuple[DeviceResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Every device passed, and there was one."""
        return bool(self.devices) and all(one.passed for one in self.devices)

    @property
    def error(self) -> DanasError | None:
        """The error that the command ends with: a failed gate before anything else, then the first problem."""
        failed = [one for one in self.devices if one.problem is None and not one.passed]
        problems = [(one, one.problem) for one in self.devices if one.problem is not None]
        if failed:
            named = "; ".join(
                f"{one.device}: {', '.join(check.title for check in one.failed) or 'no checks ran'}" for one in failed
            )
            return GateError(
                "gate-failed",
                f"FAIL on {len(failed)} of {len(self.devices)} devices: {named}",
                why="; ".join(f"{one.device} could not be verified [{one.outcome}]" for one, _ in problems),
                next="The matrix shows each check; each device's run directory has its whole report.",
            )
        if problems:
            (first, problem), *others = problems
            error = rebuilt(problem.model_dump())
            error.what = f"{first.device}: {error.what}"
            if others:
                named = ", ".join(f"{one.device} [{one.outcome}]" for one, _ in others)
                error.why = f"{error.why} {len(others)} more: {named}.".strip()
            return error
        return None
