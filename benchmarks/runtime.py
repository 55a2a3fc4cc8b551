#!/usr/bin/env python3
"""RAM, flash and instructions of the benchmark's networks on the emulated board, against their bars.

    python benchmarks/runtime.py
    python benchmarks/runtime.py --only ds_cnn_49x10 --layout speed --check 100
    python benchmarks/runtime.py --board nucleo_l4r5zi --json
    python benchmarks/runtime.py --tflm-tree PATH

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
from pathlib import Path

import goals
import models
import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from goals import Bars
from sheets import Cell, Sheet, Verdict, markdown, terminal

from pipeline import boards
from pipeline.boards import Board
from pipeline.errors import ArenaTooSmallError, DanasError, DoesNotFitError
from pipeline.estimate.model import InputMode, Prefer
from pipeline.graph.inputs import random_inputs
from pipeline.graph.reference import Reference
from pipeline.job import deploying
from pipeline.job.deploying import Made, Recipe
from pipeline.settings import Target

#: Namespaces of the runtime, as the compiler writes them; other variables are the command loop's and the port's.
_RUNTIME = ("_ZN5danas7runtime", "_ZZN5danas7runtime", "_ZN5danas3aot", "_ZN5danas5model", "_ZN6tflite", "_ZZN6tflite")


#: How each layout is made; all but the last keep the whole input in the arena.
_RECIPES = {
    Bars.SPEED: Recipe(prefer=Prefer.SPEED),
    Bars.RAM: Recipe(prefer=Prefer.RAM),
    Bars.FLASH: Recipe(prefer=Prefer.FLASH),
    Bars.BALANCED: Recipe(prefer=Prefer.BALANCED),
    Bars.STREAMED: Recipe(prefer=Prefer.RAM, input_mode=InputMode.STREAMED),
}


@dataclass(frozen=True)
class Variant:
    """A way to make the networks into programs, its name in the tables, and the bars that it is held to, if any."""

    label: str
    recipe: Recipe
    bars: Bars | None


@dataclass(frozen=True)
class Figures:
    """What one network takes on the emulated board; bytes and instructions.

    ``arena`` holds activations and scratch, ``state`` the runtime's variables; ``loop`` are the variables of command
    loop and port, ``stack`` is the high-water mark. ``equal`` of ``checked`` outputs are the oracle's.
    """

    name: str
    variant: Variant
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

    def limits(self, board: Board) -> tuple[int | None, int | None, int | None]:
        """Bars of RAM, flash and instructions; None where there is none."""
        goal = goals.GOALS.get(self.name) if board.name == goals.BOARD else None
        return goal.bars(self.variant.bars) if goal and self.variant.bars else (None, None, None)


def measured(name: str, model: Path, board: Board, variant: Variant, *, inputs: int, seed: int, into: Path) -> Figures:
    """Build a network, run inputs on the emulated board and compare the outputs with the oracle's.

    Raises:
        DoesNotFitError: It needs more memory than the board has.
        UsageError: ``input-not-streamable``.
    """
    recipe = variant.recipe
    while True:
        made = deploying.make(model.read_bytes(), board, into=into, recipe=recipe)
        try:
            return _run(made, name, model, board, variant, inputs=inputs, seed=seed)
        except ArenaTooSmallError as error:  # an interpreter knows what it needs when it has started
            recipe = recipe.model_copy(update={"least_arena": error.needed})


def _run(made: Made, name: str, model: Path, board: Board, variant: Variant, *, inputs: int, seed: int) -> Figures:
    sent = random_inputs(made.graph.input, inputs, seed)
    expected = Reference(model).run(sent)
    counts, equal = [], 0
    with (
        deploying.started(made.program, board, Target(emulate=True)) as running,
        deploying.conversation(board, running) as session,
    ):
        session.connect()
        session.verify(made.expected)
        session.demand_ready()
        for one, wanted in zip(sent, expected, strict=True):
            counts.append(session.infer_on(np.ascontiguousarray(one).tobytes()))
            equal += session.output() == wanted.tobytes()
        memory = session.memory()
    state = runtime_state(made.program.elf)
    return Figures(
        name=name,
        variant=variant,
        arena=memory.arena_bytes,
        state=state,
        loop=(memory.static_bytes or 0) - state,
        stack=memory.stack_used or 0,
        flash=made.firmware.report.load_bytes,
        instructions=round(sum(counts) / len(counts)),
        checked=len(counts),
        equal=equal,
    )


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


def sheets(found: Sequence[Figures], board: Board) -> list[Sheet]:
    """The figures with their bars, what stands apart, and TFLite Micro's figures as they were measured once."""
    barred = board.name == goals.BOARD
    columns = [column for title in ("RAM, B", "flash, B", "instructions") for column in (title, "bar")[: 1 + barred]]
    main, apart, rows = [], [], []
    for one in found:
        cells: list[Cell] = [titled(one.name), one.variant.label]
        for value, limit in zip((one.ram, one.flash, one.instructions), one.limits(board), strict=True):
            cells += [f"{value:,}", _bar(value, limit)][: 1 + barred]
        main.append((*cells, Verdict(f"{one.equal} of {one.checked}", one.equal == one.checked)))
        parts = (one.arena, one.state, one.loop, one.stack)
        apart.append((titled(one.name), one.variant.label, *(f"{value:,}" for value in parts)))
    for network in models.NETWORKS:
        goal = goals.GOALS.get(network.name)
        if goal is not None:
            values = (goal.tflm_arena, goal.tflm_flash, goal.tflm_instructions)
            rows.append((network.title, *("" if value is None else f"{value:,}" for value in values)))
    return [
        Sheet(f"{board.title}, emulated", ("model", "runtime", *columns, "outputs equal"), tuple(main)),
        Sheet(
            "RAM in parts, and what stands apart; bytes",
            ("model", "runtime", "activations and scratch", "runtime state", "loop, port, C library", "stack used"),
            tuple(apart),
        ),
        Sheet(
            "TFLite Micro of August 2026 with CMSIS-NN, GCC 12.2, as measured then",
            ("model", "arena, B", "flash, B", "instructions"),
            tuple(rows),
        ),
    ]


def _bar(value: int, limit: int | None) -> Cell:
    return "–" if limit is None else Verdict(f"{'≤' if value <= limit else '>'} {limit:,}", value <= limit)


def titled(name: str) -> str:
    """The title of a network."""
    return next(network.title for network in models.NETWORKS if network.name == name)


def document(found: Sequence[Figures], refused: dict[str, str], board: Board) -> dict[str, object]:
    """The same for programs."""
    rows = []
    for one in found:
        bars = dict(zip(("ram", "flash", "instructions"), one.limits(board), strict=True))
        met = {what: None if limit is None else getattr(one, what) <= limit for what, limit in bars.items()}
        values = asdict(one) | {"variant": one.variant.label, "ram": one.ram, "bars": bars, "met": met}
        rows.append(values)
    return {"schema_version": 1, "board": board.name, "models": rows, "refused": refused}


def variants(arguments: argparse.Namespace) -> list[Variant]:
    """The layouts, each held to the bars of its name, and the interpreters of the trees that were given."""
    interpreters = [Recipe(runtime="tflm", tflm_tree=tree) for tree in arguments.tflm_tree]
    return [
        *(Variant(f"aot, {layout}", _RECIPES[layout], layout) for layout in arguments.layout or list(Bars)),
        *(Variant(recipe.engine().description, recipe, None) for recipe in interpreters),
    ]


def main() -> int:
    """Measure all and print the tables; 1 where an output is wrong."""
    names = [network.name for network in models.NETWORKS]
    parser = argparse.ArgumentParser(description="RAM, flash and instructions on the emulated board, and their bars.")
    parser.add_argument("--board", default=goals.BOARD)
    parser.add_argument("--models", type=Path, default=Path("build/models"), metavar="DIR", help="the .tflite files")
    parser.add_argument("--only", action="append", choices=names, default=[], help="this network (may be repeated)")
    parser.add_argument("--check", type=int, default=1, metavar="N", help="random inputs that are run and compared")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--layout", action="append", type=Bars, choices=list(Bars), default=[], help="this layout (may be repeated)"
    )
    parser.add_argument(
        "--tflm-tree", action="append", default=[], metavar="PATH", help="measure its interpreter too (may be repeated)"
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true")
    output.add_argument("--markdown", action="store_true", help="as docs/benchmarks.md has them")
    arguments = parser.parse_args()
    board = boards.load(arguments.board)
    found: list[Figures] = []
    refused: dict[str, str] = {}
    paths = models.make(arguments.models, arguments.only)
    with tempfile.TemporaryDirectory() as folder:
        for name, model in paths.items():
            for variant in variants(arguments):
                print(f"{name}, {variant.label}, on {board.name}", file=sys.stderr, flush=True)
                count, place = max(arguments.check, 1), Path(folder)
                try:
                    found.append(measured(name, model, board, variant, inputs=count, seed=arguments.seed, into=place))
                except DanasError as error:
                    if not isinstance(error, DoesNotFitError) and error.id != "input-not-streamable":
                        raise
                    refused[f"{name}, {variant.label}"] = error.what
    if arguments.json:
        print(json.dumps(document(found, refused, board), indent=2))
    else:
        show = markdown if arguments.markdown else terminal
        print("\n".join(show(sheet) for sheet in sheets(found, board)))
        for name, why in refused.items():
            print(f"{name}: {why}")
    return int(any(one.equal != one.checked for one in found))


if __name__ == "__main__":
    sys.exit(main())
