"""A measurement over a device in memory: figures with sources, integrity, there and back as JSON."""

from __future__ import annotations

import random

import pytest
from pydantic import ValidationError

from pipeline.device.deadline import ManualClock
from pipeline.device.emulated import Statistics
from pipeline.device.fake import FakeDevice, Misbehaviour
from pipeline.device.link import MemoryLink
from pipeline.device.measure import Measurement, measure
from pipeline.device.protocol import Expected, Session
from pipeline.errors import DeviceError
from pipeline.figures import Source

INPUTS = [random.Random(seed).randbytes(3000) for seed in range(4)]


def session_with(wrong: Misbehaviour | None = None) -> tuple[Session, FakeDevice]:
    clock = ManualClock()
    device = FakeDevice(clock=clock, misbehaviour=wrong)
    return Session(MemoryLink(device, clock=clock), clock=clock), device


def statistics() -> Statistics:
    return Statistics(
        path="native", instructions=10**6, idle_cycles=0, lowest_store=0x20000400, stack_used=1024,
        stack_bottom=0x20000000, stack_top=0x20000800, halted=False, dropped_bytes=0, busy_seconds=1.0, mips=1.0,
    )  # fmt: skip


def test_every_input_is_measured() -> None:
    session, device = session_with()
    seen: list[tuple[int, int]] = []
    found = measure(session, inputs=INPUTS, progress=lambda done, total: seen.append((done, total)))
    assert found.outputs == tuple((sum(data) % 65536).to_bytes(2, "little") for data in INPUTS)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.identity.build == device.identity.build
    assert found.clock.value == 216_000_000
    assert [op.code for op in found.operators] == ["CONV_2D", "SOFTMAX"]
    assert found.memory_before.arena_used.value == 0
    assert found.memory_after.ram.value == int(found.memory_after.arena.value or 0) + 4_096 + 900


def test_hardware_and_emulation_are_never_mixed() -> None:
    on_hardware = measure(session_with()[0], inputs=INPUTS[:1])
    emulated = measure(session_with()[0], inputs=INPUTS[:1], statistics=statistics)
    for found, source in ((on_hardware, Source.MEASURED), (emulated, Source.EMULATED)):
        figures = [found.clock, found.memory_after.ram, found.memory_after.stack_used, found.inputs[0].cycles]
        figures += [op.cycles for op in found.operators]
        assert {figure.source for figure in figures} == {source}
    assert on_hardware.emulator is None
    assert emulated.emulator is not None
    assert emulated.emulator.stack_used.value == 1024
    assert (on_hardware.target, emulated.target) == ("device", "emulated")


def test_json_and_back() -> None:
    found = measure(session_with()[0], inputs=INPUTS, statistics=statistics)
    assert Measurement.model_validate_json(found.model_dump_json()) == found


def test_a_measurement_with_a_strange_identity_is_refused() -> None:
    values = measure(session_with()[0], inputs=INPUTS[:1]).model_dump(mode="json")
    values["identity"]["clock_hz"] = "soon"
    with pytest.raises(ValidationError):
        Measurement.model_validate(values)
    del values["identity"]["clock_hz"]
    with pytest.raises(ValidationError):
        Measurement.model_validate(values)


def test_a_damaged_input_is_found() -> None:
    with pytest.raises(DeviceError) as caught:
        measure(session_with(Misbehaviour(flip_input=True))[0], inputs=INPUTS)
    assert caught.value.id == "corrupt-transfer"
    assert "input 0" in caught.value.what


def test_a_damaged_output_is_found() -> None:
    wrong = Misbehaviour(replace={"output": b"m-output-[ffff]\r\nm-ready\r\n"})
    with pytest.raises(DeviceError) as caught:
        measure(session_with(wrong)[0], inputs=INPUTS)
    assert caught.value.id == "corrupt-transfer"


def test_another_firmware_is_not_measured() -> None:
    session, device = session_with()
    with pytest.raises(DeviceError) as caught:
        measure(session, inputs=INPUTS, expected=Expected(model="0" * 64))
    assert caught.value.id == "wrong-model"
    assert "run" not in device.commands


def test_an_input_of_another_model_is_refused() -> None:
    with pytest.raises(DeviceError) as caught:
        measure(session_with()[0], inputs=[bytes(10)])
    assert caught.value.id == "input-size"
