"""Views of a Report: JSON first; JUnit for CI, a table for the terminal. All escape what comes from outside."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from typing import Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.errors import printable
from pipeline.figures import Figure
from pipeline.report import terminal
from pipeline.report.junit import case, document
from pipeline.report.model import Line, Report
from pipeline.report.work import modelled_lines


class Reporter(Protocol):
    """Renders a Report as text."""

    file_name: str

    def render(self, report: Report) -> str:
        """The whole document, ending in a line feed."""


class JsonReporter:
    """The report itself."""

    file_name = "report.json"

    def render(self, report: Report) -> str:
        """The whole document, ending in a line feed."""
        return report.model_dump_json(indent=2) + "\n"


class JunitReporter:
    """One test case a check, as CI servers read it."""

    file_name = "junit.xml"

    def render(self, report: Report) -> str:
        """The whole document, ending in a line feed."""
        verdict = report.verdict
        group = f"danas-deploy.{printable(report.board)}"
        suite = ET.Element(
            "testsuite",
            name=group,
            tests=str(len(verdict.checks)),
            failures=str(len(verdict.failed)),
            errors="0",
            timestamp=printable(report.created),
        )
        properties = ET.SubElement(suite, "properties")
        for name, value in (
            ("board", report.board),
            ("target", report.target),
            ("build_id", report.build_id),
            ("model", report.model.sha256),
            *((("test_looks", str(_looks(report))),) if report.test_looks else ()),
            *((f"upload_retry.{number}", reason) for number, reason in enumerate(report.upload_retries)),
            *((f"note.{number}", note) for number, note in enumerate(verdict.notes)),
        ):
            ET.SubElement(properties, "property", name=name, value=printable(value, 1000))
        for check in verdict.checks:
            case(suite, group, check)
        return document(suite)


class TerminalReporter:
    """Tables as a person reads them."""

    file_name = "report.txt"

    def __init__(self, *, colour: bool = False, width: int = 110) -> None:
        self._colour = colour
        self._width = width

    def render(self, report: Report) -> str:
        """The whole document, ending in a line feed."""
        buffer = io.StringIO()
        console = terminal.console(buffer, colour=self._colour, width=self._width)
        where = "emulated board, never measured as time or energy" if report.target == "emulated" else "device"
        console.print(Text(f"{report.board} ({where})", style="bold"))
        if report.search is not None:
            if len(report.search.objectives) > 1:
                console.print(
                    f"Objectives {', '.join(report.search.objectives)}: none beats "
                    + ", ".join(printable(genotype) for genotype in report.search.front)
                )
            limits = ", ".join(f"{name} ≤ {value:,}" for name, value in report.search.limits.items() if value)
            console.print(
                f"Winner {printable(report.search.genotype)} of {report.search.evaluations} evaluations ({limits})"
            )
        console.print(
            f"Model {report.model.sha256[:16]}, input {'×'.join(map(str, report.model.input_shape))}, "
            f"{report.model.operators} operators, {_value(report.model.macs)}, build {printable(report.build_id)}"
        )
        self._finalists(console, report)
        self._accuracy(console, report)
        self._memory(console, "RAM", report.ram)
        self._memory(console, "Flash", report.flash)
        self._checks(console, report)
        for reason in report.upload_retries:
            console.print(f"The upload was tried again: {printable(reason, 400)}")
        for name, figure in report.timing.items():
            console.print(f"{name[:1].upper()}{name[1:]}: {_value(figure)} ({figure.source})")
        self._work(console, report)
        for what, name in report.files.items():
            console.print(f"{printable(what[:1].upper() + what[1:])}: {printable(name)}")
        warnings = report.search.warnings if report.search is not None else ()
        events = report.search.events if report.search is not None else ()
        told = (f"search, after {one.at} candidates: {one.text}: {one.remedy}" for one in events)
        for note in (*warnings, *told, *report.verdict.notes):
            console.print(Text(f"Note: {printable(note, 400)}", style="yellow"))
        style = "bold green" if report.passed else "bold red"
        console.print(Text(f"Verdict: {'PASS' if report.passed else 'FAIL'}", style=style))
        return buffer.getvalue()

    @staticmethod
    def _finalists(console: Console, report: Report) -> None:
        """From inherited weights to int8, each finalist a line; the winner is marked."""
        if report.search is None or not report.search.finalists:
            return
        table = Table("Finalist (validation)", "inherited", "trained", "int8", "trained for int8", title_justify="left")
        for one in report.search.finalists:
            aware = one.qat_accuracy
            table.add_row(
                Text(("* " if one.genotype == report.search.genotype else "  ") + printable(one.genotype)),
                _value(one.inherited_accuracy),
                _value(one.float_accuracy),
                _value(one.ptq_accuracy or one.int8_accuracy),
                "–" if aware is None else Text(_value(aware) if aware.value is not None else printable(aware.reason)),
            )
        console.print(table)

    @staticmethod
    def _accuracy(console: Console, report: Report) -> None:
        if not report.accuracy:
            return
        count = _looks(report)
        table = Table("Accuracy", "", "source", title_justify="left")
        for name, figure in report.accuracy.items():
            table.add_row(Text(printable(name)), _value(figure), str(figure.source))
        console.print(table)
        if count > 1:
            last = next(look for look in report.test_looks if look.number == count)
            console.print(
                Text(
                    f"The test split was looked at {count} times, with another model each time, last on "
                    f"{printable(last.at)} with {printable(', '.join(last.models), 200)}: its accuracies flatter.",
                    style="yellow",
                )
            )

    @staticmethod
    def _memory(console: Console, title: str, lines: tuple[Line, ...]) -> None:
        if not lines:
            return
        first = lines[0]
        table = Table(title, f"estimate ({first.estimate.source})", f"found ({lines[-1].found.source})")
        for line in lines:
            found = "–" if line.found.value is None else _value(line.found)
            table.add_row(Text(printable(line.name)), _value(line.estimate), found)
        console.print(table)

    @staticmethod
    def _work(console: Console, report: Report) -> None:
        """Predicted work, and what is modelled or measured of time and energy; each line says which."""
        work = report.work
        if work is not None:
            counted = _value(work.executed.estimate)
            console.print(Text(f"An inference, predicted: {counted} ({printable(work.predicted_by, 200)})"))
            for line in modelled_lines(work.latency, work.energy, work.reasons):
                console.print(Text(line))
        if report.energy is not None:
            energy = report.energy
            spread = f"{energy.millijoules.min:.4g}…{energy.millijoules.max:.4g} mJ over {energy.windows} windows"
            console.print(
                Text(f"Energy an inference (median): {energy.millijoules.median:.4g} mJ ({spread}; {energy.source})")
            )

    @staticmethod
    def _checks(console: Console, report: Report) -> None:
        table = Table("Check", "expected", "tolerance", "found", "source", "")
        for check in report.verdict.checks:
            table.add_row(
                Text(printable(check.title)),
                Text(_plain(check.expected, check.unit)),
                printable(check.tolerance),
                Text(_plain(check.measured, check.unit)),
                str(check.measured_source),
                Text("pass", style="green") if check.passed else Text("FAIL", style="bold red"),
            )
        console.print(table)


def _looks(report: Report) -> int:
    """Looks at the test split, those of models that had seen it already not counted."""
    return max((look.number for look in report.test_looks), default=0)


def _value(figure: Figure) -> str:
    if figure.value is None:
        return f"none: {printable(figure.reason)}"
    return _plain(figure.value, figure.unit)


def _plain(value: float | str, unit: str) -> str:
    shown = (
        printable(value, 40)
        if isinstance(value, str)
        else f"{value:,.1f}"
        if isinstance(value, float)
        else f"{value:,}"
    )
    return f"{shown} {unit}".strip()
