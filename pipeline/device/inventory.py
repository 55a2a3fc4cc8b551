"""What there is: devices that are attached, those that lab.toml knows, and by whom each is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline import boards
from pipeline.device.discovery import Device, Listing, ports
from pipeline.device.lab import Lab
from pipeline.device.locks import Holder, holder
from pipeline.errors import printable


@dataclass(frozen=True)
class Row:
    """A device that is attached, or known, or both.

    Attributes:
        device: Which one; ``board`` is empty where nothing says what board type it is.
        state: ``attached``, ``absent``, or ``remote``: reached by a URL, and not asked.
        may_be: Board types with this USB id, for a device that the lab file does not know.
        location, notes: As the lab file has them.
        holder: Who holds it; None: nobody.
    """

    device: Device
    state: Literal["attached", "absent", "remote"]
    may_be: tuple[str, ...] = ()
    location: str = ""
    notes: str = ""
    holder: Holder | None = None

    def as_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "alias": self.device.alias,
            "board": self.device.board or None,
            "may_be": list(self.may_be),
            "serial_number": None if self.device.serial_number is None else printable(self.device.serial_number),
            "port": printable(self.device.port) if self.device.port else None,
            "description": self.device.description,
            "state": self.state,
            "location": self.location,
            "notes": self.notes,
            "locked_by": None if self.holder is None else self.holder.model_dump(),
        }


def inventory(lab: Lab, *, listing: Listing = ports) -> tuple[Row, ...]:
    """The lab's devices in its file's order, then what else is attached by USB, by port.

    Raises:
        EnvironmentProblem: ``lock-folder``.
    """
    seen = sorted(listing(), key=lambda info: info.device)
    found: list[Row] = []
    for entry in lab.entries:
        info = next((one for one in seen if _same(one.serial_number, entry.serial_number)), None)
        port = entry.port or (info.device if info is not None else "")
        device = Device(entry.board, entry.alias, entry.serial_number, port)
        here = info is not None or any(one.device == entry.port for one in seen)
        state: Literal["attached", "absent", "remote"] = "remote" if device.remote else "attached" if here else "absent"
        found.append(Row(device, state, (), entry.location, entry.notes, holder(device)))
    known = {(entry.serial_number or "").upper() for entry in lab.entries}
    named = {entry.port for entry in lab.entries}
    kinds = [boards.load(name) for name in boards.names()]
    others: dict[str, Row] = {}
    for info in seen:
        if info.vid is None or (info.serial_number or "").upper() in known - {""} or info.device in named:
            continue
        device = Device("", None, info.serial_number or None, info.device, printable(info.description or ""))
        may_be = tuple(kind.name for kind in kinds if (info.vid, info.pid) in {(usb.vid, usb.pid) for usb in kind.usb})
        others.setdefault(device.identity or "", Row(device, "attached", may_be, holder=holder(device)))
    return (*found, *others.values())


def _same(one: str | None, other: str | None) -> bool:
    return bool(one) and bool(other) and (one or "").upper() == (other or "").upper()
