"""Views of a Verification: terminal, JUnit, Markdown, annotations for CI. All escape what comes from outside."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from pipeline.errors import printable
from pipeline.report import terminal
from pipeline.report.junit import case, document, error_case
from pipeline.report.matrix import DeviceResult, Verification
from pipeline.validate import Check

#: Devices beside each other in one table.
_COLUMNS = 4
_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#|~"})


def terminal_text(verification: Verification, *, colour: bool = False, width: int = 110) -> str:
    """A row a check, a column a device; then what failed, with its figures."""
    parts: list[Table | Text] = []
    for first in range(0, len(verification.devices), _COLUMNS):
        devices = verification.devices[first : first + _COLUMNS]
        table = Table(title_justify="left")
        table.add_column("Check")
        for one in devices:
            table.add_column(Text(f"{printable(one.device, 40)}\n{printable(one.board, 40)}, {one.target}"))
        for id_, title in _rows(devices):
            table.add_row(Text(printable(title)), *(_cell(one, id_) for one in devices))
        table.add_section()
        table.add_row("Seconds", *(f"{one.seconds:.1f}" for one in devices))
        table.add_row(Text("Outcome", style="bold"), *(_outcome(one) for one in devices))
        parts.append(table)
    for one in verification.devices:
        parts += [Text(f"{printable(one.device, 60)}: {_told(check)}", style="red") for check in one.failed]
        if one.problem is not None:
            why = " ".join(part for part in (one.problem.why, one.problem.next) if part)
            parts.append(Text(f"{printable(one.device, 60)}: {_problem(one)} {printable(why, 400)}", style="red"))
    parts += [Text(f"Note: {printable(note, 400)}", style="yellow") for note in verification.notes]
    count = sum(one.passed for one in verification.devices)
    text = f"Verdict: {'PASS' if verification.passed else 'FAIL'} ({count} of {len(verification.devices)} devices)"
    parts.append(Text(text, style="bold green" if verification.passed else "bold red"))
    return terminal.rendered(*parts, colour=colour, width=width)


def junit(verification: Verification) -> str:
    """One suite; the class of a case is its device, the case a check. A device without a report is one error."""
    failures = sum(len(one.failed) for one in verification.devices)
    problems = [one for one in verification.devices if one.problem is not None]
    cases = sum(len(one.checks) for one in verification.devices) + len(problems)
    suite = ET.Element(
        "testsuite",
        name=printable(f"danas-deploy.{verification.name}"),
        tests=str(cases),
        failures=str(failures),
        errors=str(len(problems)),
        time=f"{sum(one.seconds for one in verification.devices):.1f}",
        timestamp=printable(verification.created),
    )
    properties = ET.SubElement(suite, "properties")
    notes = {f"note.{number}": note for number, note in enumerate(verification.notes)}
    for name, value in ({"model": verification.model} | notes).items():
        ET.SubElement(properties, "property", name=name, value=printable(value, 1000))
    for one in verification.devices:
        for check in one.checks:
            case(suite, printable(one.device), check)
        if one.problem is not None:
            error_case(suite, printable(one.device), one.problem.id, _problem(one))
    return document(suite)


def markdown(verification: Verification) -> str:
    """For the summary of a CI job: the matrix, and what failed."""
    devices = verification.devices
    lines = [
        f"### {_safe(verification.name)}: {'PASS' if verification.passed else 'FAIL'}",
        "",
        "| check | " + " | ".join(f"{_safe(one.device)} ({_safe(one.board)}, {one.target})" for one in devices) + " |",
        "|---|" + "---|" * len(devices),
    ]
    for id_, title in _rows(devices):
        cells = [_cell(one, id_).plain for one in devices]
        lines.append(f"| {_safe(title)} | " + " | ".join(_safe(cell) for cell in cells) + " |")
    lines.append("| **outcome** | " + " | ".join(f"**{_safe(one.outcome)}**" for one in devices) + " |")
    told = [f"- {_safe(one.device)}: {_safe(text)}" for one in devices for text in _complaints(one)]
    told += [f"- {_safe(note)}" for note in verification.notes]
    return "\n".join([*lines, *(["", *told] if told else [])]) + "\n"


def workflow_commands(verification: Verification) -> Iterator[str]:
    """Workflow commands of GitHub Actions, a line each: what failed, on which device.

    Source: GitHub's documentation, workflow commands; a message's ``%``, CR and LF are escaped, in a property ``:``
    and ``,`` as well.
    """
    for one in verification.devices:
        for text in _complaints(one):
            title = f"{printable(one.device, 60)} ({printable(one.board, 60)})"
            yield f"::error title={_property(title)}::{_message(printable(text, 1000))}"
    for note in verification.notes:
        yield f"::notice::{_message(printable(note, 1000))}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def _safe(text: object) -> str:
    """Text as it is, in a cell of a Markdown table."""
    return printable(text, 400).translate(_MARKDOWN)


def _rows(devices: tuple[DeviceResult, ...]) -> list[tuple[str, str]]:
    """Ids and titles of all checks, in the order in which they first come."""
    found: dict[str, str] = {}
    for one in devices:
        for check in one.checks:
            found.setdefault(check.id, check.title)
    return list(found.items())


def _cell(one: DeviceResult, id_: str) -> Text:
    check = next((check for check in one.checks if check.id == id_), None)
    if check is None:
        return Text("–")
    value = f"{check.measured:,}" if isinstance(check.measured, int) else printable(check.measured, 24)
    shown = f"{value} {check.unit}".strip()
    return Text(shown) if check.passed else Text(f"FAIL {shown}", style="bold red")


def _outcome(one: DeviceResult) -> Text:
    return Text(printable(one.outcome, 40), style="bold green" if one.passed else "bold red")


def _told(check: Check) -> str:
    return printable(
        f"{check.title}: expected {check.expected} {check.unit} ({check.expected_source}, {check.tolerance}), "
        f"found {check.measured} {check.unit} ({check.measured_source}). {check.detail}",
        600,
    )


def _problem(one: DeviceResult) -> str:
    return printable(f"{one.problem.what} [{one.problem.id}]", 400) if one.problem is not None else ""


def _complaints(one: DeviceResult) -> list[str]:
    return [_told(check) for check in one.failed] + ([_problem(one)] if one.problem is not None else [])
