"""Programs for the emulated board, compiled once a session, and a talker to them."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.boards import Board, QemuEmulator
from pipeline.device.deadline import Deadline
from pipeline.device.link import SerialLink

SOURCES = Path(__file__).with_name("firmware")


@dataclass
class FakePort:
    """A serial port as pyserial lists it."""

    device: str
    vid: int | None = None
    pid: int | None = None
    serial_number: str | None = None
    description: str = "n/a"


def openocd_calls(folder: Path) -> list[list[str]]:
    """The arguments of each call of the fake OpenOCD (the fixture ``openocd``)."""
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def demand_emulator(board: Board) -> Board:
    """The board; the test is skipped where this machine cannot emulate it."""
    if isinstance(board.emulator, QemuEmulator):
        if shutil.which("qemu-system-arm") is None:
            pytest.skip("qemu-system-arm is not installed (apt-get install qemu-system-arm)")
    else:
        pytest.importorskip("unicorn")
    return board


def known(value: int | None) -> int:
    """A figure that this engine tells."""
    assert value is not None
    return value


def compile_probe(folder: Path, *defines: str, source: str = "probe") -> Path:
    """A test program as an ELF: ``probe.c`` for the Nucleo-F746ZG, or ``echo.c`` for the MPS2 AN500."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    elf = folder / ("-".join([source, *defines]) + ".elf")
    flags = ["-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard", "-O2", "-std=gnu11", "-Wall"]
    flags += ["-nostdlib", "-ffreestanding", "-Wl,--no-warn-rwx-segments", "-T", str(SOURCES / f"{source}.ld")]
    flags += [f"-D{define}" for define in defines]
    subprocess.run(["arm-none-eabi-gcc", *flags, "-o", str(elf), str(SOURCES / f"{source}.c")], check=True)
    return elf


class Talker:
    """Commands to ``probe.c`` and its lines."""

    def __init__(self, port: str) -> None:
        self._link = SerialLink(port, baud=921600)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self._link.write(data, Deadline(30))

    def line(self) -> str:
        return self.raw_line().decode("ascii").strip()

    def raw_line(self) -> bytes:
        deadline = Deadline(30)
        while b"\n" not in self._buffer:
            data = self._link.read(65536, deadline)
            assert data, f"no line came: {self._buffer!r}"
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def ask(self, data: bytes) -> list[int]:
        """Send, and the hexadecimal words of the answer."""
        self.send(data)
        line = self.line()
        while line == "" or line.startswith("hello"):
            line = self.line()
        return [int(word, 16) for word in line.split()]

    def close(self) -> None:
        self._link.close()
