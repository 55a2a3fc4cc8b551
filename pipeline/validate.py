"""The gate: estimate against measurement, device against host, check by check."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.errors import GateError
from pipeline.figures import Source

RAM_TOLERANCE = 0.02
FLASH_TOLERANCE = 0.03
#: The painted stack may miss the last words stored, where these happen to equal the paint.
STACK_TOLERANCE_BYTES = 16


class Check(BaseModel):
    """One comparison: what was expected, what was found, how far apart they may be, and where each comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    passed: bool
    expected: int | float | str
    expected_source: Source
    measured: int | float | str
    measured_source: Source
    tolerance: str
    unit: str = ""
    detail: str = ""


class Verdict(BaseModel):
    """The conjunction of the checks. ``notes`` say what limits it, such as fewer images than asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True when there are checks and every one of them holds."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.passed)

    def raise_if_failed(self) -> None:
        """Turn a failed gate into its error.

        Raises:
            GateError: ``gate-failed``, exit code 7, naming the checks.
        """
        if not self.passed:
            raise GateError(
                "gate-failed",
                "FAIL: " + ("; ".join(f"{check.title}: {_shown(check)}" for check in self.failed) or "no checks ran"),
                why=f"{len(self.failed)} of {len(self.checks)} checks do not hold.",
                next="The report shows each figure with its source; `danas-deploy report RUN` prints it again.",
            )


def _shown(check: Check) -> str:
    unit = f" {check.unit}" if check.unit else ""
    return f"expected {check.expected}{unit} ({check.tolerance}), found {check.measured}{unit}"


def equal(
    id: str,  # noqa: A002
    title: str,
    expected: tuple[int | str, Source],
    measured: tuple[int | str, Source],
    *,
    unit: str = "",
    detail: str = "",
) -> Check:
    """Both sides are the same."""
    return Check(
        id=id,
        title=title,
        passed=expected[0] == measured[0],
        expected=expected[0],
        expected_source=expected[1],
        measured=measured[0],
        measured_source=measured[1],
        tolerance="equal",
        unit=unit,
        detail=detail,
    )


def at_most(
    id: str,  # noqa: A002
    title: str,
    limit: tuple[int, Source],
    measured: tuple[int, Source],
    *,
    unit: str = "B",
    detail: str = "",
) -> Check:
    """The figure is within a limit."""
    return Check(
        id=id,
        title=title,
        passed=measured[0] <= limit[0],
        expected=limit[0],
        expected_source=limit[1],
        measured=measured[0],
        measured_source=measured[1],
        tolerance="at most",
        unit=unit,
        detail=detail,
    )


def covers(
    id: str,  # noqa: A002
    title: str,
    estimate: tuple[int, Source],
    measured: tuple[int, Source],
    *,
    tolerance: float,
    detail: str = "",
) -> Check:
    """The estimate is never under the measurement, and over it by no more than the tolerance."""
    return Check(
        id=id,
        title=title,
        passed=measured[0] <= estimate[0] <= measured[0] * (1 + tolerance),
        expected=estimate[0],
        expected_source=estimate[1],
        measured=measured[0],
        measured_source=measured[1],
        tolerance=f"0 to +{tolerance:.0%}",
        unit="B",
        detail=detail or _difference(estimate[0], measured[0]),
    )


def within(
    id: str,  # noqa: A002
    title: str,
    estimate: tuple[int, Source],
    measured: tuple[int, Source],
    *,
    tolerance: float,
    detail: str = "",
) -> Check:
    """The estimate is within the tolerance of the measurement, on either side."""
    return Check(
        id=id,
        title=title,
        passed=abs(estimate[0] - measured[0]) <= tolerance * measured[0],
        expected=estimate[0],
        expected_source=estimate[1],
        measured=measured[0],
        measured_source=measured[1],
        tolerance=f"±{tolerance:.0%}",
        unit="B",
        detail=detail or _difference(estimate[0], measured[0]),
    )


def _difference(estimate: int, measured: int) -> str:
    if not measured:
        return "nothing was measured"
    return f"estimate {100 * (estimate - measured) / measured:+.2f} % of the measurement"
