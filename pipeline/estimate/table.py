"""Calibration tables: what code, parameters and stack each kernel takes, for one processor and compiler.

``CPU.toml`` is written by ``danas-deploy calibrate`` from ELF files of small probe programs and from the stack's
high-water mark. It holds for the kernels, the compiler and the flags of its day: calibrate again after a change of any
of them. Where tables are: :mod:`pipeline.estimate.profiles`.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.boards import Board
from pipeline.errors import UsageError, printable
from pipeline.estimate import profiles

_Bytes = Annotated[int, Field(ge=0, lt=2**24)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Program(_Frozen):
    """What every firmware has, whatever its model.

    Attributes:
        port_code: Bytes of the vector table, start-up, board port and command loop.
        runtime_code: Bytes of the runtime's functions, without the calls of kernels.
        constants: Bytes of texts and tables of port and command loop.
        initialised: Bytes of initial values of .data, which are kept in flash.
        static: Bytes of .data and .bss outside the arena, without the model's share.
        stack: Bytes of stack that the program uses apart from inference.
        calling_stack: Bytes of stack that calling kernels takes in a long model, beyond the kernels' probes.
        functions: Library functions that it contains.
    """

    port_code: _Bytes
    runtime_code: _Bytes
    constants: _Bytes
    initialised: _Bytes
    static: _Bytes
    stack: _Bytes
    calling_stack: _Bytes
    functions: tuple[str, ...] = ()


class Kernel(_Frozen):
    """What one kind of call adds.

    Attributes:
        constants: Bytes of its own tables, once in a program.
        call: Bytes of code of one call, and of what the executor keeps in flash for a stage.
        parameters: Bytes of the parameters of one call.
        stack: Bytes of stack of a program during its inference, all callers included.
        functions: Functions that it contains beside the program's, ours and library's; several kernels may share some.
    """

    constants: _Bytes
    call: _Bytes
    parameters: _Bytes
    stack: _Bytes
    functions: tuple[str, ...] = ()


class Port(_Frozen):
    """What the program of another family's port takes beyond that of the calibrated board; less than 0 where less.

    Attributes:
        flash: Bytes of flash.
        static: Bytes of .data and .bss outside the arena.
    """

    flash: int
    static: int


class Table(_Frozen):
    """A calibration table.

    Attributes:
        ports: By the ``port`` of a board file, the calibrated board's among them.
        parts: By the name of a feature (features.py), the functions that it adds to the kernels' own.
        functions: Bytes of code by the linker's name.
    """

    schema_version: Literal[3]
    cpu: str
    compiler: str
    flags: str
    program: Program
    ports: dict[str, Port]
    kernels: dict[str, Kernel]
    parts: dict[str, tuple[str, ...]]
    functions: dict[str, _Bytes]


def load_for(board: Board) -> Table:
    """The table of a board's processor, with the figures of its port.

    Raises:
        UsageError: ``no-calibration`` where there is none, or ``calibration-table``.
    """
    return _with_port(_path(board.core.cpu), board.port)


@cache
def _with_port(path: Path, name: str) -> Table:
    table = _kept(path)
    port = table.ports.get(name)
    if port is None:
        raise UsageError(
            "no-calibration",
            f"the calibration table for {table.cpu} has no port {printable(name)}",
            why=f"Ports: {', '.join(sorted(table.ports))}.",
            next=profiles.WRITE_AGAIN,
        )
    program = table.program
    moved = {"port_code": program.port_code + port.flash, "static": program.static + port.static}
    return table.model_copy(update={"program": program.model_copy(update=moved)})


def read(path: Path) -> Table:
    """Read and validate a table.

    Raises:
        UsageError: ``calibration-table`` with file and field.
    """
    try:
        with path.open("rb") as file:
            table = Table.model_validate(tomllib.load(file))
    except tomllib.TOMLDecodeError as error:
        raise _wrong(path, "(whole file)", str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        raise _wrong(path, field, str(first["msg"])) from error
    users = {"program": table.program.functions, **table.parts}
    users.update((name, kernel.functions) for name, kernel in table.kernels.items())
    for name, used in users.items():
        missing = sorted(set(used) - set(table.functions))
        if missing:
            raise _wrong(path, f"{name}.functions", f"{missing[0]} is not in the table functions")
    return table


def _wrong(path: Path, field: str, why: str) -> UsageError:
    return UsageError(
        "calibration-table",
        f"{printable(path.name)}: field {printable(field)}: {printable(why)}",
        next=profiles.WRITE_AGAIN,
    )


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
