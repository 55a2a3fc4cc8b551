"""The views of a report: one contract for all, hostile text included."""

import json
import xml.etree.ElementTree as ET

import pytest

from pipeline.figures import Figure, Source
from pipeline.report.model import Line, ModelSummary, Report, SearchSummary
from pipeline.report.reporters import JsonReporter, JunitReporter, Reporter, TerminalReporter
from pipeline.validate import Verdict, covers, equal

HOSTILE = "\x1b[2J</script>]]>*/\n\x00$(reboot)[bold red]\u202e"


def _report(*, passed: bool = True, note: str = "") -> Report:
    verdict = Verdict(
        checks=(
            equal("model", "Model hash", ("ab" * 32, Source.HOST), ("ab" * 32, Source.EMULATED), detail=note),
            covers(
                "ram",
                "RAM",
                (101_000 if passed else 90_000, Source.ANALYTIC),
                (100_000, Source.EMULATED),
                tolerance=0.02,
                tolerance_bytes=64,
            ),
        ),
        notes=(note,) if note else (),
    )
    return Report(
        created="2026-01-01T00:00:00+00:00",
        board="nucleo_f746zg",
        target="emulated",
        build_id="0123456789abcdef",
        versions={"danas-deploy": "0.1.0"},
        model=ModelSummary(
            sha256="ab" * 32,
            file_bytes=1,
            input_shape=(1, 96, 96, 3),
            output_shape=(1, 2),
            operators=3,
            macs=Figure(value=4, unit="MAC", source=Source.ANALYTIC),
        ),
        search=SearchSummary(
            data={"source": note},
            preset="quick",
            limits={"ram": 1, "macs": None},
            evaluations=20,
            finalists=(),
            genotype=note or "96-rgb-d32100-a03",
        ),
        accuracy={
            note or "test int8": Figure(value=None, unit="%", source=Source.HOST, reason=f"no test split {note}")
        },
        ram=(
            Line(
                name="total",
                estimate=Figure(value=101_000, unit="B", source=Source.ANALYTIC),
                found=Figure(value=100_000, unit="B", source=Source.EMULATED),
            ),
        ),
        flash=(),
        timing={},
        verdict=verdict,
        passed=verdict.passed,
    )


REPORTERS: list[Reporter] = [JsonReporter(), JunitReporter(), TerminalReporter(), TerminalReporter(colour=True)]


@pytest.mark.parametrize("reporter", REPORTERS, ids=lambda reporter: type(reporter).__name__)
@pytest.mark.parametrize("note", ["", HOSTILE])
def test_contract(reporter: Reporter, note: str) -> None:
    good, bad = _report(note=note), _report(passed=False, note=note)
    text = reporter.render(good)
    assert text.endswith("\n")
    assert text == reporter.render(good), "the same report gives the same text"
    assert text != reporter.render(bad)
    assert "\x1b[2J" not in text
    assert "\x00" not in text
    if note and isinstance(reporter, TerminalReporter):
        assert "[bold red]" in text, "a bracket from outside is a bracket, no style"


def test_json_round_trips() -> None:
    report = _report(note=HOSTILE)
    assert Report.model_validate_json(JsonReporter().render(report)) == report
    assert json.loads(JsonReporter().render(report))["schema_version"] == 1


def test_junit_counts_failures_and_carries_the_figures() -> None:
    suite = ET.fromstring(JunitReporter().render(_report(passed=False, note=HOSTILE)))  # noqa: S314 - our own text
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = suite.find("testcase[@name='ram']/failure")
    assert failure is not None
    assert "90000" in (failure.text or "")
    assert "100000" in (failure.text or "")


def test_the_terminal_says_that_an_emulator_is_no_clock() -> None:
    text = TerminalReporter().render(_report())
    assert "Verdict: PASS" in text
    assert "never measured as time" in text
    assert "none: no test split" in text
    assert "Verdict: FAIL" in TerminalReporter().render(_report(passed=False))
