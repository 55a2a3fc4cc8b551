#!/usr/bin/env python3
"""The interpreter's arena and program as they are estimated, against what the interpreter itself says.

    python benchmarks/estimates_tflm.py [--models DIR] [--tflm-tree PATH ...] [--convert]

Against the ``tflite-micro`` package's allocation report, which is a 64-bit host's: single operators, networks of the
search space with random weights, and the benchmark's networks (``--models``: what benchmarks/models.py wrote). With
trees, the same on the emulated board, whose interpreter is the product. With ``--convert`` networks are converted by
TensorFlow, and their files' sizes compared with those that were predicted from shapes.

``rows()`` is for other benchmarks; ``reports()`` writes what the tests compare with.
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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import calibrate_tflm
import numpy as np

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
CLASSES = 2
_PACKAGE = "tflite-micro package"


@dataclass(frozen=True)
class Row:
    """One figure of one model: what is estimated, and what ``source`` says; bytes."""

    model: str
    figure: str
    estimated: int
    found: int
    source: str

    @property
    def difference(self) -> int:
        """The estimate's; one that is negative is too low."""
        return self.estimated - self.found

    @property
    def part(self) -> float:
        """The difference as part of what was found."""
        return self.difference / self.found


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


def models(folder: Path | None = None) -> Iterator[tuple[str, Graph]]:
    """Single operators, networks of the search space with random weights, and the .tflite files of a folder."""
    for name, probe in calibrate_tflm.PROBES.items():
        yield name, probe(1)
    for name in GENOTYPES:
        yield name, filled(from_genotype(Genotype.parse(name), CLASSES), seed=0)
    for path in sorted(folder.glob("*.tflite")) if folder is not None else ():
        yield path.stem, read(path)


def rows(folder: Path | None = None, more: Iterable[tuple[str, Graph]] = ()) -> list[Row]:
    """Head and total of each model's arena on the host, against the package; empty where it is not installed."""
    found = []
    for name, graph in itertools.chain(models(folder), more):
        given = reported(graph.content)
        if given is not None:
            made = tflm.arena(graph, "reference", sizes=tflm.HOST)
            found.append(Row(name, "head", made.head, given.head, _PACKAGE))
            found.append(Row(name, "total", made.total, given.total, _PACKAGE))
    return found


def board_rows(tree: str, board: Board, folder: Path | None = None) -> Iterator[Row]:
    """The same on the emulated board, with RAM and flash of the program; models that do not fit are left out."""
    recipe = Recipe(runtime="tflm", tflm_tree=tree)
    kernels = recipe.engine().description.removeprefix("tflm, ")
    source = f"emulated {board.title}, {kernels}"
    for name, graph in models(folder):
        with tempfile.TemporaryDirectory(prefix="danas-estimates-") as place:
            try:
                yield from (Row(name, *values, source) for values in _on_board(graph, board, recipe, Path(place)))
            except DanasError as error:
                print(f"{name}: {error.what}", file=sys.stderr)


def _on_board(graph: Graph, board: Board, recipe: Recipe, place: Path) -> Iterator[tuple[str, int, int]]:
    runtime = recipe.engine()
    plan = runtime.plan(graph, board)
    made = runtime.estimate(graph, board, plan)
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
    yield "head", arena.head, memory.head or 0
    yield "tail", arena.tail, memory.tail or 0
    yield "RAM", made.ram_bytes, memory.arena_bytes + memory.static_bytes + memory.stack_used
    yield "flash", made.flash_bytes, program.firmware.report.flash_bytes


def converted_rows(say: Callable[[str], None] = print) -> Iterator[Row]:
    """Sizes of files that TensorFlow writes of networks with random weights; seconds each."""
    from pipeline.quantize import convert
    from pipeline.search import layers, subnet

    rng = np.random.default_rng(0)
    for name in GENOTYPES:
        genotype = Genotype.parse(name)
        weights = layers.initial(layers.parameters(genotype, CLASSES), (0,))
        for part, values in weights.items():
            if not part.endswith("kernel"):
                weights[part] = values + rng.normal(0, 0.2, values.shape).astype(np.float32)
        images = rng.integers(0, 256, (4, *genotype.data.shape), dtype=np.uint8)
        content = convert(subnet.settle(weights, genotype, CLASSES, images), images)
        predicted = tflm.predicted_bytes(from_genotype(genotype, CLASSES))
        yield Row(name, "file", predicted, len(content), "TensorFlow's converter")


def reports() -> dict[str, list[int]]:
    """Total, head and tail of each model without a folder, as the package reports them."""
    found = ((name, reported(graph.content)) for name, graph in models())
    return {name: [given.total, given.head, given.tail] for name, given in found if given is not None}


def markdown(found: Iterable[Row]) -> str:
    """The rows as a table."""
    lines = ["| model | figure | estimated, B | found, B | difference | against |", "|---|---|---|---|---|---|"]
    for row in found:
        change = f"{row.difference:+,} B ({row.part:+.2%})" if row.difference else "0"
        lines.append(f"| {row.model} | {row.figure} | {row.estimated:,} | {row.found:,} | {change} | {row.source} |")
    return "\n".join(lines)


def summary(found: Sequence[Row]) -> str:
    """One line for each figure and source: how many are equal, and the span of the others."""
    lines = ["| figure | against | models | equal | lowest | highest |", "|---|---|---|---|---|---|"]
    for figure, source in dict.fromkeys((row.figure, row.source) for row in found):
        these = [row for row in found if (row.figure, row.source) == (figure, source)]
        equal = sum(not row.difference for row in these)
        span = f"{min(row.part for row in these):+.2%} | {max(row.part for row in these):+.2%}"
        lines.append(f"| {figure} | {source} | {len(these)} | {equal} | {span} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of .tflite files")
    parser.add_argument("--board", default="nucleo_f746zg", help="board with an emulated twin")
    parser.add_argument("--tflm-tree", action="append", default=[], help="source tree; may be given several times")
    parser.add_argument("--convert", action="store_true", help="convert networks with TensorFlow")
    parser.add_argument("--write-reports", action="store_true", help=f"write {REPORTS.name} for the tests")
    options = parser.parse_args(arguments)
    if options.write_reports:
        lines = [f'"{name}": {json.dumps(sizes)}' for name, sizes in reports().items()]
        REPORTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        return 0
    found = rows(options.models)
    if options.convert:
        found += converted_rows()
    for tree in options.tflm_tree:
        found += board_rows(tree, boards.load(options.board), options.models)
    print(markdown(found), summary(found), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
