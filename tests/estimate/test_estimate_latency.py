"""Modelled milliseconds and millijoules: from predicted work, with interval and source, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline import boards
from pipeline.estimate.energy import energy, without_energy
from pipeline.estimate.latency import TOLERANCE, latency, timed, without_latency
from pipeline.estimate.model import Estimate, Item, Limits, Predicted
from pipeline.figures import Modelled, Source

F746 = boards.load("nucleo_f746zg")
MPS2 = boards.load("mps2_an500")
EMULATED = Predicted(count=10_800_000, unit="instructions", source="emulated instructions")
MEASURED = Predicted(count=10_800_000, unit="cycles", source="measured on serial 0670FF")


def _estimate() -> Estimate:
    return Estimate(ram=(Item(name="all", bytes=1),), flash=(Item(name="all", bytes=1),), stack_reserve=1, macs=1)


def test_instructions_become_milliseconds_by_the_boards_cpi() -> None:
    found = latency(EMULATED, F746)
    assert found is not None
    assert F746.latency is not None
    assert found.value == pytest.approx(50.0 * F746.latency.cpi)
    assert found.low == pytest.approx(50.0 * F746.latency.low * (1 - TOLERANCE))
    assert found.high == pytest.approx(50.0 * F746.latency.high * (1 + TOLERANCE))
    assert (found.unit, found.source) == ("ms", Source.MODELLED)
    assert found.text.startswith("modelled: 10,800,000 instructions × CPI 0.8 (")
    assert F746.latency.source in found.text
    assert found.text.endswith("/ 216 MHz")


def test_measured_cycles_need_no_cpi_and_stay_modelled() -> None:
    for board in (F746, MPS2):
        found = latency(MEASURED, board)
        assert found is not None
        assert found.value == pytest.approx(1000 * 10_800_000 / board.core.clock_hz)
        assert found.text.startswith("modelled: 10,800,000 cycles (measured on serial 0670FF) / ")
        assert found.source is Source.MODELLED


def test_a_board_without_a_cpi_offers_neither_and_says_why() -> None:
    assert latency(EMULATED, MPS2) is None
    found = timed(_estimate(), EMULATED, MPS2)
    assert (found.instructions, found.latency, found.energy) == (EMULATED, None, None)
    assert "mps2_an500" in without_latency(MPS2)
    assert "mps2_an500" in without_energy(MPS2)
    assert without_latency(F746) == without_energy(F746) == ""


def test_work_that_nobody_predicts_changes_nothing() -> None:
    assert timed(_estimate(), None, F746) == _estimate()


def test_energy_is_voltage_times_current_times_time() -> None:
    time = latency(EMULATED, F746)
    assert time is not None
    power = F746.energy
    assert power is not None
    found = energy(time, F746)
    assert found is not None
    assert found.value == pytest.approx(power.volts * power.amperes * time.value)
    assert found.low == pytest.approx(power.volts * power.low * time.low)
    assert found.high == pytest.approx(power.volts * power.high * time.high)
    assert found.text.startswith("modelled: 3.3 V × ")
    assert power.source in found.text
    assert f"modelled time {time.value:.4g} ms" in found.text
    assert timed(_estimate(), EMULATED, F746).energy == found


@given(st.integers(0, 10**12), st.sampled_from(["instructions", "cycles"]), st.sampled_from(boards.names()))
def test_an_interval_holds_its_value(count: int, unit: str, name: str) -> None:
    board = boards.load(name)
    found = timed(_estimate(), Predicted.model_validate({"count": count, "unit": unit, "source": "x"}), board)
    for figure in (found.latency, found.energy):
        assert figure is None or 0 <= figure.low <= figure.value <= figure.high


def test_a_figure_outside_its_interval_is_refused() -> None:
    with pytest.raises(ValidationError):
        Modelled(value=3, low=4, high=5, unit="ms", text="")


@pytest.mark.parametrize(
    ("limits", "admitted"),
    [
        ({"instructions": 10_800_000}, True),
        ({"instructions": 10_799_999}, False),
        ({"latency_ms": 40.1}, True),
        ({"latency_ms": 39.9}, False),
        ({"energy_mj": 14.1}, True),
        ({"energy_mj": 13.9}, False),
    ],
)
def test_limits_are_compared_with_what_is_predicted_and_modelled(limits: dict[str, float], admitted: bool) -> None:
    of = Limits.model_validate({"ram_bytes": 10, "flash_bytes": 10, **limits})
    assert of.admits(timed(_estimate(), EMULATED, F746)) is admitted
    assert of.on_work
    # A figure that is not there is not within a limit.
    assert not of.admits(_estimate())


def test_cycles_are_no_instructions() -> None:
    limits = Limits(ram_bytes=10, flash_bytes=10, instructions=10**9)
    assert not limits.admits(timed(_estimate(), MEASURED, F746))
