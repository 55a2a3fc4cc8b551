"""Windows, integrals and bad input: what a trace says, to the last sample, or a clear refusal."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.device.power import Between, Options, Rule, Sample, Trace, above, marked, measure, measuring, reading
from pipeline.errors import UsageError

HEADER = "Time (s),Current (A),Voltage (V),busy"


def _write(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "trace.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def _pulse(*currents: float, step: float = 0.5) -> list[Sample]:
    return [Sample(step * number, 2 * current, current, current > 1) for number, current in enumerate(currents)]


def test_a_window_lasts_from_its_first_sample_to_the_first_one_outside() -> None:
    (found,) = above(2).windows(_pulse(0, 0, 2, 4, 0, 0))
    assert (found.begin, found.end) == (1.0, 2.0)
    assert found.coulombs == pytest.approx(0.5 * 3 + 0.5 * 2)
    assert found.joules == pytest.approx(2 * 2.5)


def test_what_is_under_way_at_either_end_is_no_window() -> None:
    assert list(above(1).windows(_pulse(3, 3, 0, 0, 3, 3))) == []
    assert len(list(above(1).windows(_pulse(3, 0, 3, 0, 3)))) == 1


def test_what_is_too_short_does_not_count() -> None:
    spikes = _pulse(0, 3, 0, 3, 3, 3, 0)
    assert len(list(above(1).windows(spikes))) == 2
    (found,) = above(1, least=1.0).windows(spikes)
    assert found.begin == 1.5
    (same,) = marked("busy", 1.0).windows(spikes)
    assert same == found


def test_times_between_samples_are_interpolated() -> None:
    (found,) = Between(0.25, 1.25).windows(_pulse(0, 2, 2, 0))
    # Current 1 at 0.25 s, 2 from 0.5 s to 1 s, 1 at 1.25 s.
    assert found.coulombs == pytest.approx(0.25 * 1.5 + 0.5 * 2 + 0.25 * 1.5)
    assert (found.begin, found.end) == (0.25, 1.25)


def test_times_are_counted_from_the_first_sample() -> None:
    late = [sample._replace(time=sample.time + 1e6) for sample in _pulse(0, 2, 2, 0)]
    (found,) = Between(0.25, 1.25).windows(late)
    assert found.end - found.begin == pytest.approx(1.0)


def test_a_window_beyond_the_trace_is_none() -> None:
    assert list(Between(0.5, 9.0).windows(_pulse(0, 2, 2, 0))) == []
    for start, stop in ((1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0)):
        with pytest.raises(UsageError) as caught:
            Between(start, stop)
        assert caught.value.id == "no-window"


@given(
    st.lists(st.floats(0, 10), min_size=3, max_size=30),
    st.floats(0.01, 0.9),
    st.floats(0.01, 0.9),
)
def test_two_halves_hold_what_the_whole_holds(currents: list[float], one: float, other: float) -> None:
    samples = _pulse(*currents, step=1.0 / (len(currents) - 1))
    (whole,) = Between(0.0, 0.95).windows(samples)
    cut = 0.95 * min(one, other)
    (left,), (right,) = (list(rule.windows(samples)) for rule in (Between(0.0, cut), Between(cut, 0.95)))
    assert left.joules + right.joules == pytest.approx(whole.joules, abs=1e-9)


@given(st.lists(st.floats(0, 10), min_size=2, max_size=40), st.floats(0.1, 9.9))
def test_windows_are_in_order_apart_and_within_the_trace(currents: list[float], threshold: float) -> None:
    samples = _pulse(*currents)
    found = list(above(threshold).windows(samples))
    edges = [edge for window in found for edge in (window.begin, window.end)]
    assert edges == sorted(edges)
    assert all(window.begin < window.end and window.joules >= 0 for window in found)
    assert not edges or (samples[0].time <= edges[0] and edges[-1] <= samples[-1].time)


def test_a_measurement_says_all_that_is_needed_to_check_it(tmp_path: Path) -> None:
    rows = [f"{0.1 * number:.1f},{1 + number % 4 // 2},2.0,{number % 4 // 2}" for number in range(21)]
    path = _write(tmp_path, *rows)
    found = measure(path, Options(marker="busy"), marked("busy"), inferences=2)
    assert (found.trace, found.sha256) == ("trace.csv", hashlib.sha256(path.read_bytes()).hexdigest())
    assert (found.windows, found.inferences, found.samples, found.format) == (5, 2, 21, "csv")
    assert found.rule == "while busy is high"
    # 0.1 s at 4 W, 0.1 s from 4 W down to 2 W; for two inferences.
    assert found.millijoules.median == pytest.approx(1e3 * (0.4 + 0.3) / 2)
    assert found.milliseconds.max == pytest.approx(100)
    assert found.microcoulombs is not None
    assert found.microcoulombs.min == pytest.approx(1e6 * (0.2 + 0.15) / 2)
    assert found.source == f"measured (trace trace.csv, sha256 {found.sha256})"
    assert found.figure.source == "measured"


def test_the_users_voltage_comes_before_the_monitors(tmp_path: Path) -> None:
    path = _write(tmp_path, "0,1,2.0,0", "1,1,2.0,0")
    assert measure(path, Options(), Between(0, 1)).millijoules.median == pytest.approx(2000)
    found = measure(path, Options(volts=3.0), Between(0, 1))
    assert found.millijoules.median == pytest.approx(3000)
    assert found.volts == 3.0


def test_power_alone_has_no_charge(tmp_path: Path) -> None:
    path = _write(tmp_path, "0,1", "1,1", header="time (s),power (W)")
    assert measure(path, Options(), Between(0, 1)).microcoulombs is None
    with pytest.raises(UsageError) as caught:
        measure(path, Options(), above(1))
    assert caught.value.id == "no-window"


@pytest.mark.parametrize(
    ("rows", "rule", "error"),
    [
        (["0,1,2,0", "1,nan,2,0"], Between(0, 1), "trace-value"),
        (["0,1,2,0", "1,inf,2,0"], Between(0, 1), "trace-value"),
        (["0,1,2,0", "1,\x1b[2J,2,0"], Between(0, 1), "trace-value"),
        (["0,1,2,0", "1"], Between(0, 1), "trace-value"),
        (["0,1,2,0", ",1,2,0"], Between(0, 1), "trace-value"),
        (["0,1,2,0", "1,1.5 mA,2,0"], Between(0, 1), "trace-value"),
        (["0,1,2,0", "2,1,2,0", "1,1,2,0"], Between(0, 1), "trace-order"),
        (["0,1,2,0", "1,1,2,0"], Between(0, 5), "no-window"),
        (["0,1,2,0", "1,1,2,0"], above(3), "no-window"),
        ([], Between(0, 1), "no-window"),
        (["0,1,2,high", "1,1,2,0"], marked("busy"), "trace-value"),
        (["0,1,2,0", '1,"1,2,0'], Between(0, 1), "trace-value"),
        (["0,1,2,0", "x" * 70_000], Between(0, 1), "trace-unreadable"),
        (["0,1,2,0", "1,\x00,2,0"], Between(0, 1), "trace-unreadable"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: list[str], rule: Rule, error: str) -> None:
    path = _write(tmp_path, *rows)
    with pytest.raises(UsageError) as caught:
        measure(path, Options(marker="busy"), rule)
    assert caught.value.id == error
    assert "trace.csv" in caught.value.what
    assert "\x1b" not in caught.value.what
    assert caught.value.next
    if error in {"trace-value", "trace-order"}:
        assert f"line {len(rows) + 1}" in caught.value.what or "line 2" in caught.value.what


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "trace-columns"),
        (b"\n\n\n", "trace-columns"),
        (b"no,columns,here\n1,2,3\n", "trace-columns"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "trace-unreadable"),
        (b"\xff\xfe\xfa\n", "trace-unreadable"),
        (b"x" * 10_000_000, "trace-unreadable"),
        (b"Timestamp(ms),Current(uA)\n0,1\n1,1\n", "no-voltage"),
    ],
)
def test_files_that_are_no_trace_are_refused(tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        measure(path, Options(), Between(0, 1))
    assert caught.value.id == error
    assert caught.value.exit_code == 2


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv"):
        with pytest.raises(UsageError) as caught:
            measure(path, Options(), Between(0, 1))
        assert caught.value.id == "trace-unreadable"


def test_a_channel_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path = _write(tmp_path, "0,1,2,0", "1,1,2,0")
    with pytest.raises(UsageError) as caught:
        measure(path, Options(marker="D3"), marked("D3"))
    assert caught.value.id == "no-marker"
    assert "busy" in caught.value.why


def test_noise_around_a_threshold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "MOST_WINDOWS", 3)
    path = _write(tmp_path, *(f"{number},{number % 2},2,0" for number in range(11)))
    with pytest.raises(UsageError) as caught:
        measure(path, Options(), above(0.5))
    assert caught.value.id == "no-window"
    assert "noise" in caught.value.why


def test_a_long_trace_is_never_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is ahead of its consumer by a line at most holds nothing, however long the file is."""
    monkeypatch.setattr(reading, "LONGEST_LINE", 100)
    path = _write(tmp_path, *(f"{number},1,2,0" for number in range(1000)))
    trace = Trace(path, Options())
    for number, _ in enumerate(trace.samples(), start=1):
        assert trace._line <= number + 2
    assert trace.count == 1000


@given(st.binary(max_size=300))
def test_no_file_makes_the_reader_fail_otherwise(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.csv"
        path.write_bytes(b"Time (s),Current (A),Voltage (V)\n0,1,1\n" + content)
        try:
            measure(path, Options(), Between(0, 1))
        except UsageError as error:
            assert error.id.startswith(("trace-", "no-"))
