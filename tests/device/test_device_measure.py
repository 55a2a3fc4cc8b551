"""A measurement over a device in memory: figures with sources, integrity, there and back as JSON."""

from __future__ import annotations

import random
from dataclasses import replace

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


class Restarting(FakeDevice):
    """Restarts, saying so or not, before it hears these commands, counted from 0 over all that are run."""

    def __init__(self, before: set[int], *, banner: bool, word: str) -> None:
        super().__init__(clock=ManualClock())
        self._before = before
        self._banner = banner
        self._word = word
        self._counted = 0

    def __call__(self, data: bytes) -> bytes:
        if data.startswith(b"#") and data.split(b" ", 1)[1].startswith(self._word.encode()):
            self._counted += 1
            if self._counted - 1 in self._before:
                self.restart()
                said = super().__call__(b"")
                return (said if self._banner else b"") + super().__call__(data)
        return super().__call__(data)


def over(device: FakeDevice) -> Session:
    assert isinstance(device.clock, ManualClock)
    return Session(MemoryLink(device, clock=device.clock), clock=device.clock)


@pytest.mark.parametrize("banner", [True, False], ids=["banner", "no banner"])
@pytest.mark.parametrize("word", ["load", "run", "crc", "output", "ops", "memory"])
@pytest.mark.parametrize("at", [0, 1])
def test_after_a_restart_the_inference_is_made_again(word: str, at: int, banner: bool) -> None:
    """Wherever it happens, whether it says so or not, the figures are those of a device that did not restart."""
    device = Restarting({at}, banner=banner, word=word)
    found = measure(over(device), inputs=INPUTS[:2])
    good = measure(over(FakeDevice(clock=ManualClock())), inputs=INPUTS[:2])
    assert found.model_copy(update={"repeated": 0, "restarts": 0}) == good
    if (word, at) != ("ops", 1):  # which is asked once alone
        assert (found.repeated, found.restarts) == (1, 1)
        assert found.remark == "1 inference was made again: the device restarted once"
    assert good.remark == ""


def test_an_inference_is_made_again_twice_at_most() -> None:
    twice = measure(over(Restarting({0, 1}, banner=True, word="run")), inputs=INPUTS[:2])
    assert (twice.repeated, twice.restarts) == (2, 2)
    with pytest.raises(DeviceError) as caught:
        measure(over(Restarting({0, 1, 2}, banner=True, word="run")), inputs=INPUTS[:2])
    assert caught.value.id == "device-restarted"


def test_a_board_that_is_another_one_after_its_restart_is_not_measured() -> None:
    device = Restarting({0}, banner=True, word="run")
    commands = device.restart

    def swapped() -> None:
        commands()
        device.identity = replace(device.identity, build="f" * 16)

    device.restart = swapped  # type: ignore[method-assign]
    with pytest.raises(DeviceError) as caught:
        measure(over(device), inputs=INPUTS[:1])
    assert caught.value.id == "wrong-build"


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
