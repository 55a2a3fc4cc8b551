"""What became worse since an earlier report, and by how much it may.

Only like is compared with like: the same board type, and figures of an emulated board with figures of an emulated one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pipeline.errors import UsageError, printable
from pipeline.figures import Figure
from pipeline.report.matrix import Verification
from pipeline.report.model import Line, Report
from pipeline.validate import Check

#: What may be limited: found RAM, linked flash, and what an inference executes (instructions on an emulated board).
METRICS = ("ram", "flash", "cycles")
_LIMIT = re.compile(r"^\s*([a-z]+)\s*=\s*(\d{1,12}(?:\.\d{1,6})?)\s*(%)?\s*$")
_ITEMS = 3  # that have grown are named
_LARGEST = 64 * 2**20


@dataclass(frozen=True)
class Allowance:
    """How much a figure may grow: ``amount`` of its own unit, or per cent of the baseline where ``relative``."""

    amount: float
    relative: bool

    def most(self, baseline: float) -> float:
        """The largest value that is still allowed."""
        return baseline * (1 + self.amount / 100) if self.relative else baseline + self.amount

    def __str__(self) -> str:
        return f"at most +{self.amount:g}{' %' if self.relative else ''}"


#: Nothing may grow.
STRICT: Mapping[str, Allowance] = {name: Allowance(0.0, relative=False) for name in METRICS}


def parse_allowances(text: str) -> dict[str, Allowance]:
    """``ram=0,flash=1%,cycles=2%``: limits for those that are named, none for the others.

    Raises:
        UsageError: ``bad-regression-limit``.
    """
    found: dict[str, Allowance] = {}
    for part in text.split(","):
        match = _LIMIT.match(part)
        if match is None or match[1] not in METRICS or match[1] in found:
            raise UsageError(
                "bad-regression-limit",
                f"--max-regression {printable(text)}: {printable(part) or 'nothing'} is no limit",
                why=f"Each of {', '.join(METRICS)} may be named once, with bytes, a count or per cent.",
                next="Write for example ram=0,flash=1%,cycles=2%.",
            )
        found[match[1]] = Allowance(float(match[2]), relative=match[3] is not None)
    return found


@dataclass(frozen=True)
class Baseline:
    """Earlier reports by what they are of.

    Attributes:
        devices: By the device's name, of a verification.
        reports: All of them; a report of one run has no device's name.
    """

    devices: Mapping[str, Report]
    reports: tuple[Report, ...]

    def of(self, device: str, board: str, target: str) -> tuple[Report | None, str]:
        """The report to compare a device with; None and the reason where there is none."""
        named = self.devices.get(device)
        if named is not None:
            if (named.board, named.target) == (board, target):
                return named, ""
            return None, f"the baseline's {printable(device, 60)} is a {printable(named.board, 60)} ({named.target})"
        alike = [one for one in self.reports if (one.board, one.target) == (board, target)]
        if len(alike) == 1:
            return alike[0], ""
        kind = f"{board} ({target})"
        return None, f"the baseline has no {kind}" if not alike else f"the baseline has {len(alike)} of {kind}"

    def demand(self, wanted: Iterable[tuple[str, str, str]]) -> None:
        """Refuse a baseline that knows none of the devices (name, board, target), before any work is done.

        Raises:
            UsageError: ``baseline-of-others``.
        """
        reasons = []
        for device, board, target in wanted:
            before, reason = self.of(device, board, target)
            if before is not None:
                return
            reasons.append(f"{printable(device, 60)}: {reason}")
        raise UsageError(
            "baseline-of-others",
            "nothing could be compared with the baseline",
            why="; ".join(reasons[:3]),
            next="Give a baseline of the same board type, emulated or not as the devices here.",
        )


def read(path: Path) -> Baseline:
    """The report of a run (``report.json``), or of a verification (``verification.json``).

    Raises:
        UsageError: ``bad-baseline``.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        content = path.read_bytes()
        try:
            verification = Verification.model_validate_json(content)
        except ValidationError:
            return Baseline({}, (Report.model_validate_json(content),))
    except (OSError, ValueError) as error:
        raise UsageError(
            "bad-baseline",
            f"{printable(path, 4096)} is no report to compare with",
            why=_reason(error),
            next="Give the report.json of a run, or the verification.json of `danas-deploy verify`.",
        ) from error
    found = {one.device: one.report for one in verification.devices if one.report is not None}
    return Baseline(found, tuple(found.values()))


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return printable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": "))
    return printable(error)


def regressions(now: Report, before: Report, allowances: Mapping[str, Allowance]) -> tuple[Check, ...]:
    """A check a limited figure that both reports have; its detail names the items that have grown most."""
    found = []
    for name, allowance in allowances.items():
        mine, theirs = _figure(now, name), _figure(before, name)
        if mine is None or theirs is None or mine.value is None or theirs.value is None or mine.unit != theirs.unit:
            continue
        items = {"ram": (now.ram, before.ram), "flash": (now.flash, before.flash)}.get(name, ((), ()))
        grown = _grown(*items)
        found.append(
            Check(
                id=f"regression-{name}",
                title=f"{'RAM' if name == 'ram' else name.capitalize()} against the baseline",
                passed=mine.value <= allowance.most(theirs.value),
                expected=theirs.value,
                expected_source=theirs.source,
                measured=mine.value,
                measured_source=mine.source,
                tolerance=str(allowance),
                unit="B" if mine.unit == "B" else "",
                detail=f"{mine.value - theirs.value:+,} {mine.unit}" + (f": {grown}" if grown else ""),
            )
        )
    return tuple(found)


def _figure(report: Report, metric: str) -> Figure | None:
    if metric == "cycles":
        return report.timing.get("an inference (median)")
    lines = report.ram if metric == "ram" else report.flash
    return next((line.found for line in lines if line.name == "total"), None)


def _grown(now: Sequence[Line], before: Sequence[Line]) -> str:
    """The items that have grown, the most first."""
    old = {line.name: line.found.value or 0 for line in before}
    apart = [(line.name, (line.found.value or 0) - old.get(line.name, 0)) for line in now if line.name != "total"]
    largest = sorted((one for one in apart if one[1] > 0), key=lambda one: (-one[1], one[0]))[:_ITEMS]
    return ", ".join(f"{printable(name, 40)} +{size:,}" for name, size in largest)


def compared(verification: Verification, baseline: Baseline, allowances: Mapping[str, Allowance]) -> Verification:
    """The verification with a check a limited figure of each device that the baseline knows."""
    devices, notes = [], []
    for one in verification.devices:
        before, reason = baseline.of(one.device, one.board, one.target)
        if one.report is None or before is None:
            if one.report is not None:
                notes.append(f"{one.device} was not compared: {reason}")
            devices.append(one)
            continue
        found = regressions(one.report, before, allowances)
        missing = [name for name in allowances if f"regression-{name}" not in {check.id for check in found}]
        if missing:
            notes.append(f"{one.device}: there is no figure on both sides for {', '.join(missing)}")
        devices.append(one.model_copy(update={"regressions": found}))
    return verification.model_copy(update={"devices": tuple(devices), "notes": (*verification.notes, *notes)})
