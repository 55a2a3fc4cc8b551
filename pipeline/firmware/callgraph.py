"""The most stack that a built firmware can use, from the compiler's call graph and the program itself.

Three sources, each for what it knows best:

- the compiler's files (vcg.py): frames, calls, calls through pointers, frames that grow while a function runs;
- the ELF's ``.debug_frame``: frames again, and those of the C library that has been linked;
- the machine code (thumb.py): calls that the compiler has not told of, in assembly and in libraries.

A frame is the largest that any of them gives, and calls are those of all of them together. What a pointer may call is
stated here. A function of which nobody knows the frame counts as one without only where none of its instructions moves
the stack pointer. Recursion, frames that grow, and pointers of which nothing is stated are refused: no bound follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.errors import BuildError, printable
from pipeline.estimate.calls import Chain, Function, NoBound, deepest, deepest_through
from pipeline.firmware import code, vcg
from pipeline.firmware.code import Code, Program

#: Where a program begins, where it runs the model, and where a fault leads.
RESET, INVOKE, FAULT = "Reset_Handler", "_ZN5danas7runtime6invokeEPFbPajE", "danas_fault_entry"
#: No compiler's file about a source of ours is larger.
_LARGEST_FILE = 64 * 2**20


@dataclass(frozen=True)
class _Targets:
    """What pointers in some functions may call: patterns of the linker's names.

    Attributes:
        callers: The functions that call.
        table: The variable that holds the pointers.
        bounds: Or two names of the linker script between which they lie.
        functions: Or the functions themselves.
    """

    callers: str
    table: str = ""
    bounds: tuple[str, str] | None = None
    functions: str = ""


_TARGETS = (
    # Constructors of static variables; a firmware of the runtime aot has none.
    _Targets("danas_start", bounds=("danas_init_array_start", "danas_init_array_end")),
    # The command loop's table, app/protocol.cpp.
    _Targets(r"_ZN5danas3app.*", table=r"_ZN5danas3app.*9kCommandsE"),
    # The source of a streamed input's rows, which app/protocol.cpp gives.
    _Targets(r"_ZZ?N5danas(?:7runtime|3aot3run).*", functions=r"_ZN5danas3app.*8next_rowEPaj"),
)


@dataclass(frozen=True)
class StackBounds:
    """The chain of calls that takes most stack, of each path.

    Attributes:
        commands: From reset on, whatever command comes.
        inference: Of these, through the model.
        fault: Of the report of a fault, which begins at the top of the stack again.
    """

    commands: Chain
    inference: Chain
    fault: Chain

    @property
    def bytes(self) -> int:
        """The most that the program uses before a fault."""
        return self.commands.bytes


def bounds(functions: dict[str, Function]) -> StackBounds:
    """The bounds of a program whose functions are known.

    Raises:
        BuildError: ``stack-unbounded`` with the reason.
    """
    try:
        inference = deepest_through(functions, RESET, INVOKE)
        if inference is None:
            raise NoBound(f"no chain of calls leads to {INVOKE}")
        return StackBounds(deepest(functions, RESET), inference, deepest(functions, FAULT))
    except NoBound as error:
        raise _unbounded(str(error)) from error


def functions_of(elf: Path, objects: Path) -> dict[str, Function]:
    """The functions of a built program, by :attr:`pipeline.firmware.code.Code.key`.

    Args:
        elf: The linked program.
        objects: The folder of its objects, with the compiler's call graphs somewhere in it.

    Raises:
        BuildError: ``stack-unbounded``, ``bad-call-graph``, ``bad-elf``.
    """
    program = code.read(elf)
    units = (vcg.parse(_text(path)) for path in sorted(objects.rglob("*.ci")))
    # A file may be left of a source that is no part of the program any more.
    return linked(program, [unit for unit in units if _file(unit) in program.files])


def linked(program: Program, units: Iterable[vcg.Unit]) -> dict[str, Function]:
    """The functions of a program, from what the compiler's files say of them and from itself.

    Raises:
        BuildError: ``stack-unbounded``.
    """
    told: dict[str, list[tuple[str, vcg.Compiled]]] = {}
    for unit in units:
        for compiled in unit.functions.values():
            told.setdefault(compiled.name, []).append((_file(unit), compiled))
    starts = {one.address: key for key, one in program.functions.items()}
    found = {}
    for key, one in program.functions.items():
        # Of an inline function that several files have, the linker has kept one: any of them.
        about = [(file, compiled) for file, compiled in told.get(one.name, ()) if one.file in ("", file)]
        calls = {starts.get(target, f"address {target:#x}") for target in one.flow.calls}
        calls |= {starts[target] for target in one.flow.branches if target in starts and target != one.address}
        for file, compiled in about:
            for name, local in compiled.calls:
                private = program.keys.get(f"{file}:{name}") if local else None
                called = private or program.keys.get(name)
                # What is not there is not called: of a 64-bit division GCC 12 names the wrong function.
                calls |= {called} if called is not None else set()
        told_of = {name for _, compiled in about for name, _ in compiled.calls}
        pointers = vcg.INDIRECT in told_of or one.flow.linked or (one.flow.jumps and not about)
        if pointers:
            calls |= _pointed(program, starts, one)
        found[key] = Function(_frame(one, [compiled for _, compiled in about]), frozenset(calls))
    return found


def _frame(one: Code, about: list[vcg.Compiled]) -> int:
    if any(compiled.dynamic for compiled in about):
        raise _unbounded(f"the frame of {one.key} grows while it runs")
    known = [compiled.frame for compiled in about]
    if one.frame is not None and one.frame.bytes is not None:
        known.append(one.frame.bytes)
    if not known and one.flow.moves:
        raise _unbounded(f"nothing is known of the frame of {one.key}")
    return max(known, default=0)


def _pointed(program: Program, starts: dict[int, str], one: Code) -> set[str]:
    """What the pointers of a function may call."""
    for stated in _TARGETS:
        if re.fullmatch(stated.callers, one.name):
            if stated.functions:
                return {key for key, code in program.functions.items() if re.fullmatch(stated.functions, code.name)}
            return {starts[word & ~1] for word in _words(program, stated) if word & 1 and word & ~1 in starts}
    raise _unbounded(f"nothing is stated of the pointers that {one.key} calls")


def _words(program: Program, stated: _Targets) -> Iterator[int]:
    places = program.variables
    if stated.bounds is not None:
        begin, end = (places.get(name, (0, 0))[0] for name in stated.bounds)
        yield from program.words(begin, end)
    for name, (address, size) in places.items():
        if stated.table and re.fullmatch(stated.table, name):
            yield from program.words(address, address + size)


def _file(unit: vcg.Unit) -> str:
    return PurePosixPath(unit.path).name


def _text(path: Path) -> str:
    if path.stat().st_size > _LARGEST_FILE:
        raise _unbounded(f"{path.name} is too large")
    return path.read_text(encoding="utf-8", errors="replace")


def _unbounded(why: str) -> BuildError:
    return BuildError(
        "stack-unbounded",
        "the stack that the firmware can use has no bound",
        why=printable(why, 500),
        next="Please report this with the compiler's version: our sources have no recursion and no frames that grow.",
    )
