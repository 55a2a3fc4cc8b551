"""Programs for the emulated board, compiled once a session, and a talker to them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.device.deadline import Deadline
from pipeline.device.link import SerialLink

SOURCES = Path(__file__).with_name("firmware")


def compile_probe(folder: Path, *defines: str) -> Path:
    """The test program ``probe.c`` as an ELF for the Nucleo-F746ZG."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    elf = folder / ("-".join(["probe", *defines]) + ".elf")
    flags = ["-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard", "-O2", "-std=gnu11", "-Wall"]
    flags += ["-nostdlib", "-ffreestanding", "-Wl,--no-warn-rwx-segments", "-T", str(SOURCES / "probe.ld")]
    subprocess.run(
        ["arm-none-eabi-gcc", *flags, *(f"-D{define}" for define in defines), "-o", str(elf), str(SOURCES / "probe.c")],
        check=True,
    )
    return elf


class Talker:
    """Commands to ``probe.c`` and its lines."""

    def __init__(self, port: str) -> None:
        self._link = SerialLink(port, baud=921600)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self._link.write(data, Deadline(30))

    def line(self) -> str:
        deadline = Deadline(30)
        while b"\n" not in self._buffer:
            data = self._link.read(65536, deadline)
            assert data, f"no line came: {self._buffer!r}"
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode("ascii").strip()

    def ask(self, data: bytes) -> list[int]:
        """Send, and the hexadecimal words of the answer."""
        self.send(data)
        line = self.line()
        while line == "" or line.startswith("hello"):
            line = self.line()
        return [int(word, 16) for word in line.split()]

    def close(self) -> None:
        self._link.close()
