"""Calibration tables: what code and parameters each kernel takes, for one processor and compiler.

``CPU.toml`` is written by ``danas-deploy calibrate`` from the link maps of small probe programs. It holds for the
kernels, the compiler and the flags of its day: calibrate again after a change of any of them. Where tables are:
:mod:`pipeline.estimate.profiles`.
"""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from pipeline.boards import Board
from pipeline.errors import UsageError, printable
from pipeline.estimate import profiles
from pipeline.estimate.compilers import Calibration, Toolchain, calibration
from pipeline.estimate.features import Features
from pipeline.estimate.model import Item
from pipeline.estimate.profiles import Profile

_Bytes = Annotated[int, Field(ge=0, lt=2**24)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Program(_Frozen):
    """What every firmware has, whatever its model.

    Attributes:
        port: Bytes of vector table, start-up, board port, command loop, and of what the program says about itself.
        runtime: Bytes of the runtime's functions, without the calls of kernels.
        streaming: Bytes of code that a streamed input adds.
        static: Bytes of .data and .bss outside the arena, without the model's share.
        pieces: Functions and constants of libraries that it contains.
    """

    port: _Bytes
    runtime: _Bytes
    streaming: _Bytes
    static: _Bytes
    pieces: tuple[str, ...] = ()


class Kernel(_Frozen):
    """What one kind of call adds.

    Attributes:
        call: Bytes of code of one call; a mean, so not always whole.
        parameters: Bytes of the parameters of one call.
        pieces: Functions and constants that it brings, ours and libraries'; several kernels may share some.
    """

    call: Annotated[float, Field(ge=0, lt=2**16)]
    parameters: _Bytes
    pieces: tuple[str, ...] = ()


class Port(_Frozen):
    """What another board's port takes beyond that of the calibrated board; less than 0 where less.

    Attributes:
        flash: Bytes of flash.
        static: Bytes of .data and .bss outside the arena.
        flags: The compiler's flags for the board that was built; empty where they are the calibrated board's.
    """

    flash: int
    static: int
    flags: str = ""


class Table(_Frozen):
    """A calibration table.

    Attributes:
        profile: Where it comes from.
        row_call: Bytes of code by which an operand that is found row by row makes a call longer.
        ports: By the name of a board, for those that there were when the table was written; and by the ``port`` of a
            board file, for boards that came later: the largest of that family.
        parts: By the name of a feature (features.py), the pieces that it adds to the kernels' own.
        pieces: Bytes of code or constants by file and linker's name, ``conv_2d/_ZN5danas3aot…``.
        growth: Of a piece that is not the same in all programs: bytes that each feature adds to it.
    """

    schema_version: Literal[4]
    profile: Profile
    row_call: Annotated[float, Field(ge=0, lt=2**16)]
    program: Program
    ports: dict[str, Port]
    kernels: dict[str, Kernel]
    parts: dict[str, tuple[str, ...]]
    pieces: dict[str, _Bytes]
    growth: dict[str, dict[str, int]]

    _sizes: dict[tuple[frozenset[str], frozenset[str]], dict[str, int]] = PrivateAttr(default_factory=dict)

    @property
    def cpu(self) -> str:
        """The processor."""
        return self.profile.cpu

    @cached_property
    def libraries(self) -> frozenset[str]:
        """Files that are no kernel's: their pieces name a member of an archive as well."""
        return frozenset(piece.partition("/")[0] for piece in self.pieces if piece.count("/") > 1)

    @cached_property
    def code(self) -> dict[tuple[frozenset[str], Features], tuple[Item, Item, int]]:
        """What flash.py has made of the pieces, by kernels and features."""
        return {}

    def sizes(self, kernels: frozenset[str], features: frozenset[str]) -> dict[str, int]:
        """Bytes of kernels and libraries by file, of a program with these kernels and features of them.

        A feature that the table does not know adds nothing.

        Raises:
            KeyError: The table has no such kernel.
        """
        found = self._sizes.get((kernels, features))
        if found is None:
            found = {}
            pieces = set(self.program.pieces).union(
                *(self.kernels[name].pieces for name in kernels), *(self.parts.get(name, ()) for name in features)
            )
            for piece in sorted(pieces):
                file = piece.partition("/")[0]
                grown = self.growth.get(piece, {})
                size = self.pieces[piece] + sum(grown.get(name, 0) for name in features)
                found[file] = found.get(file, 0) + max(0, size)
            self._sizes[kernels, features] = found
        return found


def load_for(board: Board) -> Table:
    """The table of a board's processor, with the figures of its port.

    Raises:
        UsageError: ``no-calibration`` where there is none, or ``calibration-table``.
    """
    path = _path(board.core.cpu)
    return _with_port(path, *_names(path, board))


def calibration_of(board: Board, toolchain: Toolchain | None = None) -> Calibration:
    """What is to be said about a board's table, for a compiler where one is known.

    Raises:
        UsageError: As :func:`load_for`.
    """
    path = _path(board.core.cpu)
    return _said(path, *_names(path, board), toolchain or Toolchain())


def _names(path: Path, board: Board) -> tuple[str, str]:
    """Board and family whose port is reckoned with.

    Of a board under a framework those are the measured ones: what the framework takes on top is not known here.
    """
    if board.build.framework is None:
        return board.name, board.port
    table = _kept(path)
    same = (name for name, port in table.ports.items() if port.flash == port.static == 0)
    return table.profile.board, next(same, board.port)


@cache
def _said(path: Path, board: str, family: str, toolchain: Toolchain) -> Calibration:
    table = _with_port(path, board, family)
    flags = table.ports[_key(table, board, family)].flags or table.profile.flags
    return calibration(table.profile, flags, toolchain, origin=profiles.origin(path))


@cache
def _with_port(path: Path, board: str, family: str) -> Table:
    table = _kept(path)
    port = table.ports.get(_key(table, board, family))
    if port is None:
        raise UsageError(
            "no-calibration",
            f"the calibration table for {table.cpu} has no port {printable(family)}",
            why=f"Ports: {', '.join(sorted(table.ports))}.",
            next=profiles.WRITE_AGAIN,
        )
    program = table.program
    moved = {"port": program.port + port.flash, "static": program.static + port.static}
    return table.model_copy(update={"program": program.model_copy(update=moved)})


def _key(table: Table, board: str, family: str) -> str:
    """Under which name a board's port is in the table."""
    return board if board in table.ports else family


def read(path: Path) -> Table:
    """Read and validate a table.

    Raises:
        UsageError: ``calibration-table`` with file and field.
    """
    table = profiles.read(path, Table)
    users = {"program": table.program.pieces, "growth": tuple(table.growth), **table.parts}
    users.update((name, kernel.pieces) for name, kernel in table.kernels.items())
    for name, used in users.items():
        missing = sorted(set(used) - set(table.pieces))
        if missing:
            raise profiles.wrong(path, f"{name}.pieces", f"{missing[0]} is not in the table pieces")
    profiles.demand_processor(path, table.profile.cpu)
    return table


def load(cpu: str) -> Table:
    """The table of a processor, by a board's ``core.cpu``.

    Raises:
        UsageError: ``no-calibration`` where there is none, or ``calibration-table``.
    """
    return _kept(_path(cpu))


def _path(cpu: str) -> Path:
    path = profiles.find(f"{cpu}.toml")
    if path is None:
        known = ", ".join(profiles.processors()) or "none"
        raise UsageError(
            "no-calibration",
            f"there is no calibration table for {printable(cpu)}",
            why=f"Tables: {known}.",
            next=profiles.WRITE_AGAIN,
        )
    return path


@cache
def _kept(path: Path) -> Table:
    return read(path)


def forget() -> None:
    """Read tables anew from now on: one has been written."""
    for kept in (_kept, _with_port, _said):
        kept.cache_clear()
