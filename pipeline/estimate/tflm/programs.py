"""What a program with the interpreter takes beside the arena: code, static data, stack; and the whole estimate.

The table was measured with TFLM of August 2026 and GCC 12.2. Another version may need a little more or less: the
firmware says so before its first inference, and is then rendered again with what it asks for.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipeline.boards import Board
from pipeline.errors import UsageError
from pipeline.estimate.macs import macs
from pipeline.estimate.model import Estimate, Item, MemoryPlan
from pipeline.estimate.tflm.arena import Kernels
from pipeline.estimate.tflm.flatbuffer import predicted_bytes
from pipeline.graph.model import Graph

#: What the linker sets aside for the stack of a program with the interpreter, in bytes.
STACK_RESERVE = 4096

#: What programs take, measured; see :class:`Costs`.
COSTS = Path(__file__).parent.with_suffix(".toml")
#: Bytes that the resolver keeps for an operator.
_REGISTRATION = 36
#: Bytes of code that registers an operator, for each beyond the first, and of the loops over them where there are
#: several: programs of one operator, of which the table is made, have neither. Read from programs of five and six.
_REGISTERED = 153
_SEVERAL = 110
#: Bytes of stack to spare over what one kernel's program takes.
_SPARE_STACK = 64


class Costs(BaseModel):
    """What programs with one kind of kernels take, in bytes.

    Attributes:
        code: Flash of every program, without the model: interpreter, command loop, port.
        shares: Flash of what some operators bring: their names with ``+`` between them, and the bytes that a program
            with any of them has once.
        static: .data and .bss outside the arena of a program with each operator, without what :func:`static_of` counts.
        stack: Stack of a program with each operator.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: int
    shares: dict[str, int]
    static: dict[str, int]
    stack: dict[str, int]


def costs() -> dict[Kernels, Costs]:
    """The table, by kind of kernels."""
    with COSTS.open("rb") as file:
        values = tomllib.load(file)
    return {name: Costs.model_validate(values[name]) for name in ("reference", "cmsis_nn") if name in values}


def toml(table: dict[Kernels, Costs]) -> str:
    """The table as its file."""
    lines = [
        "# Bytes of code, static data and stack of programs with the TensorFlow Lite Micro interpreter. Not by hand:",
        "#     python benchmarks/calibrate_tflm.py --tflm-tree PATH",
    ]
    for name, found in table.items():
        lines += ["", f"[{name}]", f"code = {found.code}"]
        for part, values in (("shares", found.shares), ("static", found.static), ("stack", found.stack)):
            lines += ["", f"[{name}.{part}]", *(f'"{key}" = {value}' for key, value in sorted(values.items()))]
    return "\n".join(lines) + "\n"


def static_of(graph: Graph) -> int:
    """Static data that depends on the model: the resolver, the profile, the copy of the first output."""
    return _REGISTRATION * len(graph.codes) + 8 * len(graph.operators) + -(-graph.output.nbytes // 4) * 4


def estimate(graph: Graph, board: Board, plan: MemoryPlan, kernels: Kernels) -> Estimate:
    """What a program with the interpreter will need on a board; a Graph without data will do.

    Raises:
        UsageError: ``no-calibration`` for an operator that the table does not have.
    """
    table = costs()[kernels]
    for code in graph.codes:
        if code.value not in table.stack:
            raise UsageError(
                "no-calibration",
                f"the interpreter's table has no kernel {code}",
                next="Write it again: python benchmarks/calibrate_tflm.py --tflm-tree PATH",
            )
    names = sorted(code.value for code in graph.codes)
    static, stack = (max((part[name] for name in names), default=0) for part in (table.static, table.stack))
    return Estimate(
        ram=(
            Item(name="arena", bytes=plan.arena_bytes),
            Item(name="static", bytes=static + static_of(graph)),
            Item(name="stack", bytes=stack + _SPARE_STACK),
        ),
        flash=(
            Item(name="model", bytes=graph.file_bytes or predicted_bytes(graph)),
            Item(name="interpreter and port", bytes=table.code + _resolver_bytes(len(names))),
            Item(name="kernels", bytes=_kernel_bytes(table, set(names))),
        ),
        stack_reserve=max(board.stack.reserve_bytes, STACK_RESERVE),
        macs=macs(graph),
    )


def _resolver_bytes(operators: int) -> int:
    """Code of the resolver beyond that of one operator."""
    return _SEVERAL + _REGISTERED * (operators - 1) if operators > 1 else 0


def _kernel_bytes(table: Costs, names: set[str]) -> int:
    return sum(size for users, size in table.shares.items() if not names.isdisjoint(users.split("+")))
