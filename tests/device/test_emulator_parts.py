"""The emulated board's parts without the engine: counting, registers, terminal, image."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import boards
from pipeline.boards import Board
from pipeline.device.emulator import families, image
from pipeline.device.emulator.core import (
    CCSIDR,
    CSSELR,
    DEMCR,
    DWT_CTRL,
    DWT_CYCCNT,
    DWT_LAR,
    DWT_UNLOCK,
)
from pipeline.device.emulator.counting import BlockCounter, PythonState, instructions_in
from pipeline.device.emulator.registers import Registers
from pipeline.device.emulator.terminal import Terminal
from pipeline.errors import FlashError, UsageError

TOP = 0x20000800


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


@pytest.fixture
def state() -> PythonState:
    return PythonState(watch_end=TOP)


@pytest.fixture
def registers(board: Board, state: PythonState, terminal: Terminal) -> Registers:
    return Registers(board, families.of(board), state, terminal)


@given(st.lists(st.booleans(), max_size=40))
def test_instructions_are_counted_by_their_first_halfword(wide: list[bool]) -> None:
    code = b"".join(b"\xaf\xf3\x00\x80" if one else b"\x00\xbf" for one in wide)
    assert instructions_in(code) == len(wide)


def test_blocks_in_flash_are_decoded_once_and_those_in_ram_each_time(state: PythonState) -> None:
    memory = {0x08000000: b"\x00\xbf\x00\xbf", 0x20000000: b"\x00\xbf\x00\xbf"}
    counter = BlockCounter(state, read=lambda at, size: memory[at][:size], in_flash=lambda at: at < 0x20000000)
    for _ in range(2):
        counter.enter(0x08000000, 4)
        counter.enter(0x20000000, 4)
        memory[0x20000000] = b"\xaf\xf3\x00\x80"
    assert state.instructions == 2 + 2 + 2 + 1
    assert counter.enter(0x08000000, 2) is False
    memory[0x20000002] = b"\xfe\xe7"
    assert counter.enter(0x20000002, 2) is True


def test_clock_registers_answer_what_start_up_code_polls(registers: Registers) -> None:
    rcc, pwr = 0x40023800, 0x40007000
    assert registers.read(rcc, 4) & (1 << 17) == 0
    registers.write(rcc, 4, 1 << 16 | 1 << 18)
    assert registers.read(rcc, 4) == 1 << 16 | 1 << 17 | 1 << 18
    registers.write(pwr, 4, 1 << 16)
    assert registers.read(pwr + 4, 4) & (1 << 16)
    assert not registers.read(pwr + 4, 4) & (1 << 17)
    registers.write(rcc, 4, 0)
    assert registers.read(rcc, 4) == 0


@pytest.mark.parametrize(
    ("name", "crystal", "signal"),
    [
        ("disco_f746ng", True, False),
        ("nucleo_f746zg", False, True),
        ("nucleo_f446re", False, True),
        ("nucleo_l4r5zi", False, False),
    ],
)
def test_an_oscillator_needs_what_the_board_has(
    name: str, crystal: bool, signal: bool, state: PythonState, terminal: Terminal
) -> None:
    """A crystal that is taken for a clock signal gives no clock, nor a signal that is taken for a crystal."""
    other = boards.load(name)
    registers = Registers(other, families.of(other), state, terminal)
    rcc = 0x40021000 if other.port == "stm32l4" else 0x40023800
    for bypass, ready in ((0, crystal), (1 << 18, signal)):
        registers.write(rcc, 4, 1 << 16 | bypass)
        assert bool(registers.read(rcc, 4) & 1 << 17) == ready


def test_an_stm32f4s_usart_has_one_data_register(state: PythonState, terminal: Terminal) -> None:
    other = boards.load("nucleo_f446re")
    registers = Registers(other, families.of(other), state, terminal)
    status, data, control = (other.serial.base + offset for offset in (0x00, 0x04, 0x0C))
    with Path(terminal.port).open("r+b", buffering=0) as host:
        registers.write(data, 4, ord("?"))
        assert registers.read(status, 4) == 0xC0, "TC and TXE, and off"
        registers.write(control, 4, 1 << 13 | 0b1100)
        for byte in b"ok\n":
            registers.write(data, 4, byte)
        assert host.read(8) == b"ok\n"
        host.write(b"hi")
        read = bytearray()
        for _ in range(100):
            if len(read) < 2 and registers.read(status, 4) & 1 << 5:
                read.append(registers.read(data, 4))
    assert read == b"hi"


def test_an_stm32l4s_clock_registers_answer(state: PythonState, terminal: Terminal) -> None:
    other = boards.load("nucleo_l4r5zi")
    registers = Registers(other, families.of(other), state, terminal)
    rcc, pwr = 0x40021000, 0x40007000
    assert registers.read(rcc, 4) == 0x63
    registers.write(rcc, 4, 0x63 | 1 << 8 | 1 << 24)
    assert registers.read(rcc, 4) == 0x63 | 1 << 8 | 1 << 10 | 1 << 24 | 1 << 25
    for switch in range(4):
        registers.write(rcc + 8, 4, switch)
        assert registers.read(rcc + 8, 4) == switch | switch << 2
    assert registers.read(pwr + 0x80, 4) == 1 << 8
    # The debug registers of a Cortex-M4 have no lock.
    registers.write(DEMCR, 4, 1 << 24)
    registers.write(DWT_CTRL, 4, 1)
    state.instructions += 70
    assert registers.read(DWT_CYCCNT, 4) == 70


@pytest.mark.parametrize("name", ["mps2_an386", "mps2_an500"])
def test_an_mps2s_uart_has_one_register_for_both_directions(name: str, state: PythonState, terminal: Terminal) -> None:
    board = boards.load(name)
    registers = Registers(board, families.of(board), state, terminal)
    uart = board.serial.base
    data, status, control = uart, uart + 4, uart + 8
    registers.write(data, 4, ord("x"))  # it is off
    assert state.tx_take() == b""
    registers.write(control, 4, 3)
    state.rx_put(b"ab")
    assert registers.read(status, 4) == 2  # a byte waits, and there is room to send
    registers.write(data, 4, ord("y"))
    assert [registers.read(data, 4) for _ in range(2)] == [*b"ab"]
    assert registers.read(status, 4) == 0
    assert state.tx_take() == b"y"


@pytest.mark.parametrize("name", families.FAMILIES)
def test_a_familys_windows_hold_its_registers(name: str) -> None:
    family = families.FAMILIES[name]
    assert all(window.base % 4096 == window.bytes % 4096 == 0 for window in family.windows)
    answers = [*family.answers, *(answer for more in family.clocks.values() for answer in more)]
    wanted = {*family.reset, *(answer.register for answer in answers)}
    wanted |= {board.serial.base for board in map(boards.load, boards.names()) if board.port == name}
    for address in wanted:
        assert any(window.base <= address < window.base + window.bytes for window in family.windows)


def test_a_family_that_nobody_has_described_is_refused(board: Board) -> None:
    with pytest.raises(UsageError) as caught:
        families.of(board.model_copy(update={"port": "stm32x9"}))
    assert caught.value.id == "no-emulator"
    assert "stm32f7" in caught.value.why


def test_registers_remember_bytes_and_halfwords(registers: Registers) -> None:
    registers.write(0x40020C00, 4, 0x11223344)
    registers.write(0x40020C01, 1, 0xAB)
    registers.write(0x40020C02, 2, 0xCDEF)
    assert registers.read(0x40020C00, 4) == 0xCDEFAB44
    assert registers.read(0x40020C03, 1) == 0xCD


def test_the_core_is_a_cortex_m7_with_4_kb_caches(registers: Registers) -> None:
    assert registers.read(0xE000ED00, 4) == 0x410FC271
    registers.write(0xE000ED00, 4, 0)
    assert registers.read(0xE000ED00, 4) == 0x410FC271
    for selected in (0, 1):
        registers.write(CSSELR, 4, selected)
        size = registers.read(CCSIDR, 4)
        sets, ways, line = (size >> 13 & 0x7FFF) + 1, (size >> 3 & 0x3FF) + 1, 16 << (size & 7)
        assert sets * ways * line == 4096


def test_the_cycle_counter_runs_only_when_unlocked_and_enabled(registers: Registers, state: PythonState) -> None:
    registers.write(DWT_CTRL, 4, 1)
    registers.write(DEMCR, 4, 1 << 24)
    state.instructions = 100
    assert registers.read(DWT_CYCCNT, 4) == 0
    registers.write(DWT_LAR, 4, DWT_UNLOCK)
    registers.write(DWT_CTRL, 4, 1)
    state.instructions = 150
    assert registers.read(DWT_CYCCNT, 4) == 50
    registers.write(DWT_CYCCNT, 4, 0xFFFFFFF0)
    state.instructions = 182
    assert registers.read(DWT_CYCCNT, 4) == 0x10
    state.idle_cycles = 1000
    assert registers.read(DWT_CYCCNT, 4) == 0x10 + 1000
    registers.write(DWT_CTRL, 4, 0)
    state.instructions = 500
    assert registers.read(DWT_CYCCNT, 4) == 0x10 + 1000


def test_the_uart_is_silent_until_enabled(board: Board, registers: Registers, terminal: Terminal) -> None:
    uart = board.serial.base
    host = os.open(terminal.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        registers.write(uart + 0x28, 4, ord("x"))
        registers.flush()
        assert not select.select([host], [], [], 0)[0]
        registers.write(uart, 4, 0xD)
        registers.write(uart + 0x28, 4, ord("y"))
        registers.write(uart + 0x28, 4, ord("\n"))
        assert os.read(host, 10) == b"y\n"
        os.write(host, b"ab")
        status = [registers.read(uart + 0x1C, 4) for _ in range(10)][-1]
        assert status == 1 << 5 | 1 << 6 | 1 << 7 | 1 << 21 | 1 << 22
        assert [registers.read(uart + 0x24, 4) for _ in range(2)] == [ord("a"), ord("b")]
        assert registers.read(uart + 0x1C, 4) & (1 << 5) == 0
    finally:
        os.close(host)


def test_a_host_that_does_not_read_loses_bytes_and_stops_nothing(terminal: Terminal) -> None:
    for _ in range(40):
        terminal.write(b"x" * 10_000)
    assert terminal.dropped > 0


def test_a_link_is_made_and_removed(tmp_path: Path) -> None:
    link = tmp_path / "tty"
    made = Terminal(link)
    assert str(link.readlink()) == made.port
    made.close()
    assert not link.is_symlink()


def test_the_image_knows_stack_and_paint(board: Board, probe: Path) -> None:
    read = image.read(probe, board)
    assert (read.stack.begin, read.stack.end) == (0x20000000, 0x20000800)
    assert read.paint is not None
    assert 0x08000040 <= read.paint.begin < read.paint.end
    assert read.function_at(read.paint.begin).startswith("danas_paint_begin") or "reset" in read.function_at(
        read.paint.begin
    )


@given(st.data())
@settings(max_examples=40)
def test_a_damaged_image_is_refused_or_read(board: Board, probe: Path, data: st.DataObject) -> None:
    content = bytearray(probe.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, 400) | st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = probe.with_suffix(".damaged")
    damaged.write_bytes(content)
    try:
        image.read(damaged, board)
    except FlashError as error:
        assert error.id in ("bad-image", "image-outside-flash")


def test_what_is_no_elf(board: Board, tmp_path: Path) -> None:
    path = tmp_path / "x.elf"
    path.write_text("no")
    with pytest.raises(FlashError) as caught:
        image.read(path, board)
    assert caught.value.id == "bad-image"
