"""Getting a program onto a device: with PlatformIO onto a board, or into the emulated one.

Both keep one contract, which ``tests/device/test_device_flash.py`` checks: ``flash`` takes a built firmware and gives
a running device; closing that lets go of it; a failure is a FlashError, or what the emulator's process said.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pipeline import boards
from pipeline.boards import Board
from pipeline.device import emulated, openocd
from pipeline.device.discovery import Device, Listing, ports
from pipeline.errors import BuildError, DanasError, FlashError, NoBoardError
from pipeline.firmware import platformio

DEADLINE_S = 300.0
#: How often an upload is tried again.
RETRIES = 2
#: How long a port may take to come back after an upload.
RETURN_S = 15.0
_LOOK_S = 0.2
#: What may reach OpenOCD's command line; the same as in firmware_templates/platform/bare_metal.py.
_SERIAL = re.compile(r"[0-9A-Za-z]{4,64}")


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
        retries: Why uploads had failed before the one that did not.
    """

    def __init__(
        self,
        port: str,
        device: Device,
        *,
        emulator: emulated.EmulatedDevice | None = None,
        retries: tuple[str, ...] = (),
    ) -> None:
        self.port = port
        self.device = device
        self.emulator = emulator
        self.retries = retries

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
            FlashError: ``upload-failed``, ``verify-failed``, ``upload-timeout``, ``bad-image``,
                ``image-outside-flash``.
            NoBoardError: ``no-probe``, ``probe-not-found``, ``probe-permission``, ``probe-held``, ``probe-no-power``,
                ``other-chip``: nothing was flashed; ``not-back``.
            DanasError: What the tool's environment lacks.
        """


class PlatformioFlasher:
    """``pio run -t nobuild -t upload`` in the environment that built the program.

    The probe with the device's serial number is the one that is used, and the chip behind it must be the board's. What
    may be over in a moment is tried again, twice at most. Afterwards the port may come back under another name.

    Args:
        device: The board.
        deadline_s: For an upload.
        on_retry: Told why a try has failed, before the next one.
        run: Runs PlatformIO; another one only in tests, as the others below.
        listing: Gives this machine's ports.
        pause: Waits between tries, and between looks for the port.
    """

    def __init__(
        self,
        device: Device,
        *,
        deadline_s: float = DEADLINE_S,
        on_retry: Callable[[DanasError], None] | None = None,
        run: Callable[..., platformio.Outcome] = platformio.run,
        listing: Listing = ports,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._device = device
        self._board = boards.load(device.board)
        self._deadline_s = deadline_s
        self._on_retry = on_retry
        self._run = run
        self._listing = listing
        self._pause = pause

    def flash(self, program: Program, *, on_line: Callable[[str], None] | None = None) -> RunningDevice:
        """See :class:`Flasher`."""
        if not program.elf.is_file():
            raise FlashError("bad-image", f"there is no {program.elf.name}", next="Build the firmware first.")
        variables = self._variables()
        retries: list[DanasError] = []
        while True:
            error = self._tried(program, variables, on_line)
            if error is None:
                break
            if error.id not in openocd.TRANSIENT or len(retries) == RETRIES:
                if retries:
                    error.why = f"{error.why} Tried {len(retries) + 1} times.".strip()
                raise error
            retries.append(error)
            if self._on_retry is not None:
                self._on_retry(error)
            self._pause(float(len(retries)))
        device = replace(self._device, port=self._returned())
        return RunningDevice(device.port or "", device, retries=tuple(str(error) for error in retries))

    def _variables(self) -> dict[str, str]:
        """What the environment's scripts need to know of the device.

        Raises:
            NoBoardError: ``no-probe``: nothing says which probe is this device's, and another's would be flashed.
        """
        serial, chip, port = self._device.serial_number, self._board.chip, self._device.port or ""
        local = {} if self._device.remote else {"PLATFORMIO_UPLOAD_PORT": port}
        if chip is None:
            return local
        if serial is None or not _SERIAL.fullmatch(serial):
            raise NoBoardError(
                "no-probe",
                f"{self._device}: which probe is its own is not known",
                why="Its serial number is not 4 to 64 letters and digits."
                if serial
                else "A port that is not on this machine's USB has no probe's serial number.",
                next="Name it in lab.toml with port and serial_number (docs/lab.md); or flash where the probe is.",
            )
        return {**local, "DANAS_PROBE_SERIAL": serial, "DANAS_CHIP": f"{chip.idcode:#x}:{chip.dev_id:#x}"}

    def _tried(
        self, program: Program, variables: dict[str, str], on_line: Callable[[str], None] | None
    ) -> DanasError | None:
        """Why one try has failed; None: it has not."""
        try:
            outcome = self._run(
                program.folder,
                program.environment,
                targets=("nobuild", "upload"),
                on_line=on_line,
                deadline_s=self._deadline_s,
                variables=variables,
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
        return None if outcome.status == 0 else openocd.failure(outcome.lines, self._device, self._board)

    def _returned(self) -> str:
        """The port after the upload: a probe may leave the USB for a moment, and be called otherwise afterwards.

        It has to be there twice in a row, and udev has to have given it to us; what still cannot be opened at the
        deadline says so when it is opened.

        Raises:
            NoBoardError: ``not-back``.
        """
        port = self._device.port or ""
        serial = (self._device.serial_number or "").upper()
        if self._device.remote or not serial:
            return port
        before = ""
        for _ in range(round(RETURN_S / _LOOK_S)):
            there = sorted(one.device for one in self._listing() if (one.serial_number or "").upper() == serial)
            # A probe with several ports keeps them all: the same one, where it is still called so.
            now = port if port in there else there[0] if there else ""
            if now and now == before and (os.access(now, os.R_OK | os.W_OK) or not Path(now).exists()):
                return now
            before = now
            self._pause(_LOOK_S)
        if before:
            return before
        raise NoBoardError(
            "not-back",
            f"{self._device} did not come back after the upload",
            why=f"No port of that serial number was there for {RETURN_S:.0f} s.",
            next="Plug it in again; the program is on it: `danas-deploy measure RUN` goes on.",
        )


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
