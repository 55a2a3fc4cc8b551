"""Reads what the linker made: sizes, symbols and identity of a firmware's ELF file.

An ELF is a file like any other: nothing in it is trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from pipeline.errors import BuildError, printable
from pipeline.estimate.kernels import words
from pipeline.estimate.model import Item

#: No firmware of a microcontroller is larger, debug information included.
_LARGEST_FILE = 256 * 2**20
_ALLOCATED = 0x2  # SHF_ALLOC
_NAMESPACE = "_ZN5danas8identity"
_ARENA = "danas_arena"
_SYMBOLS = (
    "Reset_Handler",
    "danas_paint_begin",
    "danas_paint_end",
    "danas_stack_bottom",
    "danas_stack_top",
    "danas_data_start",
    "danas_data_end",
    "danas_bss_start",
    "danas_bss_end",
    _ARENA,
    "danas_arena_start",
    "danas_arena_end",
)
#: Variables whose size follows from the model, by what they are for; whole words each (model.cpp, first_output.cpp).
_MODEL_STATIC = {
    "runtime state": ("_ZN5danas7runtime12_GLOBAL__N_19cycles_ofE", "_ZN5danas7runtime12_GLOBAL__N_14doneE"),
    "output copy": ("_ZN5danas3app12first_outputE",),
}


@dataclass(frozen=True)
class ElfReport:
    """What the ELF says. All sizes in bytes, all of :data:`pipeline.figures.Source.LINKED_ELF`.

    ``sections`` are those that take memory on the device. ``flash_bytes`` is the extent of the image in flash: code,
    constants and the initial values of .data, with the padding between them; it is the size of the .bin file.
    ``load_bytes`` are the file bytes of all PT_LOAD segments: the same without the padding between segments.
    ``static_bytes`` is .data + .bss outside the arena.
    """

    path: Path
    sections: dict[str, int]
    symbols: dict[str, int]
    flash_bytes: int
    static_bytes: int
    arena_bytes: int
    stack_reserve: int
    board: str
    build_id: str
    model_hash: str
    model_id: str
    data_bytes: int = 0
    load_bytes: int = 0
    functions: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def ram(self) -> tuple[Item, ...]:
        """Arena and static data, the latter in the parts of an Estimate: what is no model's is the program's."""
        sizes = {name: sum(words(self.functions.get(one, 0)) for one in of) for name, of in _MODEL_STATIC.items()}
        program = Item(name="program", bytes=self.static_bytes - sum(sizes.values()))
        parts = (program, *(Item(name=name, bytes=size) for name, size in sizes.items()))
        return Item(name="arena", bytes=self.arena_bytes), Item(name="static", bytes=self.static_bytes, parts=parts)


def read(path: Path, *, framework: bool = False) -> ElfReport:
    """Read a firmware's ELF.

    Args:
        path: The file.
        framework: The program is a part of a framework's, whose linker script has none of our names: static data is
            that of both, and of the stack nothing is set aside by us.

    Raises:
        BuildError: ``bad-elf``: missing, corrupt, for another machine, or not one of our programs.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise _bad(path, "the file is too large")
        with path.open("rb") as file:
            return _report(path, ELFFile(file), framework=framework)
    except BuildError:
        raise
    except Exception as error:  # pyelftools raises whatever a damaged file makes its parsing stumble over
        raise _bad(path, f"{type(error).__name__}: {error}") from error


def _bad(path: Path, why: str) -> BuildError:
    return BuildError(
        "bad-elf", f"{printable(path)} is not a firmware of ours", why=printable(why), next="Build it again."
    )


def _report(path: Path, elf: Any, *, framework: bool) -> ElfReport:
    if elf["e_machine"] != "EM_ARM" or elf.elfclass != 32 or not elf.little_endian or elf["e_type"] != "ET_EXEC":
        raise _bad(path, "it is no 32-bit little-endian Arm program")
    sections = {
        section.name: section["sh_size"]
        for section in elf.iter_sections()
        if section["sh_flags"] & _ALLOCATED and section["sh_size"]
    }
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        raise _bad(path, "it has no symbols")
    symbols: dict[str, int] = {}
    functions: dict[str, int] = {}
    texts: dict[str, str] = {}
    for symbol in table.iter_symbols():
        if symbol.name in _SYMBOLS:
            symbols[symbol.name] = symbol["st_value"]
        elif symbol.name.startswith(_NAMESPACE):
            texts[symbol.name] = _text(elf, symbol)
        if symbol["st_info"]["type"] in ("STT_FUNC", "STT_OBJECT") and symbol["st_size"]:
            functions[symbol.name] = symbol["st_size"]
    missing = [name for name in ((_ARENA,) if framework else _SYMBOLS) if name not in symbols]
    if missing:
        raise _bad(path, f"symbol {missing[0]} is missing")
    loaded = [
        (segment["p_paddr"], segment["p_filesz"])
        for segment in elf.iter_segments()
        if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
    ]
    if not loaded:
        raise _bad(path, "there is nothing to load")

    def between(first: str, last: str) -> int:
        size = symbols[last] - symbols[first]
        if size < 0:
            raise _bad(path, f"{last} lies before {first}")
        return size

    if framework:
        data, arena, reserve = sections.get(".data", 0), functions.get(_ARENA, 0), 0
        static = data + sections.get(".bss", 0) - arena
        if not 0 < arena <= sections.get(".bss", 0):
            raise _bad(path, "its arena does not lie in .bss")
    else:
        data = between("danas_data_start", "danas_data_end")
        static = data + between("danas_bss_start", "danas_bss_end")
        arena = between("danas_arena_start", "danas_arena_end")
        reserve = between("danas_stack_bottom", "danas_stack_top")
    return ElfReport(
        path=path,
        sections=sections,
        symbols=symbols,
        flash_bytes=max(start + size for start, size in loaded) - min(start for start, _ in loaded),
        static_bytes=static,
        arena_bytes=arena,
        stack_reserve=reserve,
        board=_identity(path, texts, "board", r"[a-z][a-z0-9_]{1,39}"),
        build_id=_identity(path, texts, "build_id", r"[0-9a-f]{16}"),
        model_hash=_identity(path, texts, "model_hash", r"[0-9a-f]{64}"),
        model_id=_identity(path, texts, "model_id", r"[A-Za-z0-9._-]{1,32}"),
        data_bytes=data,
        load_bytes=sum(size for _, size in loaded),
        functions=functions,
    )


def _text(elf: Any, symbol: Any) -> str:
    """The zero-terminated text at a symbol; empty where it lies in no section with content."""
    address, size = symbol["st_value"], min(symbol["st_size"], 256)
    for section in elf.iter_sections():
        offset = address - section["sh_addr"]
        inside = 0 <= offset <= section["sh_size"] - size
        if section["sh_flags"] & _ALLOCATED and section["sh_type"] == "SHT_PROGBITS" and inside:
            content: bytes = section.data()[offset : offset + size]
            return content.partition(b"\0")[0].decode("ascii", "replace")
    return ""


def _identity(path: Path, texts: dict[str, str], name: str, form: str) -> str:
    text = texts.get(f"{_NAMESPACE}{len(name)}{name}E", "")
    if not re.fullmatch(form, text):
        raise _bad(path, f"its identity has no {name}")
    return text
