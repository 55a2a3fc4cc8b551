#!/usr/bin/env python3
"""What inferences take, predicted against counted, on networks that the model has not seen; 1 where a bar is missed.

    python benchmarks/latency.py
    python benchmarks/latency.py --boards nucleo_l4r5zi --genotypes 5
    python benchmarks/latency.py --json latency.json --markdown latency.md --plot latency.svg

Random genotypes that fit every board, with random weights, some of them as TensorFlow converts them, and the
benchmark's networks are predicted, built, and run on emulated boards, which count executed instructions. What was built
and run is kept in ``--folder``, as benchmarks/estimates.py keeps it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import estimates_aot
import estimates_networks
import models
import numpy as np
from estimates_aot import Case
from estimates_networks import Subject
from latency_plot import Point, plot
from numpy.typing import NDArray
from sheets import Cell, Sheet, Verdict, markdown, terminal

from pipeline import boards
from pipeline.calibration import costs_probes
from pipeline.estimate.cost import predict
from pipeline.firmware.details import details
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled_bytes
from pipeline.graph.skeleton import from_genotype

BOARDS = ("nucleo_f746zg", "nucleo_l4r5zi")
#: Bars of the genotypes: mean and largest absolute error, and Spearman's rank correlation.
MEAN, WORST, SPEARMAN = 0.02, 0.06, 0.99


@dataclass(frozen=True, kw_only=True)
class Line:
    """An inference, predicted and counted.

    Attributes:
        kind: genotype (normally distributed weights), uniform (the same with uniform ones), converted (by TensorFlow)
            or benchmark.
        predicted: Instructions, from the Graph and what its weights decide.
        from_shapes: The same from shapes alone, where the network is a genotype's.
        counted: Instructions, as the firmware reports them.
        stages: Relative errors of its stages, from the Graph.
    """

    network: str
    kind: str
    board: str
    predicted: int
    from_shapes: int | None
    counted: int
    stages: tuple[float, ...]

    def guess(self, basis: str) -> int | None:
        """The prediction from ``shapes`` or from the ``model``."""
        return self.from_shapes if basis == "shapes" else self.predicted

    @property
    def error(self) -> float:
        """Relative; from shapes where there are any, since that is what a search goes by."""
        guess = self.predicted if self.from_shapes is None else self.from_shapes
        return guess / self.counted - 1


def lines(options: argparse.Namespace) -> Iterator[Line]:
    """Every network on every board."""
    chosen = [boards.load(name) for name in options.boards]
    genotypes = [
        genotype
        for genotype in estimates_networks.genotypes(chosen, options.genotypes, options.seed)
        if genotype.id not in costs_probes.NETWORKS
    ]
    shops = [estimates_aot.Workshop(board, options.folder) for board in chosen]
    for subject in _subjects(genotypes, options):
        for shop in shops:
            print(f"{subject.name} ({subject.kind}) on {shop.board.name}", file=sys.stderr, flush=True)
            yield _line(shop.case(subject))


def _subjects(genotypes: Sequence[Genotype], options: argparse.Namespace) -> Iterator[Subject]:
    """The genotypes with weights as training leaves them, the widest with uniform ones too, and other networks."""
    for genotype in genotypes:
        shapes = from_genotype(genotype, estimates_networks.CLASSES)
        content = partial(filled_bytes, shapes, options.seed, bell=True)
        yield Subject(name=genotype.id, kind="genotype", content=content, shapes=shapes)
    uniform = set(sorted(genotypes, key=lambda one: (-one.alpha, one.id))[: options.uniform])
    for subject in estimates_networks.subjects(
        genotypes,
        seed=options.seed,
        conversions=options.conversions,
        names=[] if options.without_models else [network.name for network in models.NETWORKS],
        folder=options.folder,
    ):
        if subject.kind != "genotype":
            yield subject
        elif Genotype.parse(subject.name) in uniform:
            yield replace(subject, kind="uniform")


def _line(case: Case) -> Line:
    if case.facts.instructions is None:
        raise SystemExit(f"{case.board.name} does not count instructions")
    graph, plan = case.model.graph, case.model.plan
    found = predict(graph, plan, case.board, details=details(graph, plan))
    shapes = case.shapes
    stages = case.facts.stages[-len(found.counts) :]  # Before them a streamed input's, which waits.
    return Line(
        network=case.subject.name,
        kind=case.subject.kind,
        board=case.board.name,
        predicted=found.total,
        from_shapes=None if shapes is None else predict(shapes.graph, shapes.plan, case.board).total,
        counted=case.facts.instructions,
        stages=tuple(round(guess / count - 1, 5) for guess, count in zip(found.counts, stages, strict=True)),
    )


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Rank correlation; equal values share their mean rank. 1 where there are fewer than two."""
    if len(a) < 2:
        return 1.0
    first, second = _ranks(a), _ranks(b)
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    below = (array[:, None] > array[None, :]).sum(axis=1)
    equal = (array[:, None] == array[None, :]).sum(axis=1)
    return np.asarray(below + (equal - 1) / 2, np.float64)


def summary(found: Sequence[Line]) -> tuple[Sheet, bool]:
    """Errors by board and kind, and whether the genotypes hold their bars.

    The bars are for what is predicted from shapes and from the model. Uniform weights are held to them from the model
    alone: their sums may be so large that a layer takes another form, which shapes do not tell.
    """
    rows: list[tuple[Cell, ...]] = []
    holds = True
    for kind, board in dict.fromkeys((line.kind, line.board) for line in found):
        those = [line for line in found if (line.kind, line.board) == (kind, board)]
        stages = [abs(error) for line in those for error in line.stages]
        for basis in ("shapes", "model"):
            pairs = [(guess, line.counted) for line in those if (guess := line.guess(basis)) is not None]
            if not pairs:
                continue
            errors = [abs(guess / counted - 1) for guess, counted in pairs]
            mean, worst = sum(errors) / len(errors), max(errors)
            rank = spearman(*zip(*pairs, strict=True))
            verdicts = mean <= MEAN, worst <= WORST, rank >= SPEARMAN
            figures = f"{mean:.2%}", f"{worst:.2%}", f"{rank:.4f}"
            held = kind == "genotype" or (kind == "uniform" and basis == "model")
            cells = [Verdict(*pair) if held else pair[0] for pair in zip(figures, verdicts, strict=True)]
            holds &= all(verdicts) or not held
            of_stages = (f"{sum(stages) / len(stages):.2%}", f"{max(stages):.2%}") if basis == "model" else ("", "")
            rows.append((kind, board, basis, str(len(pairs)), *cells, *of_stages))
    columns = (
        "networks",
        "board",
        "from",
        "count",
        "mean error",
        "worst",
        "Spearman",
        "a stage's mean",
        "a stage's worst",
    )
    return Sheet("Instructions of an inference, predicted against counted", columns, tuple(rows), texts=3), holds


def networks(found: Sequence[Line]) -> Sheet:
    """Each network's figures."""
    rows = tuple(
        (
            line.network,
            line.kind,
            line.board,
            f"{line.counted:,}",
            "–" if line.from_shapes is None else f"{line.from_shapes:,}",
            f"{line.predicted:,}",
            f"{line.error:+.2%}",
        )
        for line in found
    )
    columns = ("network", "kind", "board", "counted", "from shapes", "from the model", "error")
    return Sheet("Each network", columns, rows, texts=3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict, count, print and write; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=lambda text: text.split(","), default=list(BOARDS), metavar="BOARD,…")
    parser.add_argument("--genotypes", type=int, default=32, metavar="N", help="random genotypes (default 32)")
    parser.add_argument("--conversions", type=int, default=4, metavar="N", help="of them converted too (default 4)")
    parser.add_argument(
        "--uniform", type=int, default=6, metavar="N", help="of them with uniform weights too (default 6)"
    )
    parser.add_argument("--without-models", action="store_true", help="without the benchmark's networks")
    parser.add_argument("--seed", type=int, default=0, help="of genotypes and weights")
    parser.add_argument("--folder", type=Path, default=Path("build/estimates"), help="what is kept between runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every figure")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the tables as docs/latency.md has them")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="predicted against counted, as SVG")
    options = parser.parse_args(arguments)
    found = list(lines(options))
    table, holds = summary(found)
    tables = [table, networks(found)]
    print("\n".join(map(terminal, tables)))
    if options.markdown:
        options.markdown.write_text("\n".join(map(markdown, tables)), encoding="utf-8")
    if options.json:
        bars = {"mean": MEAN, "worst": WORST, "spearman": SPEARMAN}
        document = {"schema_version": 1, "seed": options.seed, "bars": bars, "lines": [asdict(line) for line in found]}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        points = [Point(line.counted, line.error, line.board, line.kind) for line in found]
        options.plot.write_text(plot(points, bars=(MEAN, WORST)), encoding="utf-8")
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
