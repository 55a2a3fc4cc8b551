#!/usr/bin/env python3
"""Write what the interpreter's kernels take, from a TFLM source tree: code, static data and stack of one each.

For each operator a model of it alone is built with the runtime ``tflm`` and run on the emulated board. The functions
and constants of these programs are compared: what all have is the base, what some have is shared by these operators.

    python benchmarks/calibrate_tflm.py --tflm-tree PATH [--tflm-tree PATH2]

The kernels of each tree (reference or CMSIS-NN) replace their part of pipeline/estimate/tflm.toml.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from pipeline import boards
from pipeline.boards import Board
from pipeline.calibration import probes
from pipeline.estimate import tflm
from pipeline.files import write_atomic
from pipeline.firmware.runtimes.tree import TflmTree
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import Activation, ActivationOptions, Graph, NoOptions, OpCode
from pipeline.job import deploying
from pipeline.job.deploying import Recipe
from pipeline.settings import Target


def _logistic(_: int) -> Graph:
    """Its output has the one scale that LOGISTIC may have."""
    chain = probes._Chain((1, 24, 24, 16))
    return chain.add(OpCode.LOGISTIC, (1, 24, 24, 16), NoOptions(), scale=1 / 256, zero_point=-128).graph()


def _reshape(_: int) -> Graph:
    return probes._Chain((1, 10, 10, 3)).add(OpCode.RESHAPE, (1, 300), NoOptions()).graph()


def _dense(_: int) -> Graph:
    options = ActivationOptions(Activation.RELU)
    return probes._Chain((1, 64)).add(OpCode.FULLY_CONNECTED, (1, 32), options, weights=(32, 64)).graph()


#: Models of one operator; those of the runtime aot, but for a kernel that is only another form there, and what shares
#: a kernel there but has one of its own here.
PROBES: dict[str, Callable[[int], Graph]] = {
    **{name: probe for name, probe in probes.PROBES.items() if name != "add_reference"},
    "FULLY_CONNECTED": _dense,
    "SUB": probes._broadcasts(OpCode.SUB),
    "RELU6": probes._activations(OpCode.RELU6),
    "LOGISTIC": _logistic,
    "RESHAPE": _reshape,
}
#: Operators that are taken for another one: of the same source file, or as small.
_LIKE = {OpCode.PADV2: OpCode.PAD, OpCode.SQUEEZE: OpCode.RESHAPE, OpCode.STRIDED_SLICE: OpCode.TRANSPOSE}


@dataclass(frozen=True)
class Found:
    """One program: its pieces of flash by name and size, the rest of its flash, its static data and stack; bytes."""

    pieces: Counter[tuple[str, int]]
    rest: int
    static: int
    stack: int


def measured(graph: Graph, board: Board, recipe: Recipe, into: Path) -> Found:
    """Build and run a program; flash is without the model's file, static data without the model's share."""
    made = deploying.make(graph.content, board, into=into, recipe=recipe)
    with (
        deploying.started(made.program, board, Target(emulate=True)) as running,
        deploying.conversation(board, running) as session,
    ):
        session.connect()
        session.demand_ready()
        session.load(random_inputs(graph.input, 1, seed=0).tobytes())
        session.run()
        session.output()
        session.ops()
        memory = session.memory()
    pieces = pieces_of(made.program.elf)
    flash = made.firmware.report.flash_bytes - len(graph.content)
    taken = sum(size * count for (_, size), count in pieces.items())
    static = (memory.static_bytes or 0) - tflm.static_of(graph)
    return Found(pieces, flash - taken, static, memory.stack_used or 0)


def pieces_of(elf: Path) -> Counter[tuple[str, int]]:
    """Functions, constants and initial values in flash, the model aside. Two of one name are told apart by their sizes.

    Where one symbol lies within another, as some of the compiler's own do, its bytes are the other's.
    """
    with elf.open("rb") as file:
        program = ELFFile(file)
        names = (".text", ".rodata", ".data")
        kept = {i for i, section in enumerate(program.iter_sections()) if section.name in names}
        symbols = sorted(
            (symbol["st_value"] & ~1, -symbol["st_size"], symbol.name)
            for symbol in program.get_section_by_name(".symtab").iter_symbols()
            if symbol["st_shndx"] in kept and symbol["st_size"] and "kFlatbuffer" not in symbol.name
        )
    found: Counter[tuple[str, int]] = Counter()
    end = 0
    for start, size, name in symbols:
        first, end = max(start, end), max(start - size, end)
        if end > first:
            found[name, end - first] += 1
    return found


def calibrate(tree: str, board: Board, folder: Path, say: Callable[[str], None]) -> tuple[tflm.Kernels, tflm.Costs]:
    """The costs of one tree's kernels, and which they are."""
    recipe = Recipe(runtime="tflm", tflm_tree=tree)
    found: dict[str, list[Found]] = {}
    for name, probe in PROBES.items():
        graph = probe(1)
        if len(graph.codes) > 1:
            continue  # it is for a step of aot that is made of several
        one = measured(graph, board, recipe, folder)
        say(f"{name}: rest {one.rest}, static {one.static}, stack {one.stack}")
        for operator in graph.codes:
            found.setdefault(operator.value, []).append(one)
    for taken, other in _LIKE.items():
        found[taken.value] = found[other.value]
    if lacking := {code.value for code in OpCode} - found.keys():
        raise LookupError(f"no probe has {', '.join(sorted(lacking))}")
    shares: dict[str, int] = {}
    common = 0
    for piece in {piece for programs in found.values() for one in programs for piece in one.pieces}:
        users = {name for name, programs in found.items() if any(piece in one.pieces for one in programs)}
        size = piece[1] * max(one.pieces[piece] for programs in found.values() for one in programs)
        if len(users) == len(found):
            common += size
        else:
            key = "+".join(sorted(users))
            shares[key] = shares.get(key, 0) + size
    costs = tflm.Costs(
        code=common + max(one.rest for programs in found.values() for one in programs),
        shares=shares,
        static={name: max(one.static for one in programs) for name, programs in found.items()},
        stack={name: max(one.stack for one in programs) for name, programs in found.items()},
    )
    return TflmTree.open(Path(tree)).kernels, costs


def main(arguments: Sequence[str] | None = None) -> int:
    """Calibrate each tree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", default="nucleo_f746zg", help="board with an emulated twin")
    parser.add_argument("--tflm-tree", action="append", required=True, help="source tree; may be given several times")
    options = parser.parse_args(arguments)
    for tree in options.tflm_tree:
        with tempfile.TemporaryDirectory(prefix="danas-calibrate-") as folder:
            name, found = calibrate(tree, boards.load(options.board), Path(folder) / "firmware", print)
        write_atomic(tflm.COSTS, tflm.toml({**tflm.costs(), name: found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
