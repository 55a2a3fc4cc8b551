"""Finding a board on USB by its probe's vendor and product id."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from pipeline.boards import Board
from pipeline.errors import NoBoardError, printable


class PortInfo(Protocol):
    """A serial port as pyserial's ``list_ports`` describes it."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None
    description: str


@dataclass(frozen=True)
class DeviceAddress:
    """Where a physical board is.

    Attributes:
        port: Device file, or a pyserial URL.
        serial_number: Of the probe, which is the board's identity; None where the port was named and is not on USB.
        description: What the operating system calls it.
    """

    port: str
    serial_number: str | None = None
    description: str = ""


def ports() -> list[PortInfo]:
    """The serial ports of this machine."""
    from serial.tools import list_ports  # here, to keep --help quick

    return list(list_ports.comports())


def find(
    board: Board,
    *,
    port: str | None = None,
    serial: str | None = None,
    listing: Callable[[], Iterable[PortInfo]] = ports,
) -> DeviceAddress:
    """The one board of this type that is attached.

    Args:
        board: The board type; its file lists the USB ids.
        port: Use this port, whatever is on it; the firmware's own answer says later which board it is.
        serial: Only the probe with this serial number.
        listing: The ports to look at.

    Raises:
        NoBoardError: ``no-board`` or ``ambiguous-board``.
    """
    seen = sorted(listing(), key=lambda info: info.device)
    if port is not None:
        known = next((info for info in seen if info.device == port), None)
        return DeviceAddress(port) if known is None else _address(known)
    wanted = {(usb.vid, usb.pid) for usb in board.usb}
    found = [info for info in seen if (info.vid, info.pid) in wanted]
    if serial is not None:
        named = [info for info in found if (info.serial_number or "").lower() == serial.lower()]
        if not named:
            raise _none(board, seen, f" with serial number {printable(serial, 60)}")
        found = named
    if not found:
        raise _none(board, seen, "")
    # A probe may show more than one port; the first by name is the virtual COM port of those that do.
    probes = {info.serial_number or info.device: info for info in reversed(found)}
    if len(probes) > 1:
        choices = [_shown(info) for info in reversed(probes.values())]
        first = next(reversed(probes.values()))
        flag = f"--serial-number {printable(first.serial_number)}" if first.serial_number else f"--port {first.device}"
        raise NoBoardError(
            "ambiguous-board",
            f"{len(probes)} boards look like a {board.name}",
            why="; ".join(choices),
            next=f"Choose one: {flag}",
        )
    return _address(next(iter(probes.values())))


def _address(info: PortInfo) -> DeviceAddress:
    return DeviceAddress(info.device, info.serial_number, printable(info.description or ""))


def _shown(info: PortInfo) -> str:
    usb = f" {info.vid:04X}:{info.pid:04X}" if info.vid is not None and info.pid is not None else ""
    serial = f" serial number {printable(info.serial_number, 60)}" if info.serial_number else ""
    return f"{printable(info.device)}{usb}{serial}"


def _none(board: Board, seen: list[PortInfo], which: str) -> NoBoardError:
    ids = ", ".join(f"{usb.vid:04X}:{usb.pid:04X}" for usb in board.usb) or "none: its file lists no USB ids"
    listed = "; ".join(_shown(info) for info in seen[:8]) or "none"
    more = f" and {len(seen) - 8} more" if len(seen) > 8 else ""
    return NoBoardError(
        "no-board",
        f"no {board.name} is attached{which}",
        why=f"Looked for the USB id {ids}; serial ports there: {listed}{more}.",
        next="Attach it, name its port with --port PORT, or use the emulated board with --emulate.",
    )
