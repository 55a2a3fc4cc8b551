"""``danas-deploy energy``: a trace put into a run, and every way to ask for it wrongly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.__main__ import run
from pipeline.errors import UsageError
from pipeline.job.powering import stored
from pipeline.runs import VERSIONS, Run
from pipeline.settings import Kind, Settings


@pytest.fixture
def made(tmp_path: Path) -> Run:
    """A run that has not come far."""
    return Run.create(Settings(kind=Kind.DEPLOY, board="nucleo_f746zg", model="x.tflite"), tmp_path / "run")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Two inferences of 2 ms at 100 mA, marked by D2."""
    rows = [
        f"{number / 10},{100_000 if number % 40 >= 20 else 1_000},00{number % 40 // 20}00000" for number in range(81)
    ]
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(["Timestamp(ms),Current(uA),D0-D7", *rows]) + "\n")
    return path


def _energy(made: Run, trace: Path, *options: str) -> int:
    return run(["energy", str(made.folder), "--trace", str(trace), *options])


def test_a_trace_is_stored_with_its_hash(made: Run, trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _energy(made, trace, "--marker", "D2", "--volts", "3.3", "--json") == 0
    printed = json.loads(capsys.readouterr().out)["energy"]
    found = stored(made)
    assert found is not None
    assert printed["source"] == found.source == f"measured (trace trace.csv, sha256 {found.sha256})"
    assert (found.windows, found.rule, found.volts) == (2, "while D2 is high", 3.3)
    # 20 samples of 0.1 ms, the last of which falls to 1 mA.
    assert found.millijoules.median == pytest.approx(3.3 * (19 * 0.1 * 100 + 0.1 * 101 / 2) / 1000)
    assert found.milliseconds.max == pytest.approx(2.0)


def test_people_are_told_where_the_figure_comes_from(
    made: Run, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _energy(made, trace, "--threshold", "40mA", "--least", "1ms", "--volts", "3.3", "--inferences", "2") == 0
    out = capsys.readouterr().out
    assert "mJ an inference (median;" in out
    assert "2 windows of 2 inferences each, while the current is at least 40 mA, at least 1 ms long" in out
    assert "measured (trace trace.csv, sha256 " in out


def test_a_trace_of_an_earlier_build_is_left_out(made: Run, trace: Path) -> None:
    for build in ("a" * 16, "b" * 16):
        made.write_json("firmware/elf.json", {"schema_version": VERSIONS["firmware/elf.json"], "build_id": build})
        assert stored(made) is None
        assert _energy(made, trace, "--from", "0", "--to", "0.004", "--volts", "3", "-q") == 0
        found = stored(made)
        assert found is not None
        assert found.build == build


def test_a_damaged_record_is_named(made: Run) -> None:
    made.path("energy.json").write_text('{"schema_version": 1}')
    with pytest.raises(UsageError) as caught:
        stored(made)
    assert caught.value.id == "missing-stage"
    assert "energy.json" in caught.value.what


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ([], "no-window"),
        (["--marker", "D0", "--threshold", "4mA"], "no-window"),
        (["--from", "0.001"], "no-window"),
        (["--from", "0.002", "--to", "0.001"], "no-window"),
        (["--from", "0", "--to", "9"], "no-window"),
        (["--threshold", "1A"], "no-window"),
        (["--threshold", "4kg"], "bad-current"),
        (["--threshold", "4mA", "--least", "soon"], "bad-latency"),
        (["--marker", "D9"], "no-marker"),
        (["--marker", "D2", "--format", "excel"], "bad-option"),
        (["--marker", "D2", "--format", "otii"], "trace-columns"),
        (["--marker", "D2", "--units", "time"], "bad-option"),
        (["--marker", "D2", "--columns", "speed=x"], "bad-option"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_leaves_nothing(
    made: Run, trace: Path, capsys: pytest.CaptureFixture[str], options: list[str], error: str
) -> None:
    assert _energy(made, trace, "--volts", "3.3", *options, "--json") == 2
    found = json.loads(capsys.readouterr().out)["error"]
    assert found["id"] == error
    assert found["next"]
    assert not made.path("energy.json").exists()
