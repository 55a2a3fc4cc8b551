"""What OpenOCD's output means when an upload has failed: the probe, its power, the chip behind it, or the program.

The sentences are those of OpenOCD 0.12.0 (src/jtag/drivers/stlink_usb.c and libusb_helper.c, src/flash/startup.tcl),
and of our own firmware_templates/platform/demand_chip.tcl. All but the last two kinds come before any programming.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline import boards
from pipeline.boards import Board
from pipeline.device.discovery import Device
from pipeline.errors import DanasError, EnvironmentProblem, FlashError, NoBoardError, printable

_OTHER_CHIP = re.compile(r"\*\* danas: chip (0x[0-9a-f]{3}), wanted (0x[0-9a-f]{3}) \*\*")
_LOW_VOLTAGE = re.compile(r"target voltage (?:may be )?too low", re.IGNORECASE)
_NOT_INSTALLED = re.compile(r"\bopenocd['\"]?:? (?:command )?not found", re.IGNORECASE)
_NO_PROBE = re.compile(r"^Error: (?:open failed|No device matches the serial string)")
_PROGRAMMING = "** Programming Started **"
_NOISE = ("=", "*", "Environment", "---", "[")
#: Failures that the same try a moment later may not have: a probe that is coming back, a disturbed line.
TRANSIENT = frozenset({"probe-not-found", "probe-held", "verify-failed", "upload-failed"})


def failure(lines: Sequence[str], device: Device, board: Board) -> DanasError:
    """The error that these lines of a failed upload stand for.

    Returns:
        NoBoardError: ``other-chip``, ``probe-no-power``, ``probe-permission``, ``probe-held``, ``probe-not-found``.
        EnvironmentProblem: ``missing-openocd``.
        FlashError: ``verify-failed``, ``upload-failed``.
    """
    text = "\n".join(lines)
    found = _of_the_target(text, device, board) or _of_the_probe(text, device, board)
    return found or _of_the_program(lines, text, device)


def not_installed(board: Board) -> EnvironmentProblem:
    """The error of a machine without OpenOCD."""
    return EnvironmentProblem(
        "missing-openocd",
        "OpenOCD is not on PATH",
        why=f"A {board.name} is programmed by it in this environment.",
        next="apt-get install openocd"
        + (f", or use --environment {board.build.registry}, which brings one." if board.build.registry else ""),
    )


def _of_the_target(text: str, device: Device, board: Board) -> DanasError | None:
    other = _OTHER_CHIP.search(text)
    if other is not None:
        return NoBoardError(
            "other-chip",
            f"{device} is no {board.name}: nothing was flashed",
            why=f"The DEV_ID of its chip is {_chip(int(other[1], 16))}; that of a {board.mcu} is {other[2]}.",
            next="Name another --device, or the board type that this one is; `danas-deploy devices` lists them.",
        )
    # A board without that line to the probe has it at 0 V, and can be programmed all the same.
    if _LOW_VOLTAGE.search(text) and _PROGRAMMING not in text:
        return NoBoardError(
            "probe-no-power",
            f"the probe of {device} sees no supply at its target",
            why=_line(text, "voltage"),
            next="Give the board power, and see to the jumpers of its supply; then try again.",
        )
    return None


def _of_the_probe(text: str, device: Device, board: Board) -> DanasError | None:
    if _NOT_INSTALLED.search(text):
        return not_installed(board)
    if "LIBUSB_ERROR_ACCESS" in text:
        return NoBoardError(
            "probe-permission",
            f"no permission to use the probe of {device}",
            why=_line(text, "LIBUSB_ERROR_ACCESS"),
            next="Install OpenOCD's udev rules (60-openocd.rules), join the group plugdev, log in again and replug it.",
        )
    if "LIBUSB_ERROR_BUSY" in text or "unable to claim interface" in text:
        return NoBoardError(
            "probe-held",
            f"another program has the probe of {device}",
            why=_line(text, "LIBUSB_ERROR_BUSY") or _line(text, "claim"),
            next="End the debugger that uses it, and try again.",
        )
    if any(_NO_PROBE.match(line) for line in text.splitlines()):
        return NoBoardError(
            "probe-not-found",
            f"OpenOCD does not find the probe of {device}",
            why=_line(text, "Error:"),
            next="Plug it in again; `danas-deploy devices` shows whether it is there, `danas-deploy doctor` whether "
            "it may be used.",
        )
    return None


def _of_the_program(lines: Sequence[str], text: str, device: Device) -> FlashError:
    if "** Verify Failed **" in text:
        return FlashError(
            "verify-failed",
            f"what is in the flash of {device} is not the program",
            why=_last_words(lines),
            next="Try again; if it stays so, the flash is worn or protected.",
        )
    return FlashError(
        "upload-failed",
        f"the program did not get onto {device}",
        why=_last_words(lines),
        next="Check the USB cable and that no debugger holds the probe; then try again.",
    )


def _chip(dev_id: int) -> str:
    """A chip by its DEV_ID, and whose boards have it."""
    kinds = [boards.load(name) for name in boards.names()]
    mcus = sorted({kind.mcu for kind in kinds if kind.chip is not None and kind.chip.dev_id == dev_id})
    return f"{dev_id:#05x}" + (f", as of {' or '.join(mcus)}" if mcus else "")


def _line(text: str, word: str) -> str:
    return next((printable(line.strip()) for line in text.splitlines() if word.lower() in line.lower()), "")


def _last_words(lines: Sequence[str]) -> str:
    """The last line that says something: the tool's error rather than PlatformIO's rulers."""
    said = [line.strip() for line in lines if line.strip() and not line.strip().startswith(_NOISE)]
    named = [line for line in said if "error" in line.lower() or "fail" in line.lower()]
    return printable((named or said or ["The flashing tool said nothing."])[-1])
