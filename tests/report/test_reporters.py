"""The views of a report: one contract for all, hostile text included."""

import json
import xml.etree.ElementTree as ET

import pytest
from report_samples import HOSTILE, sample

from pipeline.device.power import EnergyMeasurement, Spread
from pipeline.figures import Figure, Modelled, Source
from pipeline.report.html import page
from pipeline.report.html.page import HtmlReporter
from pipeline.report.model import Finalist, Line, LookAtTest, Report, SearchSummary, Work
from pipeline.report.reporters import JsonReporter, JunitReporter, Reporter, TerminalReporter


def _report(*, passed: bool = True, note: str = "") -> Report:
    search = SearchSummary(
        data={"source": note},
        preset="quick",
        limits={"ram": 1, "macs": None},
        evaluations=20,
        finalists=(),
        genotype=note or "96-rgb-d32100-a03",
    )
    accuracy = {note or "test int8": Figure(value=None, unit="%", source=Source.HOST, reason=f"no test split {note}")}
    report = sample(passed=passed, note=note, work=None)
    return report.model_copy(update={"search": search, "accuracy": accuracy})


REPORTERS: list[Reporter] = [
    JsonReporter(),
    JunitReporter(),
    TerminalReporter(),
    TerminalReporter(colour=True),
    HtmlReporter(),
]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's script is a library, and bundling that takes seconds."""
    monkeypatch.setattr(page, "script", lambda: "draw()")


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


def _percent(value: float | None, reason: str = "") -> Figure:
    return Figure(value=value, unit="%", source=Source.HOST, reason=reason)


def test_what_became_of_the_finalists_is_a_line_each() -> None:
    first = Finalist(
        genotype="96-rgb-d32100-a03",
        inherited_accuracy=_percent(80.0),
        float_accuracy=_percent(91.0),
        int8_accuracy=_percent(90.5),
        ptq_accuracy=_percent(85.0),
        qat_accuracy=_percent(90.5),
        ram=Figure(value=1, unit="B", source=Source.ANALYTIC),
        flash=Figure(value=1, unit="B", source=Source.ANALYTIC),
        macs=Figure(value=1, unit="MAC", source=Source.ANALYTIC),
    )
    updates = {"genotype": HOSTILE, "qat_accuracy": _percent(None, "not needed: int8 loses 0.2 points")}
    report = _report()
    assert report.search is not None
    search = report.search.model_copy(update={"finalists": (first, first.model_copy(update=updates))})
    lines = TerminalReporter().render(report.model_copy(update={"search": search})).splitlines()
    (winner,) = (line for line in lines if "* 96-rgb-d32100-a03" in line)
    assert [text in winner for text in ("80.0 %", "91.0 %", "85.0 %", "90.5 %")] == [True] * 4
    assert any("not needed: int8 loses 0.2 points" in line for line in lines)


def test_a_second_look_at_the_test_split_is_told() -> None:
    first = LookAtTest(at="2026-01-01T00:00:00+00:00", purpose="accuracy", models={"32-rgb-d1": "aa" * 32}, number=1)
    again = first.model_copy(update={"purpose": "inputs of the device"})
    other = first.model_copy(update={"models": {HOSTILE: "bb" * 32}, "number": 2})
    once = _report().model_copy(update={"test_looks": (first, again)})
    twice = _report().model_copy(update={"test_looks": (first, again, other)})
    assert "flatter" not in TerminalReporter().render(once)
    told = " ".join(TerminalReporter().render(twice).split())
    assert "looked at 2 times" in told
    assert "\x1b[2J" not in told
    for report, count in ((once, "1"), (twice, "2")):
        suite = ET.fromstring(JunitReporter().render(report))  # noqa: S314 - our own text
        assert [found.get("value") for found in suite.iter("property") if found.get("name") == "test_looks"] == [count]
        assert Report.model_validate_json(JsonReporter().render(report)).test_looks == report.test_looks


def test_the_terminal_says_that_an_emulator_is_no_clock() -> None:
    text = TerminalReporter().render(_report())
    assert "Verdict: PASS" in text
    assert "never measured as time" in text
    assert "none: no test split" in text
    assert "Verdict: FAIL" in TerminalReporter().render(_report(passed=False))


def _modelled(value: float, unit: str, text: str) -> Modelled:
    return Modelled(value=value, low=value / 2, high=value * 2, unit=unit, text=f"modelled: {text}")


def _with_work(report: Report, *, text: str = "", energy: EnergyMeasurement | None = None) -> Report:
    work = Work(
        executed=Line(
            name="an inference",
            estimate=Figure(value=1_000_000, unit="instructions", source=Source.ANALYTIC),
            found=Figure(value=1_010_000, unit="instructions", source=Source.EMULATED),
        ),
        predicted_by=f"a cost model{text}",
        latency=_modelled(20.0, "ms", f"the clock{text}"),
        energy=None if energy else _modelled(4.0, "mJ", f"the datasheet{text}"),
        reasons=(f"no reason{text}",),
    )
    return report.model_copy(update={"work": work, "energy": energy})


def test_what_is_modelled_is_called_so_with_its_interval() -> None:
    text = " ".join(TerminalReporter().render(_with_work(_report())).split())
    assert "An inference, predicted: 1,000,000 instructions (a cost model)" in text
    assert "Time an inference: 20 ms (10…40 ms); modelled: the clock" in text
    assert "Energy an inference: 4 mJ (2…8 mJ); modelled: the datasheet" in text
    assert "Not modelled: no reason" in text


def test_a_measured_energy_stands_alone() -> None:
    spread = Spread(min=3.0, median=3.5, max=9.0)
    energy = EnergyMeasurement(
        trace="t.csv",
        sha256="ab" * 32,
        format="ppk2",
        samples=9,
        rule="while D0 is high",
        windows=7,
        inferences=1,
        volts=3.3,
        millijoules=spread,
        milliseconds=spread,
        microcoulombs=None,
    )
    report = _with_work(_report(), energy=energy)
    text = " ".join(TerminalReporter().render(report).split())
    assert (
        f"Energy an inference (median): 3.5 mJ (3…9 mJ over 7 windows; measured (trace t.csv, sha256 {'ab' * 32}))"
        in text
    )
    assert "the datasheet" not in text
    assert Report.model_validate_json(JsonReporter().render(report)) == report


def test_text_from_a_board_file_cannot_drive_a_terminal() -> None:
    text = TerminalReporter().render(_with_work(_report(), text=HOSTILE))
    assert "\x1b[2J" not in text
    assert "[bold red]" in text


def test_uploads_that_were_tried_again_are_told() -> None:
    report = _report().model_copy(update={"upload_retries": ("[verify-failed] [red]x", "[probe-held] y")})
    text = TerminalReporter().render(report)
    assert "The upload was tried again: [verify-failed] [red]x" in text
    suite = ET.fromstring(JunitReporter().render(report))  # noqa: S314 - our own text
    found = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert (found["upload_retry.0"], found["upload_retry.1"]) == ("[verify-failed] [red]x", "[probe-held] y")
