"""What became worse since an earlier report."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import lines, sample

from pipeline.errors import DanasError, UsageError
from pipeline.report import baseline
from pipeline.report.baseline import STRICT, Allowance, parse_allowances
from pipeline.report.matrix import DeviceResult, Verification
from pipeline.report.model import Report


def _verification(**reports: Report) -> Verification:
    devices = tuple(
        DeviceResult(device=name, board=one.board, target=one.target, run=name, seconds=1, report=one)
        for name, one in reports.items()
    )
    return Verification(created="2026-01-01T00:00:00+00:00", name="m", model="ab", devices=devices)


def _file(tmp_path: Path, value: Report | Verification) -> Path:
    path = tmp_path / "before.json"
    path.write_text(value.model_dump_json(), encoding="utf-8")
    return path


def test_limits_are_read() -> None:
    assert parse_allowances("ram=0, flash=1%,cycles=2.5 %") == {
        "ram": Allowance(0, relative=False),
        "flash": Allowance(1, relative=True),
        "cycles": Allowance(2.5, relative=True),
    }


@pytest.mark.parametrize("text", ["", "ram", "ram=", "ram=-1", "heap=1", "ram=1,ram=2", "ram=1%%", "ram=1;flash=2"])
def test_other_limits_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_allowances(text)
    assert caught.value.id == "bad-regression-limit"


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_allowances(text)
    except DanasError as error:
        assert error.id == "bad-regression-limit"
    else:
        assert found
        assert set(found) <= set(baseline.METRICS)


def test_nothing_may_grow_unless_it_is_allowed() -> None:
    before = sample()
    grown = sample(ram=lines(arena=1_100, static=200, stack=400), flash=lines(model=5_000, kernels=8_139, runtime=900))
    assert all(check.passed for check in baseline.regressions(before, before, STRICT))
    ram, flash, cycles = baseline.regressions(grown, before, STRICT)
    assert (ram.passed, flash.passed, cycles.passed) == (False, False, True)
    assert ram.detail == "+100 B: arena +100"
    assert flash.detail == "+139 B: kernels +139"
    allowed = {"ram": Allowance(100, relative=False), "flash": Allowance(1, relative=True)}
    assert [check.passed for check in baseline.regressions(grown, before, allowed)] == [True, True]
    one_less = {"ram": Allowance(99, relative=False), "flash": Allowance(0.99, relative=True)}
    assert [check.passed for check in baseline.regressions(grown, before, one_less)] == [False, False]
    assert all(check.passed for check in baseline.regressions(before, grown, STRICT)), "less is no regression"


def test_only_like_is_compared_with_like(tmp_path: Path) -> None:
    read = baseline.read(_file(tmp_path, sample(board="nucleo_f746zg", target="emulated")))
    assert read.of("any", "nucleo_f746zg", "emulated")[0] is not None
    for board, target in (("nucleo_l4r5zi", "emulated"), ("nucleo_f746zg", "device")):
        assert read.of("any", board, target)[0] is None
        with pytest.raises(UsageError) as caught:
            read.demand([("any", board, target)])
        assert caught.value.id == "baseline-of-others"
    read.demand([("other", "nucleo_l4r5zi", "emulated"), ("any", "nucleo_f746zg", "emulated")])


def test_devices_are_known_by_their_names(tmp_path: Path) -> None:
    before = _verification(one=sample(work=50_000), two=sample(work=60_000))
    read = baseline.read(_file(tmp_path, before))
    now = _verification(one=sample(work=55_000), two=sample(work=60_000), three=sample())
    found = baseline.compared(now, read, {"cycles": Allowance(0, relative=False)})
    assert [one.passed for one in found.devices] == [False, True, True]
    assert [check.expected for one in found.devices for check in one.regressions] == [50_000, 60_000]
    assert found.notes == ("three was not compared: the baseline has 2 of nucleo_f746zg (emulated)",)


def test_a_figure_that_one_side_lacks_is_told(tmp_path: Path) -> None:
    read = baseline.read(_file(tmp_path, sample(work=None)))
    found = baseline.compared(_verification(one=sample()), read, STRICT)
    assert [check.id for check in found.devices[0].regressions] == ["regression-ram", "regression-flash"]
    assert found.notes == ("one: there is no figure on both sides for cycles",)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"schema_version": 2}'])
def test_what_is_no_report_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    for file in (path, tmp_path / "absent.json"):
        with pytest.raises(UsageError) as caught:
            baseline.read(file)
        assert caught.value.id == "bad-baseline"
