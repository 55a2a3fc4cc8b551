#!/usr/bin/env python3
"""How far estimates are from what is built and run, against their bars; 1 where a bar is missed.

    python benchmarks/estimates.py
    python benchmarks/estimates.py --rows ram,flash --boards nucleo_l4r5zi --genotypes 5
    python benchmarks/estimates.py --json estimates.json --markdown estimates.md

Random genotypes that fit every board, with random weights, some of them as TensorFlow converts them, and the
benchmark's networks (made with Keras where they are missing) are estimated, built, and run on emulated boards. What was
built and run is kept in ``--folder``, by build id: an interrupted command goes on, and only new firmware is built.

Rows: ``ram``, ``flash`` and ``instructions`` of the runtime aot, the last on boards that count exactly; ``tflm``: the
interpreter's arena against the ``tflite-micro`` package, and the size of its model's file
(benchmarks/estimates_tflm.py, which takes a TFLM tree to a board too).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import estimates_aot
import estimates_lines
import estimates_networks
import estimates_tflm
import models
from estimates_lines import Line
from sheets import markdown, terminal

from pipeline import boards
from pipeline.boards import Board

BOARDS = ("nucleo_f746zg", "nucleo_l4r5zi", "mps2_an500")
#: What each row is made of, of a network on a board.
_OF_A_CASE = {
    "ram": estimates_aot.ram_lines,
    "flash": estimates_aot.flash_lines,
    "instructions": estimates_aot.instruction_lines,
}
ROWS = (*_OF_A_CASE, "tflm")


def lines(rows: Sequence[str], chosen: Sequence[Board], options: argparse.Namespace) -> Iterator[Line]:
    """Every comparison of the rows."""
    genotypes = estimates_networks.genotypes(chosen, options.genotypes, options.seed)
    wanted = [_OF_A_CASE[row] for row in rows if row in _OF_A_CASE]
    if wanted:
        shops = [estimates_aot.Workshop(board, options.folder) for board in chosen]
        for subject in estimates_networks.subjects(
            genotypes,
            seed=options.seed,
            conversions=options.conversions,
            names=[] if options.without_models else [network.name for network in models.NETWORKS],
            folder=options.folder,
        ):
            for shop in shops:
                print(f"{subject.name} ({subject.kind}) on {shop.board.name}", file=sys.stderr, flush=True)
                case = shop.case(subject)
                for of_a_case in wanted:
                    yield from of_a_case(case)
    if "tflm" in rows:
        models.make(options.folder / "models")
        yield from estimates_tflm.package_lines(options.folder / "models", genotypes, options.seed)
        yield from estimates_tflm.file_lines(options.folder / "converted")


def _listed(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A list with commas, of known names."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(known)}")
        return names

    return parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print and write; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=_listed(ROWS), default=list(ROWS), metavar="ROW,…", help=",".join(ROWS))
    parser.add_argument("--boards", type=_listed(BOARDS), default=list(BOARDS), metavar="BOARD,…")
    parser.add_argument("--genotypes", type=int, default=30, metavar="N", help="random genotypes (default 30)")
    parser.add_argument("--conversions", type=int, default=4, metavar="N", help="of them converted too (default 4)")
    parser.add_argument("--without-models", action="store_true", help="leave out the benchmark's networks")
    parser.add_argument("--seed", type=int, default=0, help="of genotypes and weights")
    parser.add_argument("--folder", type=Path, default=Path("build/estimates"), help="what is kept between runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every comparison")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the tables as docs/estimates.md has them")
    options = parser.parse_args(arguments)
    found = list(lines(options.rows, [boards.load(name) for name in options.boards], options))
    tables = [estimates_lines.summary(found)]
    absent = set(options.rows) - {line.row for line in found}
    if absent:
        print(f"{', '.join(sorted(absent))}: nothing to compare with; is the package installed?", file=sys.stderr)
        return 1
    if not all(line.holds for line in found):
        tables.append(estimates_lines.misses(found))
    print("\n".join(map(terminal, tables)))
    if options.markdown:
        options.markdown.write_text("\n".join(map(markdown, tables)), encoding="utf-8")
    if options.json:
        document = {"schema_version": 1, "seed": options.seed, "lines": estimates_lines.as_json(found)}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return int(not all(group.holds for group in estimates_lines.groups(found)))


if __name__ == "__main__":
    sys.exit(main())
