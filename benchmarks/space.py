"""How long an estimate from shapes takes, one at a time and for all designs of the space, on one processor.

    python benchmarks/space.py [--board nucleo_f746zg] [--classes 2] [--sample 1000] [--only-sample] [--json]

A single estimate goes from a genotype to RAM and flash: shapes, memory plan, items. They are timed over random
genotypes, after as many others have warmed the process up; then the whole space in its order. Wall-clock and processor
time are shown side by side: on a machine that does other work the latter says what a free one takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable

import numpy as np
import sheets

from pipeline import boards
from pipeline.estimate.model import Estimate
from pipeline.genotype import Genotype
from pipeline.search import analytic
from pipeline.search.space import full
from pipeline.search.survey import without_collector

#: Bars: milliseconds of a single estimate (median), seconds of the whole space.
SINGLE_MS, SPACE_S = 1.0, 20.0


def timed(genotypes: Iterable[Genotype], estimate: Callable[[Genotype], Estimate]) -> list[tuple[float, float]]:
    """(wall-clock, processor) seconds of each estimate."""
    found = []
    for genotype in genotypes:
        wall, processor = time.perf_counter(), time.process_time()
        estimate(genotype)
        found.append((time.perf_counter() - wall, time.process_time() - processor))
    return found


def summary(times: list[tuple[float, float]]) -> dict[str, float]:
    """Milliseconds of single estimates, and seconds of all."""
    document: dict[str, float] = {"estimates": len(times)}
    for name, values in zip(("wall", "processor"), zip(*times, strict=True), strict=True):
        ordered = sorted(values)
        document[f"{name}_median_ms"] = 1e3 * statistics.median(ordered)
        document[f"{name}_p95_ms"] = 1e3 * ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        document[f"{name}_total_s"] = sum(ordered)
    return document


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", default="nucleo_f746zg")
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--sample", type=int, default=1000)
    parser.add_argument("--only-sample", action="store_true", help="leave the whole space out")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    estimate = analytic(boards.load(options.board), options.classes)
    space, rng = full(), np.random.default_rng(0)
    timed((space.random(rng) for _ in range(options.sample)), estimate)
    found = {"random": summary(timed([space.random(rng) for _ in range(options.sample)], estimate))}
    if not options.only_sample:
        with without_collector():
            found["space"] = summary(timed(space, estimate))
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(sheets.terminal(_sheet(found)), end="")


def _sheet(found: dict[str, dict[str, float]]) -> sheets.Sheet:
    rows: list[tuple[sheets.Cell, ...]] = []
    for name, times in found.items():
        median, total = times["processor_median_ms"], times["processor_total_s"]
        rows.append(
            (
                name,
                f"{times['estimates']:,}",
                sheets.Verdict(f"{median:.2f}", median <= SINGLE_MS) if name == "random" else f"{median:.2f}",
                f"{times['processor_p95_ms']:.2f}",
                sheets.Verdict(f"{total:.1f}", total <= SPACE_S) if name == "space" else f"{total:.1f}",
                f"{times['wall_median_ms']:.2f}",
                f"{times['wall_total_s']:.1f}",
            )
        )
    columns = ("genotypes", "count", "median ms", "p95 ms", "total s", "median ms (wall)", "total s (wall)")
    return sheets.Sheet(f"Estimates from shapes (bars: {SINGLE_MS:g} ms, {SPACE_S:g} s)", columns, tuple(rows))


if __name__ == "__main__":
    main()
