"""The lab: which devices there are, in the user's ``lab.toml``.

::

    schema_version = 1

    [[device]]
    alias = "desk-f7"
    board = "nucleo_f746zg"
    serial_number = "066EFF303435554157121019"   # of the probe: the device's identity
    port = "rfc2217://rack1:4000"                # only where the serial line is not on this machine's USB
    location = "rack 1, slot 3"
    notes = "blue jumper on JP5"

The file is ``--lab FILE``, else that of ``DANAS_LAB``, else ``lab.toml`` in the user's configuration directory. A file
that does not exist at the last of these places is an empty lab. What a board type is stands in ``boards/*.toml``, never
here.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline import boards
from pipeline.errors import NoBoardError, UsageError, printable
from pipeline.files import disk_problem, write_atomic

VARIABLE = "DANAS_LAB"
#: Words that ``--device`` and ``--devices`` take for something else than an alias.
_RESERVED = frozenset({"all", "emulated"})
_LARGEST_BYTES = 1 << 20
_TELLS_APART = "It is what tells devices apart."
_MEND = "Mend one of them, or take it out."

Alias = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
#: What a probe has, and all that may reach OpenOCD's command line (firmware_templates/platform/bare_metal.py).
SerialNumber = Annotated[str, Field(pattern=r"^[0-9A-Za-z]{4,64}$")]


class Entry(BaseModel):
    """A device as lab.toml names it.

    Attributes:
        alias: What ``--device`` takes.
        board: Its board type.
        serial_number: Of its probe; None where the line has no USB of its own.
        port: Device file or pyserial URL, for a line that is not found by the serial number on this machine's USB.
        location, notes: For people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alias: Alias
    board: Annotated[str, Field(min_length=1, max_length=40)]
    serial_number: SerialNumber | None = None
    port: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    location: Annotated[str, Field(max_length=200)] = ""
    notes: Annotated[str, Field(max_length=1000)] = ""

    @field_validator("board", "port", "location", "notes")
    @classmethod
    def _is_one_line(cls, text: str | None) -> str | None:
        if text is not None and printable(text, len(text) + 1) != text:
            raise ValueError("control characters have no place in a lab file")
        return text

    @field_validator("alias")
    @classmethod
    def _is_no_keyword(cls, alias: str) -> str:
        if alias.lower() in _RESERVED or re.fullmatch(r"COM\d+", alias, re.IGNORECASE):
            raise ValueError("this word means something else to --device")
        return alias

    @model_validator(mode="after")
    def _can_be_found(self) -> Entry:
        if self.serial_number is None and self.port is None:
            raise ValueError("a device needs a serial_number, a port, or both")
        return self


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    device: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Lab:
    """The devices of one lab file."""

    path: Path
    entries: tuple[Entry, ...] = ()

    def by_alias(self, alias: str) -> Entry | None:
        """The entry of this alias, whatever the case of its letters."""
        return next((one for one in self.entries if one.alias.lower() == alias.lower()), None)

    def by_serial_number(self, serial_number: str | None) -> Entry | None:
        """The entry of this probe."""
        wanted = (serial_number or "").upper()
        return next((one for one in self.entries if wanted and (one.serial_number or "").upper() == wanted), None)

    def by_port(self, port: str) -> Entry | None:
        """The entry that names this port or URL."""
        return next((one for one in self.entries if one.port == port), None)


def path_of(given: str | Path | None = None) -> Path:
    """Where the lab file is: as given, else by ``DANAS_LAB``, else the user's own."""
    chosen = str(given) if given else os.environ.get(VARIABLE, "")
    return Path(chosen).expanduser() if chosen else platformdirs.user_config_path("danas-deploy", False) / "lab.toml"


def open_lab(given: str | Path | None = None) -> Lab:
    """Read and validate the lab file.

    Args:
        given: The file, as ``--lab`` names it.

    Raises:
        UsageError: ``lab-missing``, ``lab-unreadable``, ``lab-not-toml``, ``lab-field``, ``lab-unknown-board``,
            ``lab-serial-twice``, ``lab-alias-twice``, ``lab-port-twice``.
    """
    path = path_of(given)
    named = bool(given) or bool(os.environ.get(VARIABLE))
    try:
        if not named and not path.exists():
            return Lab(path)
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(
            "lab-missing",
            f"there is no lab file {printable(path)}",
            why=f"It is named by --lab or {VARIABLE}.",
            next="Name another file; `danas-deploy devices add ALIAS --board BOARD --serial-number NUMBER` makes one.",
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            "lab-unreadable",
            f"the lab file {printable(path)} cannot be read",
            why=printable(getattr(error, "strerror", None) or error),
            next="Make it a file that you may read, or name another one with --lab.",
        ) from error
    return Lab(path, _parsed(path, content))


def _parsed(path: Path, content: bytes) -> tuple[Entry, ...]:
    try:
        if len(content) > _LARGEST_BYTES:
            raise ValueError(f"it is larger than {_LARGEST_BYTES} bytes")
        values = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise UsageError(
            "lab-not-toml",
            f"{printable(path)} is no TOML file",
            why=printable(error),
            next="Mend the line; docs/lab.md shows a lab file.",
        ) from error
    try:
        entries = _File.model_validate(values).device
    except ValidationError as error:
        raise _field_error(path, values, error) from error
    _demand_sound(path, entries)
    return entries


def _field_error(path: Path, values: dict[str, Any], error: ValidationError) -> UsageError:
    first = error.errors()[0]
    place, whose = first["loc"], ""
    if len(place) > 1 and isinstance(place[1], int):
        row = values["device"][place[1]]
        alias = row.get("alias") if isinstance(row, dict) else None
        whose = f"device {place[1] + 1}" + (f" ({printable(alias, 40)})" if isinstance(alias, str) else "") + ": "
        place = place[2:]
    field = f"{'.'.join(map(str, place))}: " if place else ""
    return UsageError(
        "lab-field",
        f"{printable(path)}: {whose}{printable(field)}{printable(first['msg'])}",
        why=f"{error.error_count()} wrong field(s).",
        next="Mend the field; docs/lab.md has what each may hold.",
    )


def _demand_sound(path: Path, entries: tuple[Entry, ...]) -> None:
    """Every device has a known board type, and nothing that tells devices apart is there twice."""
    known = boards.names()
    for entry in entries:
        if entry.board not in known:
            raise UsageError(
                "lab-unknown-board",
                f"{printable(path)}: {entry.alias}: unknown board {printable(entry.board)!r}",
                why=f"Known boards: {', '.join(known)}.",
                next="Mend its `board`; see `danas-deploy boards list`.",
            )
    aliases = [entry.alias for entry in entries]
    same = _same(path, "alias", aliases, [alias.lower() for alias in aliases])
    if same:
        raise UsageError("lab-alias-twice", same, why=_TELLS_APART, next=_MEND)
    same = _same(path, "serial number", aliases, [(entry.serial_number or "").upper() for entry in entries])
    if same:
        raise UsageError("lab-serial-twice", same, why=_TELLS_APART, next=_MEND)
    same = _same(path, "port", aliases, [entry.port or "" for entry in entries])
    if same:
        raise UsageError("lab-port-twice", same, why=_TELLS_APART, next=_MEND)
    serials = {(entry.serial_number or "").upper(): entry.alias for entry in entries}
    for alias in aliases:
        other = serials.get(alias.upper())
        if other is not None and other != alias:
            raise UsageError(
                "lab-alias-twice",
                f"{printable(path)}: the alias {alias} is the serial number of {other}",
                why="`--device` could mean either.",
                next="Choose another alias.",
            )


def _same(path: Path, what: str, aliases: Sequence[str], keys: Sequence[str]) -> str:
    """Says which two devices have the same key; empty where none have. An empty key is none."""
    first: dict[str, int] = {}
    for number, key in enumerate(keys):
        if key and first.setdefault(key, number) != number:
            return (
                f"{printable(path)}: devices {first[key] + 1} ({aliases[first[key]]}) and {number + 1} "
                f"({aliases[number]}) have the same {what} {printable(key)}"
            )
    return ""


def add(entry: Entry, given: str | Path | None = None) -> Path:
    """Write one more device into the lab file, made if need be; comments and order of the others stay.

    Raises:
        UsageError: What :func:`open_lab` raises, of the file as it is or as it would become.
        EnvironmentProblem: ``not-writable``, ``disk-full``.
    """
    import tomlkit

    values = entry.model_dump(exclude_none=True, exclude_defaults=True)
    with _changing(path_of(given)) as path:
        text = path.read_text(encoding="utf-8") if path.exists() else "schema_version = 1\n"
        _parsed(path, text.encode())
        document = tomlkit.parse(text)
        devices = document.get("device")
        if not isinstance(devices, tomlkit.items.AoT):  # no table yet, or an empty array
            document.pop("device", None)
            devices = tomlkit.aot()
            document.append("device", devices)
        table = tomlkit.table()
        table.update(values)
        devices.append(table)
        changed = tomlkit.dumps(document)
        _parsed(path, changed.encode())
        write_atomic(path, changed)
    return path


def remove(alias: str, given: str | Path | None = None) -> Path:
    """Take a device out of the lab file.

    Raises:
        NoBoardError: ``unknown-device``.
        UsageError: What :func:`open_lab` raises.
        EnvironmentProblem: ``not-writable``, ``disk-full``.
    """
    import tomlkit

    with _changing(path_of(given)) as path:
        lab = open_lab(given)
        entry = lab.by_alias(alias)
        if entry is None:
            raise NoBoardError(
                "unknown-device",
                f"{printable(path)} has no device {printable(alias, 60)!r}",
                why=f"It has: {', '.join(one.alias for one in lab.entries) or 'none'}.",
                next="Name one of these.",
            )
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
        del document["device"][lab.entries.index(entry)]
        write_atomic(path, tomlkit.dumps(document))
    return path


class _changing:  # noqa: N801 - used as a function
    """The lab file, for one process at a time: two that add a device would each lose the other's."""

    def __init__(self, path: Path) -> None:
        # Through a link to the file itself: a lab file kept elsewhere stays there.
        self._path = Path(os.path.realpath(path))
        self._lock = FileLock(self._path.with_name(f".{self._path.name}.lock"), timeout=10)

    def __enter__(self) -> Path:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise disk_problem(error, self._path) from error
        return self._path

    def __exit__(self, *_: object) -> None:
        self._lock.release()
