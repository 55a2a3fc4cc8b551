#!/usr/bin/env python3
"""The interpreter's arena and program as they are estimated, against what the interpreter itself says.

    python benchmarks/estimates_tflm.py [--models DIR] [--tflm-tree PATH ...] [--convert DIR]

Against the ``tflite-micro`` package's allocation report, which is a 64-bit host's: single operators, networks of the
search space with random weights, and the benchmark's networks (``--models``: what benchmarks/models.py wrote). With
trees, the same on the emulated board, whose interpreter is the product. With ``--convert`` networks are converted by
TensorFlow into a folder, and their files' sizes compared with those that were predicted from shapes.

``package_lines()`` is for benchmarks/estimates.py; ``--write-reports`` writes what the tests compare with.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import calibrate_tflm
import estimates_lines
import estimates_networks
from estimates_lines import EQUAL, Bar, Line
from sheets import markdown, terminal

from pipeline import boards
from pipeline.boards import Board
from pipeline.errors import DanasError
from pipeline.estimate import tflm
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import Graph
from pipeline.graph.reader import read
from pipeline.graph.skeleton import from_genotype
from pipeline.job import deploying
from pipeline.job.deploying import Recipe
from pipeline.settings import Target
from pipeline.validate import STACK_BOUND_TOLERANCE_BYTES

REPORTS = Path(__file__).parent.parent / "tests" / "estimate" / "tflm_reports.json"
#: Networks of the search space: shallow and deep, narrow and wide, with residuals on maps of one pixel.
GENOTYPES = (
    "32-mono-d00000-a01",
    "32-mono-d22100-a02",
    "32-mono-d11120-a01",
    "32-mono-d11121-a01",
    "32-mono-d34331-a01",
    "64-rgb-d21000-a03",
    "64-rgb-d22000-a02",
    "64-mono-d11110-a10",
    "64-mono-d34331-a04",
    "96-mono-d12210-a05",
    "96-rgb-d32100-a03",
    "128-rgb-d10000-a01",
    "160-mono-d21100-a02",
)
_PACKAGE = "tflite-micro package"
_NOT_UNDER: Bar = ("≤ 1 %, never under", lambda estimated, found: found <= estimated <= 1.01 * found)


@dataclass(frozen=True)
class Reported:
    """The package's allocation report."""

    total: int
    head: int
    tail: int


def reported(content: bytes) -> Reported | None:
    """What the package says of a model; None where the package is not installed."""
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError:
        return None
    room = (10 * len(content) + (1 << 22)) // 16 * 16
    with tempfile.TemporaryFile() as log:
        with _errors_into(log.fileno()), contextlib.redirect_stdout(io.StringIO()):
            runtime.Interpreter.from_bytes(content, arena_size=room).print_allocations()
        log.seek(0)
        text = log.read().decode()
    sizes = dict(re.findall(r"Arena allocation (total|head|tail) (\d+) bytes", text))
    return Reported(**{name: int(size) for name, size in sizes.items()})


@contextlib.contextmanager
def _errors_into(target: int) -> Iterator[None]:
    """What C++ writes to file descriptor 2 goes to another one."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        os.dup2(target, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def models(folder: Path | None = None) -> Iterator[tuple[str, str, Graph]]:
    """Name, kind and Graph: single operators, networks of the search space, and the .tflite files of a folder."""
    for name, probe in calibrate_tflm.PROBES.items():
        yield name, "operator", probe(1)
    for name in GENOTYPES:
        yield name, "genotype", filled(from_genotype(Genotype.parse(name), estimates_networks.CLASSES), seed=0)
    for path in sorted(folder.glob("*.tflite")) if folder is not None else ():
        yield path.stem, "benchmark", read(path)


def line(of: tuple[str, str], item: str, sizes: tuple[int, int], against: tuple[str, str], bar: Bar) -> Line:
    """A comparison of one figure.

    Args:
        of: Name and kind of the network.
        item: What was estimated.
        sizes: The estimate, and what was found.
        against: The board, and where the figure comes from.
        bar: What is asked.
    """
    words, holds = bar
    return Line(
        row="tflm",
        item=item,
        board=against[0],
        network=of[0],
        kind=of[1],
        estimated=sizes[0],
        found=sizes[1],
        against=against[1],
        bar=words,
        holds=holds(*sizes),
    )


def package_lines(folder: Path | None = None, genotypes: Sequence[Genotype] = (), seed: int = 0) -> Iterator[Line]:
    """Head and total of each model's arena on the host, against the package; none where it is not installed.

    Args:
        folder: Of more .tflite files.
        genotypes: Further networks, with random weights.
        seed: Of those weights.
    """
    against = ("64-bit host", _PACKAGE)
    further = ((one.id, "genotype", filled(from_genotype(one, estimates_networks.CLASSES), seed)) for one in genotypes)
    for name, kind, graph in itertools.chain(models(folder), further):
        given = reported(graph.content)
        if given is not None:
            made = tflm.arena(graph, "reference", sizes=tflm.HOST)
            yield line((name, kind), "arena, head", (made.head, given.head), against, EQUAL)
            yield line((name, kind), "arena, total", (made.total, given.total), against, _NOT_UNDER)


def board_lines(
    tree: str, board: Board, folder: Path | None = None, only: Sequence[str] | None = None
) -> Iterator[Line]:
    """The same on the emulated board, with RAM and flash of the program; models that do not fit are left out.

    Args:
        tree: TFLM's source tree.
        board: One with an emulated twin.
        folder: Of more .tflite files.
        only: Names of the models to build; None: all.
    """
    recipe = Recipe(runtime="tflm", tflm_tree=tree)
    against = (board.name, f"emulated board, {recipe.engine().description.removeprefix('tflm, ')}")
    with tempfile.TemporaryDirectory(prefix="danas-estimates-") as place:
        for name, kind, graph in models(folder):
            if only is not None and name not in only:
                continue
            print(f"{name} on {', '.join(against)}", file=sys.stderr, flush=True)
            try:
                for item, sizes, bar in _on_board(graph, board, recipe, Path(place)):
                    yield line((name, kind), item, sizes, against, bar)
            except DanasError as error:
                print(f"{name}: {error.what}", file=sys.stderr)


def _on_board(graph: Graph, board: Board, recipe: Recipe, place: Path) -> Iterator[tuple[str, tuple[int, int], Bar]]:
    runtime = recipe.engine()
    made = runtime.estimate(graph, board, runtime.plan(graph, board))
    kernels: tflm.Kernels = "cmsis_nn" if "CMSIS" in runtime.description else "reference"
    arena = tflm.arena(graph, kernels, extension=tflm.extension(board))
    program = deploying.make(graph.content, board, into=place, recipe=recipe)
    with (
        deploying.started(program.program, board, Target(emulate=True)) as running,
        deploying.conversation(board, running) as session,
    ):
        session.connect()
        session.demand_ready()
        session.load(random_inputs(graph.input, 1, seed=0).tobytes())
        session.run()
        session.output()
        session.ops()
        memory = session.memory()
    ram, flash = runtime.tolerances.ram, runtime.tolerances.flash
    yield "arena, head", (arena.head, memory.head or 0), EQUAL
    yield "arena, tail", (arena.tail, memory.tail or 0), EQUAL
    yield (
        "RAM",
        (made.ram_bytes, memory.arena_bytes + (memory.static_bytes or 0) + (memory.stack_used or 0)),
        (
            f"≤ {100 * ram:g} % or + {STACK_BOUND_TOLERANCE_BYTES} B, never under",
            lambda estimated, found: found <= estimated <= found + max(ram * found, STACK_BOUND_TOLERANCE_BYTES),
        ),
    )
    yield (
        "flash",
        (made.flash_bytes, program.firmware.report.flash_bytes),
        (f"within {100 * flash:g} %", lambda estimated, found: abs(estimated - found) <= flash * found),
    )


def file_lines(folder: Path) -> Iterator[Line]:
    """Sizes of files that TensorFlow writes of networks with random weights; seconds each, kept in a folder."""
    for name in GENOTYPES:
        genotype = Genotype.parse(name)
        content = estimates_networks.converted(genotype, 0, folder)
        predicted = tflm.predicted_bytes(from_genotype(genotype, estimates_networks.CLASSES))
        against = ("any", "TensorFlow's converter")
        yield line((name, "converted"), "model's file", (predicted, len(content)), against, EQUAL)


def reports() -> dict[str, list[int]]:
    """Total, head and tail of each model without a folder, as the package reports them."""
    found = ((name, reported(graph.content)) for name, _, graph in models())
    return {name: [given.total, given.head, given.tail] for name, given in found if given is not None}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of .tflite files")
    parser.add_argument("--board", default="nucleo_f746zg", help="board with an emulated twin")
    parser.add_argument("--tflm-tree", action="append", default=[], help="source tree; may be given several times")
    parser.add_argument("--only", help="names of the models to build, with commas between them; others are not built")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument("--convert", type=Path, help="folder for networks that TensorFlow converts")
    parser.add_argument("--write-reports", action="store_true", help=f"write {REPORTS.name} for the tests")
    options = parser.parse_args(arguments)
    if options.write_reports:
        lines = [f'"{name}": {json.dumps(sizes)}' for name, sizes in reports().items()]
        REPORTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        return 0
    found = list(package_lines(options.models))
    if options.convert:
        found += file_lines(options.convert)
    only = options.only.split(",") if options.only else None
    for tree in options.tflm_tree:
        found += board_lines(tree, boards.load(options.board), options.models, only)
    tables = [estimates_lines.summary(found)]
    if missed := any(not one.holds for one in found):
        tables.append(estimates_lines.misses(found))
    print("\n".join(map(markdown if options.markdown else terminal, tables)))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
