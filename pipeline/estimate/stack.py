"""The most stack that a program of a model can use, from its shapes alone: the deepest chain of calls in a table.

``CPU.stack.toml`` has the frames and calls of every function that a firmware may have, as the compiler's call graphs of
many small programs tell: of each function the largest frame, and all calls together. A model's program calls the
kernels that its stages need; with the others taken away, what is left covers it. ``danas-deploy calibrate`` writes the
table, and a firmware's own call graph is held against this bound when it is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import UsageError, printable
from pipeline.estimate import profiles
from pipeline.estimate.calls import Chain, Function, NoBound, deepest
from pipeline.estimate.profiles import Profile

#: Where a program begins, and where a fault leads.
RESET, FAULT = "Reset_Handler", "danas_fault_entry"
#: What an exception puts on the stack: r0 to r3, r12, lr, pc and xPSR, and 4 bytes where the stack pointer is no
#: multiple of 8. No floating-point registers: start-up clears FPCCR before the first instruction of the FPU, so that
#: CONTROL.FPCA stays 0. Source: Armv7-M Architecture Reference Manual (DDI 0403), exception entry behavior and FPCCR.
EXCEPTION_FRAME = 36

_Bytes = Annotated[int, Field(ge=0, lt=2**20)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Functions(_Frozen):
    """Functions by the linker's name, behind the source file's where they are not public: bytes of stack, and calls."""

    frames: dict[str, _Bytes]
    calls: dict[str, tuple[str, ...]] = {}


class StackTable(_Frozen):
    """A processor's table.

    Attributes:
        profile: Where it comes from.
        kernels: The functions that a model calls, by the kernel's name.
        needs: Functions that no program has but where its model needs these features (features.py).
        program: Functions that do not depend on how the input is taken.
        resident: Those that run the model's stages, where its input is kept in whole.
        streamed: The same where the input comes row by row.
    """

    schema_version: Literal[1]
    profile: Profile
    kernels: dict[str, str]
    needs: dict[str, tuple[str, ...]]
    program: Functions
    resident: Functions
    streamed: Functions


@dataclass(frozen=True)
class StackBound:
    """What a model's program can use of the stack.

    Attributes:
        chain: The deepest chain of calls before a fault.
        fault: That of a fault's report, which begins at the top of the stack again.
    """

    chain: Chain
    fault: Chain

    @property
    def bytes(self) -> int:
        """The most that is used before a fault."""
        return self.chain.bytes

    @property
    def frame_reserve(self) -> int:
        """What an exception may take beyond it. Its handler does not return, so that there is one frame at most."""
        return EXCEPTION_FRAME + max(0, self.fault.bytes - self.chain.bytes)


class Stack:
    """The bounds that follow from a table.

    Raises:
        UsageError: ``calibration-table`` where it has calls of functions that it does not have, or recursion.
    """

    def __init__(self, table: StackTable, path: Path) -> None:
        self.table, self.path = table, path
        self._found: dict[tuple[frozenset[str], frozenset[str], bool], StackBound] = {}
        everything = frozenset(name for names in table.needs.values() for name in names)
        for streamed in (False, True):
            self.bound(table.kernels, everything, streamed=streamed)

    def bound(self, kernels: Iterable[str], features: Iterable[str], *, streamed: bool) -> StackBound:
        """The bound of a program that calls these kernels, and needs these features of them.

        Raises:
            UsageError: ``no-calibration`` for a kernel that the table does not have.
        """
        asked = frozenset(kernels), frozenset(features), streamed
        if asked not in self._found:
            self._found[asked] = self._bound(*asked)
        return self._found[asked]

    def _bound(self, kernels: frozenset[str], features: frozenset[str], streamed: bool) -> StackBound:
        for name in sorted(kernels - self.table.kernels.keys()):
            raise UsageError(
                "no-calibration",
                f"the stack's table for {self.table.profile.cpu} has no kernel {printable(name)}",
                next=profiles.WRITE_AGAIN,
            )
        others = frozenset(entry for name, entry in self.table.kernels.items() if name not in kernels)
        others |= {name for name, needed in self.table.needs.items() if not features.issuperset(needed)}
        functions = self._functions[streamed]
        if others:
            functions = {name: Function(one.frame, one.calls - others) for name, one in functions.items()}
        try:
            return StackBound(deepest(functions, RESET), deepest(functions, FAULT))
        except NoBound as error:
            raise profiles.wrong(self.path, "calls", str(error)) from error

    @cached_property
    def _functions(self) -> dict[bool, dict[str, Function]]:
        made = {}
        for streamed, model in ((False, self.table.resident), (True, self.table.streamed)):
            frames = {**self.table.program.frames, **model.frames}
            calls = {**self.table.program.calls, **model.calls}
            made[streamed] = {name: Function(frame, frozenset(calls.get(name, ()))) for name, frame in frames.items()}
        return made


def functions_of(told: Mapping[str, Function]) -> Functions:
    """Functions as a table has them."""
    return Functions(
        frames={name: one.frame for name, one in sorted(told.items())},
        calls={name: tuple(sorted(one.calls)) for name, one in sorted(told.items()) if one.calls},
    )


def read(path: Path) -> Stack:
    """Read and validate a table.

    Raises:
        UsageError: ``calibration-table`` with file and field.
    """
    table = profiles.read(path, StackTable)
    profiles.demand_processor(path, table.profile.cpu)
    return Stack(table, path)


def load(cpu: str) -> Stack:
    """The bounds of a processor, by a board's ``core.cpu``.

    Raises:
        UsageError: ``no-calibration`` where there is no table, or ``calibration-table``.
    """
    path = profiles.find(f"{cpu}.stack.toml")
    if path is None:
        raise UsageError(
            "no-calibration",
            f"there is no table of the stack for {printable(cpu)}",
            next=profiles.WRITE_AGAIN,
        )
    return _kept(path)


@cache
def _kept(path: Path) -> Stack:
    return read(path)
