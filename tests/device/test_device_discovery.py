"""Which device is meant: by alias, serial number, port, URL, or because there is only one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from device_samples import FakePort
from hypothesis import given
from hypothesis import strategies as st

from pipeline import boards
from pipeline.boards import Board
from pipeline.device.discovery import Device, PortInfo, device_of, resolve
from pipeline.device.lab import Entry, Lab
from pipeline.errors import DanasError, printable
from pipeline.settings import Target

FIRST = FakePort("/dev/ttyACM0", 0x0483, 0x374B, "066EFF111", "STM32 STLink")
SECOND = FakePort("/dev/ttyACM1", 0x0483, 0x374B, "066EFF222", "STM32 STLink")
OTHER = FakePort("/dev/ttyUSB0", 0x0403, 0x6001, "A1", "FT232R")
ONBOARD = FakePort("/dev/ttyS0")
NOWHERE = Path("lab.toml")
LAB = Lab(
    NOWHERE,
    (
        Entry(alias="desk", board="nucleo_f746zg", serial_number="066EFF111"),
        Entry(alias="green", board="nucleo_l4r5zi", serial_number="066eff222", location="rack 2"),
        Entry(alias="far", board="nucleo_f746zg", serial_number="066EFF333", port="rfc2217://rack:4000"),
        Entry(alias="old", board="nucleo_f746zg", port="/dev/ttyS0"),
    ),
)


def look(board: Board | None, *there: PortInfo, asked: str | None = None, lab: Lab | None = None) -> Device:
    return resolve(asked, board, lab=lab or Lab(NOWHERE), listing=lambda: there)


def refused(board: Board | None, *there: PortInfo, asked: str | None = None, lab: Lab | None = None) -> DanasError:
    with pytest.raises(DanasError) as caught:
        look(board, *there, asked=asked, lab=lab)
    assert caught.value.next
    assert str(caught.value).isprintable()
    return caught.value


def test_the_one_board_is_found(board: Board) -> None:
    found = look(board, ONBOARD, OTHER, FIRST)
    assert found == Device("nucleo_f746zg", None, "066EFF111", "/dev/ttyACM0", "STM32 STLink")
    assert (found.asked, found.identity, found.remote, found.emulated) == (
        "066EFF111",
        "serial:066EFF111",
        False,
        False,
    )


def test_no_board_says_what_was_looked_for_and_the_ways_on(board: Board) -> None:
    error = refused(board, ONBOARD, OTHER)
    assert (error.id, error.exit_code) == ("no-board", 3)
    assert "0483:374B" in error.why
    assert "/dev/ttyUSB0 0403:6001" in error.why
    assert "--device" in error.next
    assert "--emulate" in error.next
    assert "serial ports there: none" in refused(board).why


def test_two_boards_are_listed_with_the_flags_to_use(board: Board) -> None:
    error = refused(board, SECOND, FIRST)
    assert error.id == "ambiguous-board"
    assert "066EFF111" in error.why
    assert "066EFF222" in error.why
    assert error.next == "Choose one: --device 066EFF111 or --device 066EFF222"


def test_two_ports_of_one_probe_are_one_board(board: Board) -> None:
    twin = FakePort("/dev/ttyACM3", 0x0483, 0x374B, "066EFF111", "second interface")
    assert look(board, twin, FIRST).port == "/dev/ttyACM0"


def test_two_probes_without_serial_number_are_two(board: Board) -> None:
    bare = [FakePort(f"/dev/ttyACM{number}", 0x0483, 0x374B) for number in (4, 5)]
    assert refused(board, *bare).next == "Choose one: --device /dev/ttyACM4 or --device /dev/ttyACM5"


def test_a_serial_number_chooses_whatever_its_case(board: Board) -> None:
    assert look(board, FIRST, SECOND, asked="066eff222").port == "/dev/ttyACM1"
    error = refused(board, FIRST, SECOND, asked="777")
    assert (error.id, error.exit_code) == ("unknown-device", 3)
    assert "066EFF222" in error.why


def test_a_named_port_is_taken_as_it_is(board: Board) -> None:
    assert look(board, FIRST, asked="/dev/ttyACM0").serial_number == "066EFF111"
    assert look(board, FIRST, asked="/dev/ttyX9") == Device(board.name, port="/dev/ttyX9")
    remote = look(board, FIRST, asked="socket://lab:4000")
    assert (remote.port, remote.remote, remote.identity) == ("socket://lab:4000", True, "url:socket://lab:4000")


def test_a_link_to_a_port_is_that_port(board: Board, tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to("/dev/ttyACM0")
    found = look(board, FIRST, SECOND, asked=str(tmp_path / "by-id"))
    assert (found.port, found.identity) == ("/dev/ttyACM0", "serial:066EFF111")


def test_an_emulated_board_is_named_by_its_type(board: Board) -> None:
    found = look(None, asked="emulated:mps2_an500")
    assert (found.board, found.emulated, found.identity, found.asked) == (
        "mps2_an500",
        True,
        None,
        "emulated:mps2_an500",
    )
    assert look(board, asked="emulated:nucleo_f746zg") == Device(board.name)
    assert refused(board, asked="emulated:mps2_an500").id == "other-board-type"
    assert refused(None, asked="emulated:toaster").id == "unknown-board"


def test_an_alias_is_its_probe_wherever_that_is(board: Board) -> None:
    assert look(board, SECOND, FIRST, asked="DESK", lab=LAB).port == "/dev/ttyACM0"
    moved = FakePort("/dev/ttyACM7", 0x0483, 0x374B, "066EFF111")
    assert look(None, moved, asked="desk", lab=LAB) == Device(board.name, "desk", "066EFF111", "/dev/ttyACM7", "n/a")
    assert look(board, asked="far", lab=LAB).identity == "serial:066EFF333"
    error = refused(None, FIRST, asked="green", lab=LAB)
    assert (error.id, error.exit_code) == ("not-attached", 3)
    assert "rack 2" in error.what
    error = refused(board, FIRST, SECOND, asked="green", lab=LAB)
    assert (error.id, error.exit_code) == ("other-board-type", 2)


def test_the_same_device_by_any_of_its_names_is_the_same_lock(board: Board) -> None:
    names = ("far", "066eff333", "rfc2217://rack:4000")
    assert {look(board, FIRST, asked=name, lab=LAB).identity for name in names} == {"serial:066EFF333"}
    names = ("desk", "066EFF111", "/dev/ttyACM0")
    assert {look(board, FIRST, asked=name, lab=LAB).identity for name in names} == {"serial:066EFF111"}


def test_the_lab_says_which_probe_is_another_board(board: Board) -> None:
    lab = Lab(NOWHERE, LAB.entries[:2])
    assert look(board, FIRST, SECOND, lab=lab).alias == "desk"
    assert look(boards.load("nucleo_l4r5zi"), FIRST, SECOND, lab=lab).alias == "green"
    assert refused(board, SECOND, lab=lab).id == "no-board"


def test_a_remote_device_is_a_candidate_too(board: Board) -> None:
    assert look(board, lab=Lab(NOWHERE, (LAB.entries[2],))).port == "rfc2217://rack:4000"
    error = refused(board, FIRST, lab=LAB)
    assert error.id == "ambiguous-board"
    assert error.next == "Choose one: --device desk or --device far or --device old"


def test_without_a_board_type_a_bare_port_is_refused() -> None:
    for asked in ("/dev/ttyACM0", "socket://x:1", "066EFF111", None):
        error = refused(None, FIRST, asked=asked)
        assert (error.id, error.exit_code) == ("no-board-given", 2)


def test_a_target_names_a_device_of_its_lab(board: Board, tmp_path: Path) -> None:
    file = tmp_path / "my-lab.toml"
    file.write_text('[[device]]\nalias = "x"\nboard = "nucleo_f746zg"\nport = "socket://h:1"\n')
    assert device_of(board, Target(emulate=True)).emulated
    assert device_of(board, Target(device="emulated:nucleo_f746zg")).emulated
    assert device_of(board, Target(device="x", lab=str(file))).port == "socket://h:1"
    assert device_of(board, Target(), listing=lambda: [FIRST]).serial_number == "066EFF111"


@given(st.text(max_size=40), st.text(min_size=1, max_size=40), st.text(max_size=40))
def test_hostile_text_is_made_safe_or_found(asked: str, serial: str, description: str) -> None:
    there = [FakePort("/dev/ttyACM0\x1b[2J", 0x0483, 0x374B, serial, description), FIRST]
    for wanted in (asked or None, None):
        try:
            found = resolve(wanted, boards.load("nucleo_f746zg"), lab=LAB, listing=lambda: there)
        except DanasError as error:
            assert printable(error, 10**6) == str(error)
        else:
            assert printable(found, 10**6) == str(found)


def test_looking_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pipeline import boards; from pipeline.device import discovery, inventory, lab\n"
        "from pipeline.errors import NoBoardError\n"
        "try: discovery.resolve(None, boards.load('nucleo_f746zg'), lab=lab.open_lab())\n"
        "except NoBoardError: pass\n"
        "print([m for m in ('tensorflow', 'unicorn', 'ai_edge_litert', 'tomlkit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
