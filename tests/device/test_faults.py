"""The firmware's fault handlers on QEMU, whose core takes real exceptions: each crash comes back as a report.

``firmware/crash.cpp`` stands in the place of a model. All else is the firmware as it is shipped, and the host's own
protocol code reads what it says.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from device_samples import SOURCES, demand_emulator

from pipeline import boards
from pipeline.boards import Board
from pipeline.device import emulated
from pipeline.device.link import SerialLink
from pipeline.device.protocol import Session
from pipeline.device.replies import FaultReportError
from pipeline.errors import DeviceError
from pipeline.estimate.planner import plan
from pipeline.firmware.build import Firmware, build
from pipeline.firmware.render import render
from pipeline.graph.model import DType, NoOptions, OpCode
from pipeline.graph.reader import parse
from pipeline.graph.writer import ModelWriter

pytestmark = pytest.mark.slow

Crash = Callable[..., Firmware]

# Bits of CFSR (ARM DDI 0403).
DACCVIOL, MSTKERR, MMARVALID = 1 << 1, 1 << 4, 1 << 7
IBUSERR, PRECISERR, STKERR, BFARVALID = 1 << 8, 1 << 9, 1 << 12, 1 << 15
UNDEFINSTR, UNALIGNED = 1 << 16, 1 << 24
NOWHERE = 0x3000_0010


@pytest.fixture(scope="module")
def machine() -> Board:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    return demand_emulator(boards.load("mps2_an500"))


@pytest.fixture(scope="module")
def crashing(machine: Board, tmp_path_factory: pytest.TempPathFactory) -> Crash:
    """Builds the firmware with ``crash.cpp``, which crashes on command, or at its start where that is asked for."""
    folder = tmp_path_factory.mktemp("crash")
    writer = ModelWriter()
    given = writer.tensor((1, 1), DType.INT8, scale=0.05)
    made = writer.tensor((1, 1), DType.INT8, scale=0.05)
    writer.operator(OpCode.RELU, [given], [made], NoOptions())
    graph = parse(writer.finish([given], [made]))

    def make(at_start: str = "") -> Firmware:
        render(graph, plan(graph), machine, into=folder)
        head = f"#define CRASH_AT_START '{at_start}'\n" if at_start else ""
        (folder / "src" / "model.cpp").write_text(head + (SOURCES / "crash.cpp").read_text())
        firmware = build(folder, machine)
        # The next build replaces the ELF.
        kept = folder.with_name(f"crash-{at_start or 'on-command'}.elf")
        shutil.copy(firmware.elf, kept)
        return replace(firmware, elf=kept)

    return make


@pytest.fixture(scope="module")
def program(crashing: Crash) -> Firmware:
    return crashing()


@contextmanager
def running(board: Board, firmware: Firmware) -> Iterator[Session]:
    with emulated.start(board, firmware.elf) as device:
        link = SerialLink(device.port, baud=board.serial.baud)
        try:
            yield Session(link, health=device.check)
        finally:
            link.close()


def crash(board: Board, firmware: Firmware, how: str) -> FaultReportError:
    with running(board, firmware) as session:
        session.connect()
        session.load(how.encode())
        with pytest.raises(FaultReportError) as caught:
            session.run()
    assert (caught.value.id, caught.value.exit_code) == ("device-fault", 6)
    return caught.value


def test_without_a_crash_it_is_an_ordinary_program(machine: Board, program: Firmware) -> None:
    with running(machine, program) as session:
        assert session.connect().runtime == "crash"
        session.load(b"1")
        session.run()
        assert session.output(1) == b"2"
        assert 0 < (session.memory().stack_used or 0) < machine.stack.reserve_bytes


@pytest.mark.parametrize(
    ("how", "kind", "cfsr", "address"),
    [
        pytest.param("r", "BusFault", PRECISERR | BFARVALID, NOWHERE, id="a load from nowhere"),
        pytest.param("w", "BusFault", PRECISERR | BFARVALID, NOWHERE, id="a store to nowhere"),
        pytest.param("x", "BusFault", IBUSERR, 0, id="a jump to nowhere"),
        pytest.param("u", "UsageFault", UNDEFINSTR, 0, id="an undefined instruction"),
        pytest.param("a", "UsageFault", UNALIGNED, 0, id="an unaligned access"),
        pytest.param("v", "Exception", 0, 0, id="a supervisor call"),
        pytest.param("b", "HardFault", 0, 0, id="a breakpoint"),
        pytest.param("i", "HardFault", UNDEFINSTR, 0, id="one with faults masked"),
    ],
)
def test_a_crash_is_reported_with_its_place(
    machine: Board, program: Firmware, how: str, kind: str, cfsr: int, address: int
) -> None:
    fault = crash(machine, program, how).fault
    assert (fault.kind, fault.cfsr, fault.address) == (kind, cfsr, address)
    # The caller is in flash, and so is the place, unless that is what was wrong.
    assert 0 < fault.lr < program.report.flash_bytes
    assert fault.pc == 0x3000_0000 if how == "x" else 0 < fault.pc < program.report.flash_bytes


@pytest.mark.parametrize("how", ["s", "p", "f"])
def test_an_overflown_stack_is_reported_from_a_fresh_one(machine: Board, program: Firmware, how: str) -> None:
    """By recursion, by one large frame, and with the FPU in use; the exception's own frame has no room either."""
    error = crash(machine, program, how)
    bottom = machine.ram[0].base
    assert error.fault.kind == "MemManage"
    assert error.fault.cfsr == DACCVIOL | MSTKERR | MMARVALID
    assert bottom - 0x1_0000 <= error.fault.address < bottom
    assert (error.fault.pc, error.fault.lr) == (0, 0), "nobody could write them"
    assert "the stack has overflowed" in error.why
    assert "stack.reserve_bytes" in error.next


def test_a_crash_near_the_end_of_the_stack_is_reported(machine: Board, program: Firmware) -> None:
    """The crash is none of the stack's, but its frame does not fit any more."""
    fault = crash(machine, program, "e").fault
    assert fault.cfsr == UNDEFINSTR | MSTKERR
    assert (fault.pc, fault.lr) == (0, 0)


def test_a_lost_stack_pointer_is_reported(machine: Board, program: Firmware) -> None:
    fault = crash(machine, program, "n").fault
    assert fault.kind == "BusFault"
    assert fault.cfsr == PRECISERR | STKERR | BFARVALID


def test_a_report_in_the_middle_of_a_line_is_read(machine: Board, program: Firmware) -> None:
    assert crash(machine, program, "h").fault.kind == "UsageFault"


def test_a_locked_up_core_is_told_by_the_emulator(machine: Board, program: Firmware) -> None:
    """A fault where no exception can be taken: the board says nothing, and on hardware nobody would."""
    fault = crash(machine, program, "l").fault
    assert (fault.kind, fault.cfsr) == ("lockup", None)
    assert "invoke" in fault.function
    assert 0 < fault.pc < program.report.flash_bytes


@pytest.mark.parametrize(("how", "kind"), [("r", "BusFault"), ("s", "MemManage")])
def test_a_crash_before_the_uart_is_set_up_is_reported(machine: Board, crashing: Crash, how: str, kind: str) -> None:
    with running(machine, crashing(at_start=how)) as session, pytest.raises(FaultReportError) as caught:
        session.connect()
    assert caught.value.fault.kind == kind


def test_a_halted_program_says_nothing_more(machine: Board, program: Firmware) -> None:
    with running(machine, program) as session:
        session.connect()
        session.load(b"u")
        with pytest.raises(FaultReportError):
            session.run()
        with pytest.raises(DeviceError) as caught:
            session.connect(timeout_s=0.5)
    assert caught.value.id == "no-answer"
