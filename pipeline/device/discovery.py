"""Which device is meant: one physical or emulated board, out of what ``--device`` says, lab.toml and the USB.

``--device`` takes, and :func:`resolve` looks in this order:

========================  ==========================================================
``emulated:BOARD``        an emulated board
an alias                  of lab.toml
``rfc2217://``, ``socket://`` …  a pyserial URL
a port                    ``/dev/ttyACM0``, ``COM3``
a serial number           of an attached probe, or of one in lab.toml
========================  ==========================================================

Without it, the one device of the board type that is there. Two are an error, never a guess.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline import boards
from pipeline.boards import Board
from pipeline.device.lab import Entry, Lab, open_lab, path_of
from pipeline.errors import NoBoardError, UsageError, printable, shell_word
from pipeline.settings import EMULATED, Target

_PORT = re.compile(r"^(?:/|\./|COM\d+$)", re.IGNORECASE)


class PortInfo(Protocol):
    """A serial port as pyserial's ``list_ports`` describes it."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None
    description: str


Listing = Callable[[], Iterable[PortInfo]]


@dataclass(frozen=True)
class Device:
    """One physical or emulated board.

    Attributes:
        board: Its board type.
        alias: Its name in lab.toml.
        serial_number: Of its probe, which is its identity; None for an emulated board, and for a port without one.
        port: Device file or pyserial URL; None for an emulated board, which gets one when it starts.
        description: What the operating system calls the port.
    """

    board: str
    alias: str | None = None
    serial_number: str | None = None
    port: str | None = None
    description: str = ""

    @property
    def emulated(self) -> bool:
        """Whether it is an emulated board."""
        return self.port is None

    @property
    def remote(self) -> bool:
        """Whether its serial line is reached by a URL."""
        return self.port is not None and "://" in self.port

    @property
    def asked(self) -> str:
        """What ``--device`` takes to mean this very device."""
        return self.alias or self.serial_number or self.port or f"{EMULATED}{self.board}"

    @property
    def identity(self) -> str | None:
        """What it is locked by: serial number, else URL or port; None for an emulated board, which nobody shares."""
        if self.serial_number is not None:
            return f"serial:{self.serial_number.upper()}"
        if self.port is None:
            return None
        return f"url:{self.port}" if self.remote else f"port:{_real(self.port)}"

    def __str__(self) -> str:
        """For a message: alias, serial number, port, whichever there are."""
        if self.emulated:
            return f"{EMULATED}{self.board}"
        serial = f"serial number {printable(self.serial_number, 64)}" if self.serial_number else ""
        return ", ".join(part for part in (self.alias, serial, printable(self.port)) if part)


def ports() -> list[PortInfo]:
    """The serial ports of this machine."""
    from serial.tools import list_ports  # here, to keep --help quick

    return list(list_ports.comports())


def device_of(board: Board, target: Target, *, listing: Listing = ports) -> Device:
    """The device of a target, which must be of this board type; what :func:`resolve` raises."""
    if target.emulate:  # no lab file is needed, nor read
        return resolve(target.device or f"{EMULATED}{board.name}", board, lab=Lab(path_of(target.lab)))
    return resolve(target.device, board, lab=open_lab(target.lab), listing=listing)


def resolve(asked: str | None, board: Board | None = None, *, lab: Lab, listing: Listing = ports) -> Device:
    """The device that is meant.

    Args:
        asked: As ``--device`` has it; None: the only one of ``board``.
        board: The board type that it must be; None: that of the device, where the device says it.
        lab: The lab file.
        listing: Gives the ports of this machine.

    Raises:
        NoBoardError: ``no-board``, ``ambiguous-board``, ``unknown-device``, ``not-attached``.
        UsageError: ``other-board-type``, ``no-board-given``, ``unknown-board``.
    """
    if asked is None:
        if board is None:
            raise _no_board_given("")
        return _only_one(board, lab, _seen(listing))
    if asked.startswith(EMULATED):
        return Device(_demand_type(boards.load(asked.removeprefix(EMULATED)).name, board, asked))
    entry = lab.by_alias(asked)
    if entry is not None:
        return _of_entry(entry, board, _seen(listing))
    return _of_port(asked, board, lab, None) if "://" in asked else _searched(asked, board, lab, _seen(listing))


def _searched(asked: str, board: Board | None, lab: Lab, seen: Sequence[PortInfo]) -> Device:
    """By port, or by serial number of an attached probe or of one in the lab file."""
    real = _real(asked)
    info = next((one for one in seen if one.device == asked or _real(one.device) == real), None)
    if info is not None or _PORT.match(asked):
        return _of_port(asked, board, lab, info)
    info = next((one for one in seen if (one.serial_number or "").upper() == asked.upper()), None)
    if info is not None:
        return _of_port(info.device, board, lab, info)
    entry = lab.by_serial_number(asked)
    if entry is not None:
        return _of_entry(entry, board, seen)
    raise NoBoardError(
        "unknown-device",
        f"no device is called {printable(asked, 80)!r}",
        why=f"{printable(lab.path)} has: {', '.join(one.alias for one in lab.entries) or 'none'}; "
        f"attached: {_all(seen)}.",
        next="See `danas-deploy devices`; --device takes an alias, a serial number, a port, a URL or emulated:BOARD.",
    )


def _real(port: str) -> str:
    """Where a link such as those in /dev/serial/by-id leads to."""
    try:
        return os.path.realpath(port)
    except (OSError, ValueError):  # no name that a file could have
        return port


def _seen(listing: Listing) -> list[PortInfo]:
    return sorted(listing(), key=lambda info: info.device)


def _only_one(board: Board, lab: Lab, seen: Sequence[PortInfo]) -> Device:
    """The one device of this type: by USB id, unless the lab file knows the probe as another board; or remote."""
    wanted = {(usb.vid, usb.pid) for usb in board.usb}
    found: dict[str, Device] = {}
    for info in seen:
        known = lab.by_serial_number(info.serial_number)
        if known.board == board.name if known is not None else (info.vid, info.pid) in wanted:
            device = _device(board.name, info, known)
            # A probe may show more than one port; the first by name is the virtual COM port of those that do.
            found.setdefault(device.identity or "", device)
    for entry in lab.entries:
        if entry.board == board.name and entry.port is not None:
            device = Device(board.name, entry.alias, entry.serial_number, entry.port)
            found[device.identity or ""] = device
    if not found:
        raise _none(board, seen)
    if len(found) > 1:
        raise NoBoardError(
            "ambiguous-board",
            f"{len(found)} devices look like a {board.name}",
            why="; ".join(str(device) for device in found.values()),
            next="Choose one: " + " or ".join(f"--device {shell_word(device.asked)}" for device in found.values()),
        )
    return next(iter(found.values()))


def _of_entry(entry: Entry, board: Board | None, seen: Sequence[PortInfo]) -> Device:
    name = _demand_type(entry.board, board, entry.alias)
    if entry.port is not None:
        return Device(name, entry.alias, entry.serial_number, entry.port)
    info = next((one for one in seen if (one.serial_number or "").upper() == (entry.serial_number or "").upper()), None)
    if info is None:
        where = f", {entry.location}" if entry.location else ""
        raise NoBoardError(
            "not-attached",
            f"{entry.alias} is not attached ({name}, serial number {entry.serial_number}{where})",
            why=f"Attached: {_all(seen)}.",
            next="Attach it and give it power; or name its port in lab.toml, where another machine has it.",
        )
    return _device(name, info, entry)


def _of_port(port: str, board: Board | None, lab: Lab, info: PortInfo | None) -> Device:
    """The device behind a port, whatever is on it; the firmware's own answer says later which board it is."""
    entry = lab.by_port(port) or (lab.by_serial_number(info.serial_number) if info is not None else None)
    if entry is not None:
        name = _demand_type(entry.board, board, port)
        return _device(name, info, entry) if info is not None else Device(name, entry.alias, entry.serial_number, port)
    if board is None:
        raise _no_board_given(f" for {printable(port, 80)}")
    return _device(board.name, info, None) if info is not None else Device(board.name, port=port)


def _device(board: str, info: PortInfo, entry: Entry | None) -> Device:
    serial = info.serial_number or (entry.serial_number if entry is not None else None)
    description = printable(info.description or "")
    return Device(board, entry.alias if entry is not None else None, serial or None, info.device, description)


def _demand_type(name: str, board: Board | None, asked: str) -> str:
    if board is not None and board.name != name:
        raise UsageError(
            "other-board-type",
            f"{printable(asked, 80)} is a {name}, not a {board.name}",
            why="A program is built for one board type.",
            next=f"Give --board {name}, or another --device.",
        )
    return name


def _no_board_given(which: str) -> UsageError:
    return UsageError(
        "no-board-given",
        f"no board type is named{which}",
        why="Only an alias of lab.toml and emulated:BOARD say which board type a device is.",
        next="Add --board NAME; see `danas-deploy boards list`.",
    )


def shown(info: PortInfo) -> str:
    """A port for a message: name, USB id, serial number."""
    usb = f" {info.vid:04X}:{info.pid:04X}" if info.vid is not None and info.pid is not None else ""
    serial = f" serial number {printable(info.serial_number, 64)}" if info.serial_number else ""
    return f"{printable(info.device)}{usb}{serial}"


def _all(seen: Sequence[PortInfo]) -> str:
    more = f" and {len(seen) - 8} more" if len(seen) > 8 else ""
    return ("; ".join(shown(info) for info in seen[:8]) or "none") + more


def _none(board: Board, seen: Sequence[PortInfo]) -> NoBoardError:
    ids = ", ".join(f"{usb.vid:04X}:{usb.pid:04X}" for usb in board.usb) or "none: its file lists no USB ids"
    return NoBoardError(
        "no-board",
        f"no {board.name} is attached",
        why=f"Looked for the USB id {ids}; serial ports there: {_all(seen)}.",
        next="Attach it, name its port with --device PORT, or use the emulated board with --emulate.",
    )
