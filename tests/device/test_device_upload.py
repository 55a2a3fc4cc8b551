"""Uploads to a physical board: to the right probe and chip or not at all, tried again where that helps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from device_samples import FakePort, openocd_calls

from pipeline import boards
from pipeline.boards import Board
from pipeline.device import flash as flashing
from pipeline.device.discovery import Device
from pipeline.device.flash import PlatformioFlasher, Program
from pipeline.device.openocd import TRANSIENT, failure
from pipeline.errors import DanasError, EnvironmentProblem
from pipeline.firmware.platformio import Outcome

DEVICE = Device("nucleo_f746zg", "desk", "066EFF111", "/dev/ttyACM7")
SAME = FakePort("/dev/ttyACM7", 0x0483, 0x374B, "066EFF111")
OK = Outcome(0, ("** Verified OK **",))
UNPOWERED = (
    "Info : Target voltage: 0.002349",
    "Error: target voltage may be too low for reliable debugging",
    "Error: init mode failed (unable to connect to the target)",
)
LIBUSB = "Error: libusb_open() failed with LIBUSB_ERROR_{}"
OTHER_CHIP = ("** danas: chip 0x421, wanted 0x449 **", "Error: another chip than the program is for")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "firmware.elf").write_bytes(b"\x7fELF")
    return Program(tmp_path, "nucleo_f746zg_local", tmp_path / "firmware.elf")


class Uploads:
    """PlatformIO that ends as it is told, one way a run."""

    def __init__(self, *outcomes: Outcome | Sequence[str]) -> None:
        self.outcomes = [one if isinstance(one, Outcome) else Outcome(1, tuple(one)) for one in outcomes]
        self.calls: list[dict[str, Any]] = []

    def __call__(self, folder: Path, environment: str, **options: Any) -> Outcome:
        self.calls.append(options)
        return self.outcomes[len(self.calls) - 1]


def flasher(uploads: Uploads, device: Device = DEVICE, **options: Any) -> PlatformioFlasher:
    options = {"listing": lambda: [SAME], "pause": lambda _: None, **options}
    return PlatformioFlasher(device, run=uploads, **options)


@pytest.mark.parametrize(
    ("lines", "id_", "code", "says"),
    [
        (UNPOWERED, "probe-no-power", 3, "0.002349"),
        (OTHER_CHIP, "other-chip", 3, "0x421"),
        ([LIBUSB.format("ACCESS"), "Error: open failed"], "probe-permission", 3, "ACCESS"),
        ([LIBUSB.format("BUSY"), "Error: open failed"], "probe-held", 3, "BUSY"),
        (["Info : clock", "Error: open failed", "** OpenOCD init failed **"], "probe-not-found", 3, "open failed"),
        (["Error: No device matches the serial string"], "probe-not-found", 3, "serial string"),
        (["** Programming Started **", "** Verify Failed **"], "verify-failed", 5, ""),
        (["Info : Target voltage: 3.2", UNPOWERED[-1]], "upload-failed", 5, "init mode"),
        (["sh: 1: openocd: not found"], "missing-openocd", 9, "programmed"),
        ([], "upload-failed", 5, "said nothing"),
    ],
)
def test_openocds_sentences_have_ids(board: Board, lines: Sequence[str], id_: str, code: int, says: str) -> None:
    error = failure(lines, DEVICE, board)
    assert (error.id, error.exit_code) == (id_, code)
    assert says in error.why
    assert error.next
    assert str(error).isprintable()


def test_a_board_whose_voltage_the_probe_cannot_see_is_programmed_all_the_same(board: Board) -> None:
    lines = (*UNPOWERED[:2], "** Programming Started **", "** Verify Failed **")
    assert failure(lines, DEVICE, board).id == "verify-failed"


def test_another_chip_is_named_by_its_boards(board: Board) -> None:
    error = failure(["** danas: chip 0x470, wanted 0x449 **"], DEVICE, board)
    assert "0x470, as of STM32L4R5ZIT6" in error.why
    assert "nothing was flashed" in error.what


def test_what_may_be_over_in_a_moment_is_tried_twice_more(program: Program) -> None:
    said: list[DanasError] = []
    pauses: list[float] = []
    uploads = Uploads(["Error: open failed"], ["** Verify Failed **"], OK)
    running = flasher(uploads, on_retry=said.append, pause=pauses.append).flash(program)
    assert [error.id for error in said] == ["probe-not-found", "verify-failed"]
    assert [reason.split("]")[0] for reason in running.retries] == ["[probe-not-found", "[verify-failed"]
    assert pauses[:2] == [1.0, 2.0]
    uploads = Uploads(*([["Error: open failed"]] * 3))
    with pytest.raises(DanasError, match="Tried 3 times") as caught:
        flasher(uploads).flash(program)
    assert (caught.value.id, len(uploads.calls)) == ("probe-not-found", 3)


@pytest.mark.parametrize("lines", [UNPOWERED, OTHER_CHIP, ["openocd: not found"]])
def test_what_stays_wrong_is_tried_once(program: Program, lines: Sequence[str]) -> None:
    uploads = Uploads(lines)
    with pytest.raises(DanasError) as caught:
        flasher(uploads).flash(program)
    assert caught.value.id not in TRANSIENT
    assert len(uploads.calls) == 1


def test_openocd_is_told_the_probe_and_the_chip(program: Program) -> None:
    uploads = Uploads(OK)
    flasher(uploads).flash(program)
    (call,) = uploads.calls
    assert call["targets"] == ("nobuild", "upload")
    assert call["variables"] == {
        "DANAS_PROBE_SERIAL": "066EFF111",
        "DANAS_CHIP": "0xe0042000:0x449",
        "PLATFORMIO_UPLOAD_PORT": "/dev/ttyACM7",
    }


@pytest.mark.parametrize(
    "device",
    [
        replace(DEVICE, serial_number=None),
        replace(DEVICE, serial_number=None, port="socket://rack:4000"),
        replace(DEVICE, serial_number="1; shutdown"),
        replace(DEVICE, serial_number="[exec sh]"),
        replace(DEVICE, serial_number="066EFF111\n"),
    ],
)
def test_a_device_whose_probe_is_not_known_is_not_flashed(program: Program, device: Device) -> None:
    uploads = Uploads(OK)
    with pytest.raises(DanasError) as caught:
        flasher(uploads, device).flash(program)
    assert (caught.value.id, caught.value.exit_code, uploads.calls) == ("no-probe", 3, [])
    assert str(caught.value).isprintable()


def listings(*ports: Sequence[FakePort]) -> Callable[[], Sequence[FakePort]]:
    """One after the other; the last one stays."""
    left = list(ports)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_a_port_that_comes_back_under_another_name_is_followed(program: Program) -> None:
    other = FakePort("/dev/ttyACM1", 0x0483, 0x374B, "OTHER1")
    moved = FakePort("/dev/ttyACM9", 0x0483, 0x374B, "066eff111")
    listing = listings([SAME, other], [other], [other], [moved, other], [moved, other])
    running = flasher(Uploads(OK), listing=listing).flash(program)
    assert running.port == running.device.port == "/dev/ttyACM9"
    assert running.device.alias == "desk"


def test_of_several_ports_of_a_probe_its_own_is_kept(program: Program) -> None:
    twin = FakePort("/dev/ttyACM2", 0x0483, 0x374B, "066EFF111")
    assert flasher(Uploads(OK), listing=lambda: [twin, SAME]).flash(program).port == "/dev/ttyACM7"


def test_a_port_that_stays_away_is_an_error_with_an_end(program: Program) -> None:
    pauses: list[float] = []
    with pytest.raises(DanasError) as caught:
        flasher(Uploads(OK), listing=list, pause=pauses.append).flash(program)
    assert (caught.value.id, caught.value.exit_code) == ("not-back", 3)
    assert sum(pauses) == pytest.approx(flashing.RETURN_S)


def test_a_remote_line_is_not_waited_for(program: Program) -> None:
    remote = replace(DEVICE, port="rfc2217://rack:4000")
    uploads = Uploads(OK)
    assert flasher(uploads, remote, listing=list).flash(program).port == "rfc2217://rack:4000"
    assert "PLATFORMIO_UPLOAD_PORT" not in uploads.calls[0]["variables"]


def test_every_stm32_board_says_its_chip() -> None:
    for name in boards.names():
        board = boards.load(name)
        if board.port.startswith("stm32"):
            assert board.chip is not None, name
            assert board.chip.source.startswith("RM")
            family = 0x5C001000 if board.port == "stm32h7" else 0xE0042000
            assert board.chip.idcode == family


def whole(program: Program) -> Program:
    """As a build leaves it."""
    built = program.folder / "build" / program.environment
    built.mkdir(parents=True)
    (program.folder / "src").mkdir()
    for name in ("firmware.elf", "firmware.bin"):
        (built / name).write_bytes(b"program")
    return Program(program.folder, program.environment, built / "firmware.elf")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
def test_through_platformio_only_the_right_chip_is_programmed(openocd: Path, program: Program) -> None:
    (openocd / "behaviours").write_text("0x421 absent ok")
    program = whole(program)
    upload = PlatformioFlasher(DEVICE, listing=lambda: [SAME], pause=lambda _: None)
    with pytest.raises(DanasError) as caught:
        upload.flash(program)
    assert caught.value.id == "other-chip"
    assert not (openocd / "flash").exists()
    running = upload.flash(program)
    assert (openocd / "flash").read_bytes() == b"program"
    assert "[probe-not-found]" in running.retries[0]
    assert len(openocd_calls(openocd)) == 3
    arguments = openocd_calls(openocd)[0]
    assert arguments[:2] == ["-c", "adapter serial 066EFF111"]
    assert arguments.index("board/st_nucleo_f7.cfg") < arguments.index("danas_demand_chip 0xe0042000 0x449")
    assert Path(arguments[arguments.index("danas_demand_chip 0xe0042000 0x449") - 2]).name == "demand_chip.tcl"
    assert arguments[-1].startswith("program {")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
def test_without_openocd_the_package_is_named(
    openocd: Path, program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if any((Path(folder) / "openocd").exists() for folder in os.environ["PATH"].split(os.pathsep)[1:]):
        pytest.skip("OpenOCD is installed here")
    (openocd / "bin" / "openocd").unlink()
    with pytest.raises(EnvironmentProblem) as caught:
        PlatformioFlasher(DEVICE, listing=lambda: [SAME], pause=lambda _: None).flash(whole(program))
    assert caught.value.id == "missing-openocd"
