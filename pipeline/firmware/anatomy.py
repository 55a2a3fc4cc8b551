"""What a built program's flash is made of, by the items of its estimate: model, kernels, runtime, port, libraries.

Every byte of the image is the model's, a kernel's, the runtime's, the port's or a library's: the link map says from
which object it came. What the linker filled in belongs to the piece before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.estimate.model import Item
from pipeline.firmware import link_map
from pipeline.firmware.elf import ElfReport
from pipeline.firmware.link_map import Piece

#: Sections that take room in flash, by the linker script.
_IN_FLASH = (".vectors", ".text", ".rodata", ".init_array", ".data")
_LIBRARY = re.compile(r"/lib[0-9a-f]{3}/(app|port|runtime)/(?:.*/)?([^/]+)\.o$")
_SOURCE = re.compile(r"/src/(\w+)\.o$")
_ARCHIVE = re.compile(r"/lib([^/()]+)\.a\(([^()]+)\)$")
_TOOLCHAIN = ("gcc", "c", "c_nano", "g", "m", "nosys", "stdc++", "stdc++_nano", "supc++", "supc++_nano")
_NAMES = {"app": "command loop", "port": "board"}

MODEL, KERNELS, RUNTIME, PORT, LIBRARIES = "model", "kernels", "runtime", "port", "libraries"
_ITEMS = (MODEL, KERNELS, RUNTIME, PORT, LIBRARIES)


@dataclass(frozen=True)
class Anatomy:
    """Bytes of flash by what they belong to.

    Attributes:
        items: ``model``, ``kernels``, ``runtime``, ``port``, ``libraries``, with their parts; together they are the
            image.
        pieces: Of kernels and libraries: bytes by file and linker's name, ``conv_2d/_ZN5danas3aot…``.
    """

    items: tuple[Item, ...]
    pieces: dict[str, int]

    def bytes(self, name: str) -> int:
        """Bytes of an item."""
        return next(item.bytes for item in self.items if item.name == name)


def dissect(report: ElfReport, link: Path) -> Anatomy:
    """Share out the image of a program.

    Args:
        report: Of the ELF.
        link: Its link map.

    Raises:
        BuildError: ``bad-map``.
    """
    found: dict[str, dict[str, int]] = {name: {} for name in _ITEMS}
    pieces: dict[str, int] = {}
    place, piece_name, total = (PORT, "board"), "", 0
    for piece in link_map.read(link):
        if piece.section not in _IN_FLASH:
            continue
        total += piece.size
        if piece.object:
            place, piece_name = _place(piece)
        parts = found[place[0]]
        parts[place[1]] = parts.get(place[1], 0) + piece.size
        if piece_name:
            pieces[piece_name] = pieces.get(piece_name, 0) + piece.size
    # Between sections.
    found[PORT]["padding"] = report.flash_bytes - total
    items = tuple(
        Item(
            name=name,
            bytes=sum(parts.values()),
            parts=tuple(Item(name=part, bytes=size) for part, size in sorted(parts.items()) if size),
        )
        for name, parts in found.items()
    )
    return Anatomy(items, {name: size for name, size in pieces.items() if size})


def _place(piece: Piece) -> tuple[tuple[str, str], str]:
    """((item, part), name) of a piece; only kernels' and libraries' have names."""
    name = piece.name.removeprefix(".text.")
    source = _SOURCE.search(piece.object)
    if source is not None:
        return _of_source(source[1], piece), ""
    library = _LIBRARY.search(piece.object)
    if library is not None:
        folder, file = library.groups()
        if folder == "runtime":
            return (KERNELS, file), f"{file}/{name}"
        return (PORT, _NAMES[folder]), ""
    archive = _ARCHIVE.search(piece.object)
    if archive is not None and archive[1] not in _TOOLCHAIN:
        return (RUNTIME, archive[1].partition("-")[0]), ""
    file = archive[1] if archive is not None else Path(piece.object).stem
    member = archive[2].removesuffix(".o") if archive is not None else ""
    return (LIBRARIES, file), f"{file}/{member}/{name}"


def _of_source(file: str, piece: Piece) -> tuple[str, str]:
    """Of the sources that are rendered from the model."""
    if file == "constants":
        return MODEL, "weights and tables"
    if file != "model":
        return PORT, "identity"
    if piece.section == ".text":
        return RUNTIME, "calls" if "4callE" in piece.name else "executor"
    if piece.name == ".rodata" or "4nameEv" in piece.name:  # what the two edges are initialised with; the name
        return RUNTIME, "executor"
    if "kStage" in piece.name and "kStages" not in piece.name:
        return MODEL, "parameters"
    return MODEL, "schedule"
