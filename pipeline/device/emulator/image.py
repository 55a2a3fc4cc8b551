"""The ELF as a flash programmer sees it, and the few symbols that the emulated board looks at."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from pipeline.boards import Board
from pipeline.errors import FlashError, printable

_REBUILD = "Build the firmware again."


@dataclass(frozen=True)
class Range:
    """Addresses ``begin`` … ``end - 1``."""

    begin: int
    end: int


@dataclass(frozen=True)
class Image:
    """What is programmed into flash, and what the symbols say.

    Attributes:
        pieces: Address and bytes, all of them in flash.
        stack: Addresses watched for the lowest store.
        paint: Code that paints the stack, whose stores do not count; None where the ELF does not say.
        functions: Address and name of the functions, by address.
    """

    pieces: tuple[tuple[int, bytes], ...]
    stack: Range
    paint: Range | None
    functions: tuple[tuple[int, str], ...]

    def function_at(self, address: int) -> str:
        """``name+0xoffset`` of the function that ``address`` lies in or behind; empty where there is none."""
        at = bisect.bisect_right(self.functions, (address & ~1, "\uffff")) - 1
        if at < 0:
            return ""
        begin, name = self.functions[at]
        return f"{printable(name, 80)}+0x{(address & ~1) - begin:x}"


def read(path: Path, board: Board) -> Image:
    """Read an ELF for ``board``.

    Raises:
        FlashError: ``bad-image`` where the file is no ELF for a 32-bit Arm, ``image-outside-flash`` where a piece of
            it does not lie in the board's flash.
    """
    try:
        with path.open("rb") as file:
            return _read(ELFFile(file), path, board)
    except OSError as error:
        raise FlashError("bad-image", f"cannot read {path.name}", why=printable(error), next=_REBUILD) from error
    except (ELFError, ValueError, KeyError, IndexError, AttributeError, TypeError, UnicodeError) as error:
        # pyelftools meets a damaged file with whichever of these its reading happens to run into.
        raise FlashError(
            "bad-image", f"{path.name} is no sound ELF file", why=printable(error), next=_REBUILD
        ) from error


def _read(elf: ELFFile, path: Path, board: Board) -> Image:
    if elf.elfclass != 32 or not elf.little_endian or elf["e_machine"] != "EM_ARM":
        raise FlashError("bad-image", f"{path.name} is no program for a 32-bit Arm", next=_REBUILD)
    pieces = []
    for segment in elf.iter_segments(type="PT_LOAD"):
        if segment["p_filesz"] == 0:
            continue
        begin, end = segment["p_paddr"], segment["p_paddr"] + segment["p_filesz"]
        if not any(region.base <= begin and end <= region.end for region in board.flash):
            raise FlashError(
                "image-outside-flash",
                f"{path.name} has bytes for 0x{begin:08x}…0x{end:08x}, outside the flash of {board.name}",
                why="Only flash keeps its contents over a reset.",
                next="Build the firmware for this board.",
            )
        pieces.append((begin, segment.data()))
    if not any(begin == board.flash[0].base for begin, _ in pieces):
        raise FlashError(
            "bad-image",
            f"{path.name} has no vector table at 0x{board.flash[0].base:08x}",
            next="Build the firmware for this board.",
        )
    symbols, functions = _symbols(elf)
    vectors = next(data for begin, data in pieces if begin == board.flash[0].base)
    return Image(
        pieces=tuple(pieces),
        stack=_stack(elf, symbols, int.from_bytes(vectors[:4], "little") & ~3, board),
        paint=_paint(symbols),
        functions=functions,
    )


def _symbols(elf: ELFFile) -> tuple[dict[str, int], tuple[tuple[int, str], ...]]:
    table = elf.get_section_by_name(".symtab")
    if table is None:
        return {}, ()
    values: dict[str, int] = {}
    functions: list[tuple[int, str]] = []
    for symbol in table.iter_symbols():
        if symbol["st_shndx"] == "SHN_UNDEF":
            continue
        values[symbol.name] = symbol["st_value"]
        if symbol["st_info"]["type"] == "STT_FUNC":
            functions.append((symbol["st_value"] & ~1, symbol.name))
    return values, tuple(sorted(functions))


def _paint(symbols: dict[str, int]) -> Range | None:
    begin, end = symbols.get("danas_paint_begin"), symbols.get("danas_paint_end")
    if begin is None or end is None:
        return None
    return Range(begin & ~1, end & ~1)


def _stack(elf: ELFFile, symbols: dict[str, int], initial_sp: int, board: Board) -> Range:
    bottom, top = symbols.get("danas_stack_bottom"), symbols.get("danas_stack_top")
    if bottom is not None and top is not None and bottom < top:
        return Range(bottom, top)
    # Without the symbols: from the last variable below the initial stack pointer, or the start of its RAM, up to it.
    floor = next((area.base for area in board.areas if area.base < initial_sp <= area.end), board.ram[0].base)
    for section in elf.iter_sections():
        writable = section["sh_flags"] & SH_FLAGS.SHF_WRITE and section["sh_flags"] & SH_FLAGS.SHF_ALLOC
        end = section["sh_addr"] + section["sh_size"]
        if writable and section["sh_size"] and floor < end <= initial_sp:
            floor = end
    return Range(floor, max(initial_sp, floor))
