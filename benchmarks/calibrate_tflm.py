#!/usr/bin/env python3
"""Write what the interpreter's kernels take, from a TFLM source tree: code, static data and stack of one each.

For each operator a model of it alone is built with the runtime ``tflm`` and run on the emulated board. The smallest of
these programs is the base; what a program has beyond it is the kernel's. Code that two kernels share is counted twice.

    python benchmarks/calibrate_tflm.py --tflm-tree PATH [--tflm-tree PATH2]

The kernels of each tree (reference or CMSIS-NN) replace their part of pipeline/estimate/tflm.toml.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import calibrate as aot

from pipeline import boards
from pipeline.boards import Board
from pipeline.estimate import tflm
from pipeline.files import write_atomic
from pipeline.firmware.runtimes.tree import TflmTree
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import Graph, NoOptions, OpCode
from pipeline.job import deploying
from pipeline.job.deploying import Recipe
from pipeline.settings import Target


def _logistic(_: int) -> Graph:
    """Its output has the one scale that LOGISTIC may have."""
    chain = aot._Chain((1, 24, 24, 16))
    return chain.add(OpCode.LOGISTIC, (1, 24, 24, 16), NoOptions(), scale=1 / 256, zero_point=-128).graph()


#: Models of one operator; those of the runtime aot, and what shares a kernel there but has one of its own here.
PROBES: dict[str, Callable[[int], Graph]] = {
    **aot.PROBES,
    "RELU6": aot._activations(OpCode.RELU6),
    "LOGISTIC": _logistic,
    "RESHAPE": lambda _: aot._base(),
}
#: Operators that are taken for another one: of the same source file, or as small.
_LIKE = {OpCode.PADV2: OpCode.PAD, OpCode.SQUEEZE: OpCode.RESHAPE, OpCode.STRIDED_SLICE: OpCode.TRANSPOSE}


def measured(graph: Graph, board: Board, recipe: Recipe, into: Path) -> tuple[int, int, int]:
    """Flash without the model's file, static data without the model's share, and stack; bytes."""
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
    flash = made.firmware.report.flash_bytes - len(graph.content)
    return flash, memory.static_bytes - tflm.static_of(graph), memory.stack_used


def calibrate(tree: str, board: Board, folder: Path, say: Callable[[str], None]) -> tuple[tflm.Kernels, tflm.Costs]:
    """The costs of one tree's kernels, and which they are."""
    recipe = Recipe(runtime="tflm", tflm_tree=tree)
    found: dict[str, tuple[int, int, int]] = {}
    for name, probe in PROBES.items():
        found[name] = measured(probe(1), board, recipe, folder)
        say(f"{name}: flash {found[name][0]}, static {found[name][1]}, stack {found[name][2]}")
    base = min(flash for flash, _, _ in found.values())
    code: dict[str, int] = {}
    static: dict[str, int] = {}
    depth: dict[str, int] = {}
    for name, figures in found.items():
        for operator in PROBES[name](1).codes:
            for part, figure in zip((code, static, depth), (figures[0] - base, *figures[1:]), strict=True):
                part[operator.value] = max(part.get(operator.value, 0), figure)
    for taken, other in _LIKE.items():
        for part in (code, static, depth):
            part[taken.value] = part[other.value]
    kernels = tflm.Costs(code=base, kernels=code, static=static, stack=depth)
    return TflmTree.open(Path(tree)).kernels, kernels


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
