"""Every format of traces passes the same contract: a file as its tool writes it gives the same joules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.device.power import FORMATS, Options, TraceFormat, marked, measure, recognise
from pipeline.device.power.formats import QUANTITIES, Plain, scale_of
from pipeline.device.power.windows import Between
from pipeline.errors import UsageError

#: 3 V; 20 ms idle at 10 mA, 100 ms at 100 mA with the marker high, 20 ms idle: seconds, amperes, marker.
SAMPLES = [(0.010 * step, 0.1 if 2 <= step < 12 else 0.01, 2 <= step < 12) for step in range(15)]
#: By hand: 9 steps of 10 ms at 0.3 W, and one in which the power falls from 0.3 W to 0.03 W.
MILLIJOULES = 9 * 10 * 0.3 + 10 * (0.3 + 0.03) / 2


def _ppk2() -> str:
    rows = [f"{1000 * at:.3f},{1e6 * amperes:.2f},{'1' if high else '0'}0000000" for at, amperes, high in SAMPLES]
    return "\n".join(["Timestamp(ms),Current(uA),D0-D7", *rows]) + "\n"


def _ppk2_columns() -> str:
    rows = [f"{1000 * at:.3f},{1e6 * amperes:.2f},{int(high)},-" for at, amperes, high in SAMPLES]
    return "\n".join(["Timestamp(ms),Current(uA),D0,D1", *rows]) + "\n"


def _joulescope() -> str:
    rows = [f"{at:.6f},{amperes},3.0,{3 * amperes},0,0,{int(high)}" for at, amperes, high in SAMPLES]
    return "\n".join(["#time,current,voltage,power,charge,energy,gpi0", *rows]) + "\n"


def _otii() -> str:
    header = '"Wall-clock time (UTC)","Arc Main Current (A)","Arc Main Voltage (V)","Arc GPI1"'
    rows = [
        f'"2026-01-02 23:59:59.{round(1e6 * at):06}","{amperes}","3.0","{int(high)}"' for at, amperes, high in SAMPLES
    ]
    return "\ufeff" + "\r\n".join([header, *rows]) + "\r\n"


def _otii_seconds() -> str:
    rows = [f"{at},{amperes},3,{int(high)}" for at, amperes, high in SAMPLES]
    return "\n".join(["Timestamp (s),Main Current (A),Main Voltage (V),Arc GPI1", *rows]) + "\n"


def _plain() -> str:
    rows = [f"{1e6 * at:.0f};{3000 * amperes:.4f};{int(high)}" for at, amperes, high in SAMPLES]
    return "\n".join(["# by the lab", "", "Time [us];Power [mW];busy", *rows])


CASES: list[tuple[str, str, Callable[[], str], Options]] = [
    ("ppk2", "D0", _ppk2, Options(volts=3.0)),
    ("ppk2", "D0", _ppk2_columns, Options(volts=3.0)),
    ("joulescope", "gpi0", _joulescope, Options()),
    ("otii", "Arc GPI1", _otii, Options()),
    ("otii", "Arc GPI1", _otii_seconds, Options()),
    ("csv", "busy", _plain, Options()),
]


@pytest.mark.parametrize(("name", "marker", "text", "options"), CASES, ids=[case[2].__name__[1:] for case in CASES])
class TestContract:
    """All formats pass."""

    def test_the_same_inference_has_the_same_energy(
        self, name: str, marker: str, text: Callable[[], str], options: Options, tmp_path: Path
    ) -> None:
        path = tmp_path / "trace.csv"
        path.write_text(text(), encoding="utf-8")
        found = measure(path, Options(volts=options.volts, marker=marker), marked(marker))
        assert found.format == name
        assert found.samples == len(SAMPLES)
        assert found.windows == 1
        assert found.millijoules.median == pytest.approx(MILLIJOULES, rel=1e-4)
        assert found.milliseconds.median == pytest.approx(100, rel=1e-4)

    def test_a_format_can_be_named(
        self, name: str, marker: str, text: Callable[[], str], options: Options, tmp_path: Path
    ) -> None:
        path = tmp_path / "trace.csv"
        path.write_text(text(), encoding="utf-8")
        whole = Between(0.0, SAMPLES[-1][0])
        assert measure(path, Options(format=name, volts=options.volts), whole).format == name
        other = "joulescope" if name != "joulescope" else "ppk2"
        with pytest.raises(UsageError) as caught:
            measure(path, Options(format=other, volts=options.volts), whole)
        assert caught.value.id == "trace-columns"


@pytest.mark.parametrize("one", [*FORMATS, Plain()], ids=lambda one: one.name)
@given(header=st.lists(st.text(max_size=20), max_size=6))
def test_no_header_makes_a_format_fail(one: TraceFormat, header: list[str]) -> None:
    try:
        columns = one.columns(header)
    except UsageError as error:
        assert error.id in {"trace-unit", "trace-columns"}
    else:
        assert columns is None or columns.time.index < len(header)


@pytest.mark.parametrize(
    ("header", "scales"),
    [
        (["t (s)", "i (mA)"], {"time": 1.0, "current": 1e-3}),
        (["time_us", "current_ua", "voltage_mv"], {"time": 1e-6, "current": 1e-6, "voltage": 1e-3}),
        (["Timestamp [ms]", "Power [uW]"], {"time": 1e-3, "power": 1e-6}),
        (["Time / s", "U / V", "I / A"], {"time": 1.0, "voltage": 1.0, "current": 1.0}),
    ],
)
def test_units_are_read_from_the_header(header: list[str], scales: dict[str, float]) -> None:
    found = recognise(header, "auto", Plain())
    assert found is not None
    columns = found[1]
    assert {name: getattr(columns, name).scale for name in QUANTITIES if getattr(columns, name) is not None} == scales


def test_names_and_units_can_be_said() -> None:
    plain = Plain({"current": "I0", "time": "when"}, {"time": "ms", "current": "uA"})
    found = recognise(["when", "I0", "I1"], "auto", plain)
    assert found is not None
    assert (found[1].time.scale, found[1].current and found[1].current.scale) == (1e-3, 1e-6)
    assert found[1].digital == {"I1": (2, None)}


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (["time", "current (mA)"], "trace-unit"),
        (["time (s)", "current"], "trace-unit"),
        (["time (kg)", "current (A)"], "trace-unit"),
        (["time (s)", "current (V)"], "trace-unit"),
        (["time (s)", "current (A)", "I (mA)"], "trace-columns"),
    ],
)
def test_a_unit_that_is_not_said_is_never_guessed(header: list[str], error: str) -> None:
    with pytest.raises(UsageError) as caught:
        recognise(header, "csv", Plain())
    assert caught.value.id == error
    assert caught.value.next


@given(st.sampled_from(sorted(QUANTITIES)), st.sampled_from(["", "m", "u", "µ", "n", "k"]))
def test_prefixes_are_powers_of_ten(quantity: str, prefix: str) -> None:
    powers = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "k": 1e3}
    assert scale_of(quantity, prefix + QUANTITIES[quantity], "x") == powers[prefix]
