"""Reads the linker's map: which piece of which object lies where, byte for byte of what takes room in flash."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import BuildError, printable

_BEGIN = "Linker script and memory map"
_HEX = r"0x([0-9a-f]{1,16})"
#: At the beginning of a line an output section, after a blank a piece of it; long names have a line of their own.
_HEAD = re.compile(rf"^( ?)([.*]\S*)(?:\s+{_HEX}\s+{_HEX}(?:\s+(\S.*?))?)?\s*$")
_REST = re.compile(rf"^\s+{_HEX}\s+{_HEX}(?:\s+(\S.*?))?\s*$")
_FILL = "*fill*"
#: No map of a microcontroller's program is larger.
_LARGEST_FILE = 64 * 2**20


@dataclass(frozen=True)
class Piece:
    """Bytes of an output section that came from one input section.

    Attributes:
        section: Of the program: ``.text``.
        name: Of the object: ``.text._ZN5danas3aot…``; empty for what the linker filled in to align the next piece.
        object: Path of the object, with its archive: ``libgcc.a(_udivmoddi4.o)``; empty for what was filled in.
        size: Bytes; 0 where equal texts were merged into another piece.
    """

    section: str
    name: str
    object: str
    size: int


def read(path: Path) -> tuple[Piece, ...]:
    """The pieces of a program, in the order of the map; those of a section are as large as the section.

    Raises:
        BuildError: ``bad-map``: missing, too large, or not a linker's map.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise _bad(path, "the file is too large")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise _bad(path, printable(error.strerror or error)) from error
    pieces = parse(text)
    if not pieces:
        raise _bad(path, "it lists no sections")
    return pieces


def parse(text: str) -> tuple[Piece, ...]:
    """The pieces that a map's text lists; none where it is no map."""
    _, _, listed = text.partition(f"{_BEGIN}\n")
    return tuple(piece for section in _sections(listed) for piece in section.pieces())


@dataclass
class _Section:
    """An output section; ``inputs`` are (address, size, name, object) as the map has them."""

    name: str
    address: int
    size: int
    inputs: list[tuple[int, int, str, str]]

    def pieces(self) -> Iterator[Piece]:
        """Each piece ends where the next begins: where texts are merged, the map has sizes from before."""
        end = self.address + self.size
        starts = [address for address, *_ in self.inputs[1:]] + [end]
        place = self.address
        for (address, size, name, origin), following in zip(self.inputs, starts, strict=False):
            if not self.address <= address <= end:
                continue
            if address > place:
                yield Piece(self.name, "", "", address - place)
            share = max(0, min(size, following - address, end - address))
            place = max(place, address + share)
            if origin or share:
                yield Piece(self.name, name, origin, share)
        if end > place:
            yield Piece(self.name, "", "", end - place)


def _sections(text: str) -> list[_Section]:
    found: list[_Section] = []
    indent = name = ""
    for line in text.split("\n"):
        head = _HEAD.match(line)
        if head is not None:
            indent, name, *values = head.groups()
        else:
            rest = _REST.match(line) if name else None
            if rest is None:
                name = ""
                continue
            values = list(rest.groups())
        address, size, origin = values
        if address is None:
            continue
        if not indent:
            found.append(_Section(name, int(address, 16), int(size, 16), []))
        elif found and (name == _FILL or origin):
            names = ("", "") if name == _FILL else (name, origin)
            found[-1].inputs.append((int(address, 16), int(size, 16), *names))
        name = ""
    return found


def _bad(path: Path, why: str) -> BuildError:
    return BuildError(
        "bad-map", f"{printable(path)} is no link map", why=printable(why), next="Build the firmware again."
    )
