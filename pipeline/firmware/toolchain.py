"""Which compiler builds here, and which has built an ELF."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from elftools.elf.elffile import ELFFile

from pipeline import resources
from pipeline.boards import Board
from pipeline.errors import BuildError, printable
from pipeline.estimate.compilers import Toolchain

GCC = "arm-none-eabi-gcc"
_ANSWER_S = 10.0
_KERNELS = "/lib/runtime/"


def at_hand(board: Board, environment: str | None = None) -> Toolchain:
    """What a build in an environment will take; no compiler where none is on PATH, or the environment brings its own.

    Args:
        board: The board type.
        environment: PlatformIO environment; None: the board's local one.
    """
    local = (environment or board.build.usual) == board.build.local
    return Toolchain(compiler=compiler() if local else "", flags=flags(board))


def compiler() -> str:
    """The first line about itself of the compiler on PATH; empty where there is none."""
    path = shutil.which(GCC)
    return _answer(path) if path is not None else ""


@cache
def _answer(path: str) -> str:
    try:
        found = subprocess.run([path, "--version"], capture_output=True, text=True, check=True, timeout=_ANSWER_S)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.partition("\n")[0].strip()


def flags(board: Board) -> str:
    """The compiler's flags for a board, as platformio.ini has them."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(resources.platformio_ini(), encoding="utf-8")
    if not parser.has_section(f"board_{board.name}"):
        return ""
    shared = board.build.framework or "firmware"
    lines = [*parser[shared]["build_flags"].split("\n"), *parser[f"board_{board.name}"]["build_flags"].split("\n")]
    return " ".join(line.strip() for line in lines if line.strip() and "$" not in line)


def built_with(path: Path) -> Toolchain:
    """What has built an ELF, by what the compiler wrote into it: the kernels' flags, where it says some.

    Raises:
        BuildError: ``bad-elf``.
    """
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            comment = elf.get_section_by_name(".comment")
            named = comment.data().partition(b"\0")[0].decode("ascii", "replace") if comment is not None else ""
            producer = _producer(elf)
    except Exception as error:  # pyelftools raises whatever a damaged file makes its parsing stumble over
        raise BuildError(
            "bad-elf", f"{printable(path)} is not a firmware of ours", why=printable(error), next="Build it again."
        ) from error
    return Toolchain(
        compiler=named.removeprefix("GCC:").strip() or producer.partition(" -")[0],
        flags=" ".join(re.findall(r"(?<= )-\S+", producer)),
    )


def _producer(elf: ELFFile) -> str:
    """What the compiler says about itself in a kernel's debug information; of any source where there is no kernel."""
    found = ""
    for unit in elf.get_dwarf_info().iter_CUs() if elf.has_dwarf_info() else ():
        attributes = unit.get_top_DIE().attributes
        if "DW_AT_producer" not in attributes or "DW_AT_name" not in attributes:
            continue
        text = attributes["DW_AT_producer"].value.decode("utf-8", "replace")
        if _KERNELS in attributes["DW_AT_name"].value.decode("utf-8", "replace"):
            return str(text)
        if text.startswith("GNU C"):
            found = found or str(text)
    return found
