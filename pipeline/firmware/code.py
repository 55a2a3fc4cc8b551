"""The functions of a linked program: their machine code, what it calls, and the stack that its debug information tells.

Every byte of a section of code belongs to the last function that begins before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from pipeline.errors import BuildError, printable
from pipeline.firmware.thumb import Flow, flow

_LARGEST_FILE = 256 * 2**20
_ALLOCATED, _EXECUTABLE = 0x2, 0x4  # SHF_ALLOC, SHF_EXECINSTR
#: DWARF's numbers of the stack pointer, and of the core registers that a function must leave as they were: r4 to r11,
#: and lr. Sources: DWARF for the Arm Architecture, and the Procedure Call Standard for it.
_SP = 13
_SAVED = frozenset((4, 5, 6, 7, 8, 9, 10, 11, 14))


@dataclass(frozen=True)
class Frame:
    """What ``.debug_frame`` says of a function.

    Attributes:
        bytes: How far the stack pointer gets below the caller's; None where that is not a number.
        saved: Bytes of it in which core registers are saved.
    """

    bytes: int | None
    saved: int


@dataclass(frozen=True)
class Code:
    """A function of the program.

    Attributes:
        name: The linker's name.
        file: The source file's name where the function is not public, else empty.
        address: Where it begins.
        size: Bytes to the next function.
        flow: What its instructions do.
        frame: None where the debug information does not know the function.
    """

    name: str
    file: str
    address: int
    size: int
    flow: Flow
    frame: Frame | None

    @property
    def key(self) -> str:
        """The linker's name; of a function that is not public the file's stands before it: ``a.cpp:_ZL1fv``."""
        return f"{self.file}:{self.name}" if self.file else self.name


@dataclass(frozen=True)
class Program:
    """What a call graph is made of.

    Attributes:
        functions: By key; of those at one address the first.
        keys: The keys in ``functions`` of all keys that there are: one function may have several.
        files: Names of the source files.
        variables: (address, bytes) of variables, and of the names that the linker script defines, by name.
    """

    functions: dict[str, Code]
    keys: dict[str, str]
    files: frozenset[str]
    variables: dict[str, tuple[int, int]]
    sections: tuple[tuple[int, bytes], ...] = field(repr=False)

    def words(self, begin: int, end: int) -> tuple[int, ...]:
        """The 32-bit words of a part of the program's memory that the file has; none where it has not."""
        for address, content in self.sections:
            if address <= begin <= end <= address + len(content):
                part = content[begin - address : end - address]
                return tuple(int.from_bytes(part[at : at + 4], "little") for at in range(0, len(part) - 3, 4))
        return ()


def read(path: Path) -> Program:
    """Read a program.

    Raises:
        BuildError: ``bad-elf``: missing, corrupt or for another machine.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError("the file is too large")
        with path.open("rb") as file:
            return _program(ELFFile(file))
    except Exception as error:  # pyelftools raises whatever a damaged file makes its parsing stumble over
        raise BuildError(
            "bad-elf",
            f"{printable(path)} is not a firmware of ours",
            why=printable(f"{type(error).__name__}: {error}"),
            next="Build it again.",
        ) from error


@dataclass(frozen=True)
class _Symbol:
    name: str
    file: str
    address: int


def _program(elf: Any) -> Program:
    if elf["e_machine"] != "EM_ARM" or elf.elfclass != 32 or not elf.little_endian:
        raise ValueError("it is no 32-bit little-endian Arm program")
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        raise ValueError("it has no symbols")
    starts: dict[int, list[_Symbol]] = {}
    data: dict[int, bool] = {}
    files = set()
    variables = {}
    file = ""
    for symbol in table.iter_symbols():
        kind, binding, name = symbol["st_info"]["type"], symbol["st_info"]["bind"], symbol.name
        if kind == "STT_FILE":
            file = name
            files.add(name)
        elif symbol["st_shndx"] == "SHN_UNDEF":
            continue
        elif kind == "STT_FUNC":
            address = symbol["st_value"] & ~1
            starts.setdefault(address, []).append(_Symbol(name, file if binding == "STB_LOCAL" else "", address))
        elif name[:2] in ("$t", "$d") and name[2:3] in ("", "."):
            data[symbol["st_value"]] = name[1] == "d"
        else:
            variables[name] = (symbol["st_value"], symbol["st_size"])
    frames = dict(_frames(elf))
    functions: dict[str, Code] = {}
    keys: dict[str, str] = {}
    sections = []
    for section in elf.iter_sections():
        if not section["sh_flags"] & _ALLOCATED or section["sh_type"] == "SHT_NOBITS":
            continue
        start, content = section["sh_addr"], section.data()
        sections.append((start, content))
        if not section["sh_flags"] & _EXECUTABLE:
            continue
        here = sorted(address for address in starts if start <= address < start + len(content))
        for address, end in pairwise((*here, start + len(content))):
            names = [Code(one.name, one.file, address, end - address, _EMPTY, None) for one in starts[address]]
            names.sort(key=lambda code: (bool(code.file), code.key))
            key = names[0].key
            found = flow(*_instructions(content[address - start : end - start], address, data))
            functions[key] = Code(names[0].name, names[0].file, address, end - address, found, frames.get(address))
            keys.update((code.key, key) for code in names)
    return Program(functions, keys, frozenset(files), variables, tuple(sections))


_EMPTY = Flow(frozenset(), frozenset(), linked=False, jumps=False, moves=False)


def _instructions(code: bytes, address: int, data: dict[int, bool]) -> tuple[bytes, int]:
    """A function's code, data in it overwritten with NOP: mapping symbols tell (ELF for the Arm Architecture)."""
    cleaned = bytearray(code)
    places = sorted(place for place in data if address <= place < address + len(code))
    for place, end in pairwise((*places, address + len(code))):
        if data[place]:
            cleaned[place - address : end - address] = (b"\0\xbf" * len(code))[: end - place]
    return bytes(cleaned), address


def _frames(elf: Any) -> Iterator[tuple[int, Frame]]:
    """Of each function that ``.debug_frame`` tells of, by its address."""
    if not elf.has_dwarf_info():
        return
    information = elf.get_dwarf_info()
    if not information.has_CFI():
        return
    for entry in information.CFI_entries():
        if isinstance(entry, FDE):
            rows = entry.get_decoded().table
            offsets = [row["cfa"].offset if row["cfa"].reg == _SP else None for row in rows]
            known = [offset for offset in offsets if offset is not None]
            saved = {register for row in rows for register in row if register in _SAVED}
            bytes_ = max(known, default=0) if len(known) == len(offsets) else None
            yield entry["initial_location"] & ~1, Frame(bytes_, 4 * len(saved))
