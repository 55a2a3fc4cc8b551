"""One contract for every Flasher, and how an upload fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from device_samples import FakePort, Talker

from pipeline.boards import Board
from pipeline.device.discovery import Device
from pipeline.device.flash import EmulatedFlasher, Flasher, PlatformioFlasher, Program
from pipeline.errors import BuildError, FlashError
from pipeline.firmware.platformio import Outcome

DEVICE = Device("nucleo_f746zg", None, "066EFF111", "/dev/ttyACM7")


class PlatformioStub:
    """Stands in for running PlatformIO: keeps what it was asked and answers as told."""

    def __init__(self, status: int = 0, lines: Sequence[str] = ("Uploading", "** Verified OK **")) -> None:
        self.calls: list[dict[str, Any]] = []
        self._outcome = Outcome(status, tuple(lines))

    def __call__(self, folder: Path, environment: str, **options: Any) -> Outcome:
        self.calls.append({"folder": folder, "environment": environment, **options})
        if options["on_line"] is not None:
            for line in self._outcome.lines:
                options["on_line"](line)
        return self._outcome


@pytest.fixture
def program(probe: Path) -> Program:
    return Program(probe.parent, "nucleo_f746zg_local", probe)


@pytest.fixture(params=["platformio", "emulated"])
def flasher(request: pytest.FixtureRequest, board: Board) -> Flasher:
    return (
        EmulatedFlasher(board)
        if request.param == "emulated"
        else PlatformioFlasher(
            DEVICE, run=PlatformioStub(), listing=lambda: [FakePort("/dev/ttyACM7", serial_number="066EFF111")]
        )
    )


def test_flashing_gives_a_running_device_and_says_what_it_does(flasher: Flasher, program: Program) -> None:
    lines: list[str] = []
    with flasher.flash(program, on_line=lines.append) as device:
        assert device.port.startswith("/dev/")
        device.check()
        assert lines
        assert (device.emulator is None) == (device.statistics is None) == (not device.device.emulated)
    device.close()


def test_a_missing_program_is_a_flash_error(flasher: Flasher, program: Program) -> None:
    with pytest.raises(FlashError) as caught:
        flasher.flash(Program(program.folder, program.environment, program.folder / "none.elf"))
    assert (caught.value.id, caught.value.exit_code) == ("bad-image", 5)


def test_the_emulated_board_runs_the_program(board: Board, program: Program) -> None:
    with EmulatedFlasher(board).flash(program) as device:
        talker = Talker(device.port)
        assert talker.ask(b"p")[0] == 0x410FC271
        talker.close()


def test_an_upload_that_never_ends_is_ended(program: Program) -> None:
    def late(*_: object, **__: object) -> Outcome:
        raise BuildError("build-timeout", "late", why="Info : waiting")

    with pytest.raises(FlashError) as caught:
        PlatformioFlasher(DEVICE, run=late, deadline_s=1).flash(program)
    assert caught.value.id == "upload-timeout"
