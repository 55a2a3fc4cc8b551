"""Builds a rendered folder with PlatformIO and says in our words what went wrong."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.boards import Board
from pipeline.errors import BuildError, DanasError, DoesNotFitError, EnvironmentProblem, printable
from pipeline.firmware import elf, memory, platformio, render
from pipeline.firmware.elf import ElfReport
from pipeline.firmware.platformio import COMPILER_PACKAGES, DEADLINE_S, OnLine, Outcome

_HEADER = re.compile(r"fatal error: ((?:cstd\w+|std\w+\.h|algorithm|array|cmath|cstring|limits)): No such file")
_OVERFLOW = re.compile(r"region [`'](\w+)' overflowed by (\d+) bytes?")
_FIRST = re.compile(
    r"(?:fatal error|error): |undefined reference to|multiple definition of|ld: .*(?:error|cannot|must)|^Error: ",
    re.IGNORECASE,
)
_OFFLINE = re.compile(r"HTTPClientError|InternetConnectionError|UnknownPackageError|Could not find the package")


@dataclass(frozen=True)
class Firmware:
    """A built firmware: the ELF, the image that is flashed, the link map, and who it is."""

    elf: Path
    bin: Path
    map: Path
    build_id: str
    model_hash: str
    environment: str
    report: ElfReport


def build(
    folder: Path,
    board: Board,
    *,
    environment: str | None = None,
    on_line: OnLine | None = None,
    deadline_s: float = DEADLINE_S,
) -> Firmware:
    """Build a rendered folder.

    What was built before is used again where its sources, flags and compiler are the same.

    Args:
        folder: What :func:`pipeline.firmware.render.render` has filled.
        board: The board that it was rendered for.
        environment: PlatformIO environment; default: the one that it was rendered for.
        on_line: Called with each line of PlatformIO's output.
        deadline_s: After this many seconds the build is ended.

    Raises:
        BuildError: ``not-rendered``, ``other-board``, ``compile-failed`` with the first error, ``build-timeout``,
            ``bad-elf``, ``wrong-build``.
        DoesNotFitError: ``region-overflow`` with region and bytes.
        EnvironmentProblem: ``missing-compiler``, ``missing-platformio``, ``no-registry``, ``disk-full``.
        UsageError: ``unknown-environment``, ``unsafe-folder``.
    """
    rendered = render.restamp(folder, environment=environment)
    if rendered.board != board.name:
        raise BuildError(
            "other-board",
            f"{printable(folder)} was rendered for {rendered.board}, not for {board.name}",
            next="Render it for this board.",
        )
    if rendered.environment == board.build.local and shutil.which("arm-none-eabi-gcc") is None:
        raise _missing_compiler("arm-none-eabi-gcc is not on PATH")
    outcome = platformio.run(folder, rendered.environment, on_line=on_line, deadline_s=deadline_s)
    if outcome.status != 0:
        raise failure(outcome, board)
    place = platformio.output(folder, rendered.environment)
    report = elf.read(place / "firmware.elf", framework=board.build.framework is not None)
    if (report.board, report.build_id, report.model_hash) != (board.name, rendered.build_id, rendered.model_hash):
        raise BuildError(
            "wrong-build",
            f"the ELF says that it is build {report.build_id}, expected {rendered.build_id}",
            why="the sources changed while they were compiled, or an old object was linked",
            next=f"Delete {printable(place.parent)} and build again.",
        )
    return Firmware(
        elf=place / "firmware.elf",
        bin=place / "firmware.bin",
        map=place / "firmware.map",
        build_id=rendered.build_id,
        model_hash=rendered.model_hash,
        environment=rendered.environment,
        report=report,
    )


def failure(outcome: Outcome, board: Board) -> DanasError:
    """What a failed build means, from what compiler, linker and PlatformIO said."""
    overflow = _search(_OVERFLOW, outcome.lines)
    if overflow is not None:
        excess = int(overflow[2])
        region, has = memory.called(board, overflow[1])
        return DoesNotFitError(
            "region-overflow",
            f"the program needs {excess} bytes more {region} than {board.name} has ({has})",
            why=printable(overflow.string.strip()),
            next="Search with smaller limits (--ram, --flash), or choose a larger board.",
        )
    header = _search(_HEADER, outcome.lines)
    if header is not None:
        return _missing_compiler(f"the compiler has no <{header[1]}>")
    if _search(re.compile("No space left on device"), outcome.lines) is not None:
        return EnvironmentProblem("disk-full", "the disk is full", next="Free some space and build again.")
    if _search(_OFFLINE, outcome.lines) is not None:
        return EnvironmentProblem(
            "no-registry",
            "PlatformIO's package registry did not give what the environment needs",
            why=_last(outcome.lines),
            next=f"Check the network, or use the environment {board.build.local}, which needs no registry."
            if board.build.local is not None
            else f"Build once where the registry can be reached: {board.name} has no local environment, as the "
            f"framework that it needs ({board.build.framework}) comes from there. It is kept for later builds."
            if board.build.framework is not None
            else "Check the network.",
        )
    first = _search(_FIRST, outcome.lines)
    return BuildError(
        "compile-failed",
        "the firmware does not compile",
        why=printable(first.string.strip()) if first is not None else _last(outcome.lines),
        next="Please report this with the build's output: rendered sources should always compile.",
    )


def _missing_compiler(why: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        "missing-compiler",
        "there is no complete compiler for Arm microcontrollers",
        why=why,
        next=f"Debian: apt-get install {COMPILER_PACKAGES}",
    )


def _search(pattern: re.Pattern[str], lines: Sequence[str]) -> re.Match[str] | None:
    return next((match for line in lines if (match := pattern.search(line))), None)


def _last(lines: Sequence[str]) -> str:
    return printable(next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing"))
