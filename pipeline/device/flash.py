"""Getting a program onto a device: with PlatformIO onto a board, or into the emulated one.

Both keep one contract, which ``tests/device/test_device_flash.py`` checks: ``flash`` takes a built firmware and gives
a running device; closing that lets go of it; a failure is a FlashError, or what the emulator's process said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pipeline.boards import Board
from pipeline.device import emulated
from pipeline.device.discovery import Device
from pipeline.errors import BuildError, FlashError, printable
from pipeline.firmware import platformio

DEADLINE_S = 300.0
_NOISE = ("=", "*", "Environment", "---", "[")


@dataclass(frozen=True)
class Program:
    """What is flashed.

    Attributes:
        folder: The rendered folder, with the build in it.
        environment: The PlatformIO environment that it was built in.
        elf: The built ELF.
    """

    folder: Path
    environment: str
    elf: Path


class RunningDevice:
    """A device with the program on it.

    Attributes:
        port: What a :class:`~pipeline.device.link.SerialLink` opens.
        device: Which one it is.
        emulator: The emulated board; None for a physical one.
    """

    def __init__(self, port: str, device: Device, *, emulator: emulated.EmulatedDevice | None = None) -> None:
        self.port = port
        self.device = device
        self.emulator = emulator

    @property
    def statistics(self) -> Callable[[], emulated.Statistics] | None:
        """Asks the emulated board for its figures; None on hardware."""
        return None if self.emulator is None else self.emulator.statistics

    def check(self) -> None:
        """Raise the reason where the device is known not to run any more; for ``Session(health=…)``."""
        if self.emulator is not None:
            self.emulator.check()

    def close(self) -> None:
        """Let go of the device; an emulated one ends."""
        if self.emulator is not None:
            self.emulator.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Flasher(Protocol):
    """Puts a program onto a device."""

    def flash(self, program: Program, *, on_line: Callable[[str], None] | None = None) -> RunningDevice:
        """Flash, reset, and give the running device.

        Args:
            program: What to flash.
            on_line: Called with each line that the flashing tool prints.

        Raises:
            FlashError: ``upload-failed``, ``upload-timeout``, ``bad-image``, ``image-outside-flash``.
            DanasError: What the tool's environment lacks.
        """


class PlatformioFlasher:
    """``pio run -t nobuild -t upload`` in the environment that built the program.

    Args:
        device: The board; its probe's serial number reaches the tool as ``DANAS_PROBE_SERIAL``.
        deadline_s: For the upload.
        run: Runs PlatformIO; another one only in tests.
    """

    def __init__(
        self,
        device: Device,
        *,
        deadline_s: float = DEADLINE_S,
        run: Callable[..., platformio.Outcome] = platformio.run,
    ) -> None:
        self._device = device
        self._deadline_s = deadline_s
        self._run = run

    def flash(self, program: Program, *, on_line: Callable[[str], None] | None = None) -> RunningDevice:
        """See :class:`Flasher`."""
        serial = self._device.serial_number
        if not program.elf.is_file():
            raise FlashError("bad-image", f"there is no {program.elf.name}", next="Build the firmware first.")
        try:
            outcome = self._run(
                program.folder,
                program.environment,
                targets=("nobuild", "upload"),
                on_line=on_line,
                deadline_s=self._deadline_s,
                variables={"DANAS_PROBE_SERIAL": serial} if serial else {},
            )
        except BuildError as error:
            if error.id != "build-timeout":
                raise
            raise FlashError(
                "upload-timeout",
                f"flashing took longer than {self._deadline_s:.0f} s",
                why=error.why,
                next="Unplug the board, plug it in again and try once more.",
            ) from error
        if outcome.status != 0:
            raise FlashError(
                "upload-failed",
                f"the program did not get onto the board at {self._device}",
                why=_last_words(outcome.lines),
                next="Check the USB cable and that no debugger holds the probe; then try again.",
            )
        return RunningDevice(self._device.port or "", self._device)


class EmulatedFlasher:
    """Loads the very same ELF into an emulated board.

    Args:
        board: The board type.
        pure_python: Do without the compiled fast path.
        link: A symbolic link to make to the port.
    """

    def __init__(self, board: Board, *, pure_python: bool = False, link: Path | None = None) -> None:
        self._board = board
        self._pure_python = pure_python
        self._link = link

    def flash(self, program: Program, *, on_line: Callable[[str], None] | None = None) -> RunningDevice:
        """See :class:`Flasher`."""
        device = emulated.launch(self._board, program.elf, pure_python=self._pure_python, link=self._link)
        if on_line is not None:
            on_line(f"{program.elf.name} runs on an emulated {self._board.name} at {device.port}")
        return RunningDevice(device.port, Device(self._board.name), emulator=device)


def _last_words(lines: tuple[str, ...]) -> str:
    """The last line that says something: the tool's error rather than PlatformIO's rulers."""
    said = [line.strip() for line in lines if line.strip() and not line.strip().startswith(_NOISE)]
    named = [line for line in said if "error" in line.lower() or "fail" in line.lower()]
    return printable((named or said or ["The flashing tool said nothing."])[-1])
