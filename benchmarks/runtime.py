#!/usr/bin/env python3
"""RAM, flash and instructions of the benchmark's networks on the emulated board, against their bars.

    python benchmarks/runtime.py
    python benchmarks/runtime.py --only ds_cnn_49x10 --check 100
    python benchmarks/runtime.py --board nucleo_l4r5zi --json

RAM is the arena (activations and scratch) and the runtime's own variables. The variables of command loop and port, and
the stack's high-water mark, stand beside it. Flash is the file bytes of all PT_LOAD segments of the ELF. Instructions
are those of one inference, the mean of the inputs that were run; an emulated board has no times.

The networks are made by benchmarks/models.py where they are missing (a minute in all).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import models
import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import boards
from pipeline.boards import Board
from pipeline.errors import DoesNotFitError
from pipeline.graph.inputs import random_inputs
from pipeline.graph.reference import Reference
from pipeline.job import deploying
from pipeline.job.deploying import Recipe
from pipeline.settings import Target

#: Where the bars were set; another board's figures stand without them.
BARS_BOARD = "nucleo_f746zg"
#: What `balanced` may take of either column.
_BALANCED = 1.15
#: What the compact layout may take of the instructions.
_COMPACT = 1.3
#: Namespaces of the runtime, as the compiler writes them; other variables are the command loop's and the port's.
_RUNTIME = ("_ZN5danas7runtime", "_ZZN5danas7runtime", "_ZN5danas3aot", "_ZN5danas5model")


class Bars(StrEnum):
    """Which bars a layout is held to."""

    SPEED = "speed"
    RAM = "ram"
    FLASH = "flash"
    BALANCED = "balanced"


@dataclass(frozen=True)
class Goal:
    """The bars of one network: bytes, and instructions of an inference; None where there is none.

    ``tflm_arena``, ``tflm_flash`` (model and code) and ``tflm_instructions`` are TFLite Micro's with CMSIS-NN kernels,
    of August 2026, by GCC 12.2.
    """

    ram_fastest: int
    ram_least: int
    flash_compact: int | None = None
    flash_fastest: int | None = None
    instructions: int | None = None
    tflm_arena: int | None = None
    tflm_flash: int | None = None
    tflm_instructions: int | None = None

    def bars(self, held_to: Bars) -> tuple[int | None, int | None, int | None]:
        """RAM, flash and instructions that a layout may take."""
        if held_to is Bars.BALANCED:
            return (
                round(self.ram_least * _BALANCED),
                round(self.flash_compact * _BALANCED) if self.flash_compact else None,
                round(self.instructions * _BALANCED) if self.instructions else None,
            )
        compact = held_to is Bars.FLASH
        return (
            self.ram_least if held_to is Bars.RAM else self.ram_fastest,
            self.flash_compact if compact else self.flash_fastest,
            round(self.instructions * _COMPACT) if compact and self.instructions else self.instructions,
        )


GOALS = {
    "mobilenet_v2_035_96x96x1": Goal(
        ram_fastest=26_000,
        ram_least=24_500,
        flash_compact=470_000,
        flash_fastest=605_000,
        instructions=17_500_000,
        tflm_arena=204_640,
        tflm_flash=712_176,
        tflm_instructions=44_600_000,
    ),
    "mobilenet_v1_025_96x96x3": Goal(
        ram_fastest=42_000,
        ram_least=41_000,
        flash_compact=255_000,
        flash_fastest=310_000,
        instructions=10_500_000,
        tflm_arena=101_000,
        tflm_flash=410_000,
    ),
    "ds_cnn_49x10": Goal(
        ram_fastest=9_300,
        ram_least=6_300,
        flash_compact=46_000,
        flash_fastest=60_000,
        instructions=4_100_000,
        tflm_arena=23_100,
        tflm_flash=131_000,
    ),
    "resnet8_32x32x3": Goal(
        ram_fastest=21_000,
        ram_least=16_500,
        flash_compact=102_000,
        flash_fastest=110_000,
        instructions=14_500_000,
        tflm_arena=54_600,
        tflm_flash=175_000,
    ),
    # TFLite Micro's activations alone.
    "mobilenet_v2_025_224x224x3": Goal(ram_fastest=173_000, ram_least=171_000, tflm_arena=752_640),
}


@dataclass(frozen=True)
class Figures:
    """What one network takes on the emulated board; bytes and instructions.

    ``arena`` holds activations and scratch, ``state`` the runtime's variables; ``loop`` are the variables of command
    loop and port, ``stack`` is the high-water mark. ``equal`` of ``checked`` outputs are the oracle's.
    """

    name: str
    arena: int
    state: int
    loop: int
    stack: int
    flash: int
    instructions: int
    checked: int
    equal: int

    @property
    def ram(self) -> int:
        """What the bars are about."""
        return self.arena + self.state


def measured(name: str, model: Path, board: Board, recipe: Recipe, *, inputs: int, seed: int, into: Path) -> Figures:
    """Build a network, run inputs on the emulated board and compare the outputs with the oracle's.

    Raises:
        DoesNotFitError: It needs more memory than the board has.
    """
    made = deploying.make(model.read_bytes(), board, into=into, recipe=recipe)
    sent = random_inputs(made.graph.input, inputs, seed)
    expected = Reference(model).run(sent)
    counts, equal = [], 0
    with (
        deploying.started(made.program, board, Target(emulate=True)) as running,
        deploying.conversation(board, running) as session,
    ):
        session.connect()
        session.verify(made.expected)
        for one, wanted in zip(sent, expected, strict=True):
            session.load(np.ascontiguousarray(one).tobytes())
            counts.append(session.run())
            equal += session.output() == wanted.tobytes()
        memory = session.memory()
    state = runtime_state(made.program.elf)
    return Figures(
        name=name,
        arena=memory.arena_bytes,
        state=state,
        loop=memory.static_bytes - state,
        stack=memory.stack_used,
        flash=load_bytes(made.program.elf),
        instructions=round(sum(counts) / len(counts)),
        checked=len(counts),
        equal=equal,
    )


def load_bytes(elf: Path) -> int:
    """File bytes of all PT_LOAD segments: code, constants and what variables begin with."""
    with elf.open("rb") as file:
        segments = ELFFile(file).iter_segments()
        return sum(int(segment["p_filesz"]) for segment in segments if segment["p_type"] == "PT_LOAD")


def runtime_state(elf: Path) -> int:
    """Bytes of the runtime's variables: objects of its namespaces in writable sections, the arena aside."""
    with elf.open("rb") as file:
        program = ELFFile(file)
        writable = {
            index
            for index, section in enumerate(program.iter_sections())
            if section["sh_flags"] & 0x1 and section.name != ".arena"  # SHF_WRITE
        }
        table = program.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            raise ValueError(f"{elf} has no symbols")
        return sum(
            int(symbol["st_size"])
            for symbol in table.iter_symbols()
            if symbol["st_info"]["type"] == "STT_OBJECT"
            and symbol["st_shndx"] in writable
            and symbol.name.startswith(_RUNTIME)
        )


def tables(found: Sequence[Figures], board: Board, held_to: Bars) -> list[Table]:
    """One table with the bars, one with what stands apart."""
    barred = board.name == BARS_BOARD
    bars = Table("model", title=f"{board.title}, emulated" + (f"; bars of {held_to.value}" if barred else ""))
    titles = ["RAM, B", "flash, B", "instructions"]
    for title in titles:
        bars.add_column(title, justify="right")
        if barred:
            bars.add_column("bar", justify="right")
    bars.add_column("outputs equal", justify="right")
    apart = Table("model", title="RAM in parts, and what stands apart; bytes")
    for title in ("activations and scratch", "runtime state", "loop and port", "stack used"):
        apart.add_column(title, justify="right")
    known = {network.name: network.title for network in models.NETWORKS}
    for one in found:
        cells: list[str | Text] = [known[one.name]]
        goal = GOALS.get(one.name)
        limits = goal.bars(held_to) if goal else (None, None, None)
        for value, limit in zip((one.ram, one.flash, one.instructions), limits, strict=True):
            cells.append(f"{value:,}")
            if barred:
                cells.append(_bar(value, limit))
        right = one.equal == one.checked
        cells.append(Text(f"{one.equal} of {one.checked}", style="green" if right else "bold red"))
        bars.add_row(*cells)
        apart.add_row(known[one.name], *(f"{value:,}" for value in (one.arena, one.state, one.loop, one.stack)))
    return [bars, apart]


def _bar(value: int, limit: int | None) -> Text:
    if limit is None:
        return Text("–")
    met = value <= limit
    return Text(f"{'≤' if met else '>'} {limit:,}", style="green" if met else "bold red")


def reference_table() -> Table:
    """TFLite Micro's figures as they were measured."""
    table = Table("model", title="TFLite Micro of August 2026 with CMSIS-NN, GCC 12.2, as measured then")
    for title in ("arena, B", "flash, B", "instructions"):
        table.add_column(title, justify="right")
    for network in models.NETWORKS:
        goal = GOALS.get(network.name)
        if goal is not None:
            values = (goal.tflm_arena, goal.tflm_flash, goal.tflm_instructions)
            table.add_row(network.title, *("" if value is None else f"{value:,}" for value in values))
    return table


def main() -> int:
    """Measure all and print the tables; 1 where an output is wrong."""
    names = [network.name for network in models.NETWORKS]
    parser = argparse.ArgumentParser(description="RAM, flash and instructions on the emulated board, and their bars.")
    parser.add_argument("--board", default=BARS_BOARD)
    parser.add_argument("--models", type=Path, default=Path("build/models"), metavar="DIR", help="the .tflite files")
    parser.add_argument("--only", action="append", choices=names, default=[], help="this network (may be repeated)")
    parser.add_argument("--check", type=int, default=1, metavar="N", help="random inputs that are run and compared")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bars", type=Bars, choices=list(Bars), default=Bars.SPEED, help="hold the figures to these")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    board = boards.load(arguments.board)
    found: list[Figures] = []
    refused: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.make(arguments.models, arguments.only).items():
            print(f"{name} on {board.name}", file=sys.stderr, flush=True)
            try:
                found.append(
                    measured(
                        name,
                        model,
                        board,
                        Recipe(),
                        inputs=max(arguments.check, 1),
                        seed=arguments.seed,
                        into=Path(folder),
                    )
                )
            except DoesNotFitError as error:
                refused[name] = error.what
    if arguments.json:
        print(json.dumps(_document(found, refused, board, arguments.bars), indent=2))
    else:
        console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
        bars, *others = tables(found, board, arguments.bars)
        console.print(bars)
        for name, why in refused.items():
            console.print(Text(f"{name}: {why}", style="bold red"))
        console.print(*others, reference_table(), sep="\n")
    return int(any(one.equal != one.checked for one in found))


def _document(found: Sequence[Figures], refused: dict[str, str], board: Board, held_to: Bars) -> dict[str, object]:
    rows = []
    for one in found:
        goal = GOALS.get(one.name) if board.name == BARS_BOARD else None
        limits = goal.bars(held_to) if goal else (None, None, None)
        bars = dict(zip(("ram", "flash", "instructions"), limits, strict=True))
        met = {what: None if limit is None else getattr(one, what) <= limit for what, limit in bars.items()}
        rows.append({**asdict(one), "ram": one.ram, "bars": bars, "met": met})
    return {"schema_version": 1, "board": board.name, "bars": held_to.value, "models": rows, "refused": refused}


if __name__ == "__main__":
    sys.exit(main())
