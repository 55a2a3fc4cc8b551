"""Finding a board among the ports of a machine."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

from pipeline.boards import Board
from pipeline.device.discovery import DeviceAddress, PortInfo, find
from pipeline.errors import NoBoardError


@dataclass
class Port:
    device: str
    vid: int | None = None
    pid: int | None = None
    serial_number: str | None = None
    description: str = "n/a"


FIRST = Port("/dev/ttyACM0", 0x0483, 0x374B, "066EFF111", "STM32 STLink")
SECOND = Port("/dev/ttyACM1", 0x0483, 0x374B, "066EFF222", "STM32 STLink")
OTHER = Port("/dev/ttyUSB0", 0x0403, 0x6001, "A1", "FT232R")
ONBOARD = Port("/dev/ttyS0")


def look(board: Board, *there: PortInfo, port: str | None = None, serial: str | None = None) -> DeviceAddress:
    return find(board, port=port, serial=serial, listing=lambda: there)


def test_the_one_board_is_found(board: Board) -> None:
    assert look(board, ONBOARD, OTHER, FIRST) == DeviceAddress("/dev/ttyACM0", "066EFF111", "STM32 STLink")


def test_no_board_says_what_was_looked_for_and_the_ways_on(board: Board) -> None:
    with pytest.raises(NoBoardError) as caught:
        look(board, ONBOARD, OTHER)
    error = caught.value
    assert (error.id, error.exit_code) == ("no-board", 3)
    assert "0483:374B" in error.why
    assert "/dev/ttyUSB0 0403:6001" in error.why
    assert "--port" in error.next
    assert "--emulate" in error.next


def test_no_port_at_all(board: Board) -> None:
    with pytest.raises(NoBoardError, match="serial ports there: none"):
        look(board)


def test_two_boards_are_listed_with_the_flag_to_use(board: Board) -> None:
    with pytest.raises(NoBoardError) as caught:
        look(board, SECOND, FIRST)
    error = caught.value
    assert error.id == "ambiguous-board"
    assert "066EFF111" in error.why
    assert "066EFF222" in error.why
    assert "--serial-number 066EFF111" in error.next


def test_two_ports_of_one_probe_are_one_board(board: Board) -> None:
    twin = Port("/dev/ttyACM3", 0x0483, 0x374B, "066EFF111", "second interface")
    assert look(board, twin, FIRST).port == "/dev/ttyACM0"


def test_a_serial_number_chooses(board: Board) -> None:
    assert look(board, FIRST, SECOND, serial="066eff222").port == "/dev/ttyACM1"
    with pytest.raises(NoBoardError, match="with serial number 777"):
        look(board, FIRST, SECOND, serial="777")


def test_a_named_port_is_taken_as_it_is(board: Board) -> None:
    assert look(board, FIRST, port="/dev/ttyACM0").serial_number == "066EFF111"
    assert look(board, FIRST, port="socket://lab:4000") == DeviceAddress("socket://lab:4000")


def test_hostile_descriptions_are_made_safe(board: Board) -> None:
    evil = Port("/dev/ttyACM0\x1b[2J", 0x0483, 0x374B, "1\n2", "\x1b]0;x\x07")
    assert look(board, evil).description.isprintable()
    with pytest.raises(NoBoardError) as caught:
        look(board, evil, FIRST)
    assert str(caught.value).isprintable()


def test_looking_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pipeline import boards; from pipeline.device import discovery;"
        "from pipeline.errors import NoBoardError\n"
        "try: discovery.find(boards.load('nucleo_f746zg'))\n"
        "except NoBoardError: pass\n"
        "print([m for m in ('tensorflow', 'numpy', 'unicorn', 'ai_edge_litert') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
