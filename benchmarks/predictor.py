"""Whether the predictor saves evaluations: evolution with broods of several sizes, on made-up score surfaces.

    python benchmarks/predictor.py [--seeds 20] [--evaluations 80]

No network is trained. A surface gives each design of the published space an accuracy. The smooth ones are what the
predictor hopes for: work and weights help less and less. On the odd one each value of each gene, and of each pair of
genes, is worth something at random: little of that can be said with the predictor's features. Each design has its own
luck besides, normally distributed. Limits are the published 128 kB of RAM and 512 kB of flash, by the published
formulas. Printed are the evaluations that it takes, in the median over the seeds, to come to the best that evolution
without a predictor has found after all of its own, and the paired difference of the best after half of the evaluations,
with a bootstrapped interval of 95 %. What is best is so with its luck, as in a search.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import cache, partial

import numpy as np

from pipeline.estimate.macs import macs
from pipeline.estimate.model import Estimate, Item, Limits
from pipeline.estimate.published import published
from pipeline.genotype import Genotype
from pipeline.graph.skeleton import from_genotype
from pipeline.search import Candidate, Evolution, Scores, space
from pipeline.search.feasibility import Feasibility
from pipeline.search.samplers import EvolutionSampler, RandomSampler, Sampler

LIMITS = Limits(ram_bytes=128 * 1024, flash_bytes=512 * 1024)
BROODS = (1, 4, 16)


@cache
def figures(genotype: Genotype) -> Estimate:
    """By the published formulas."""
    graph = from_genotype(genotype, 2)
    found = published(graph)
    return Estimate(
        ram=(Item(name="activations", bytes=found.ram_bytes),),
        flash=(Item(name="parameters", bytes=found.flash_bytes),),
        stack_reserve=0,
        macs=macs(graph),
    )


def smooth(genotype: Genotype, _: int) -> float:
    """Work and weights help less and less, deeper is better up to a point, colour is worth a point."""
    known = figures(genotype)
    work, weights = math.log10(known.macs) - 5, math.log10(known.flash_bytes) - 4
    found = 0.9 - 0.25 * math.exp(-0.9 * work) - 0.18 * math.exp(-1.1 * weights)
    return found - 0.0006 * (sum(genotype.depths) - 9) ** 2 + 0.01 * (genotype.data.channels == 3)


def odd(genotype: Genotype, seed: int) -> float:
    """Each value of each gene, and of each pair of genes, is worth something at random: 3 points and 1.5 points."""
    found = 0.7
    genes = (genotype.data.resolution, genotype.data.channels, round(10 * genotype.alpha), *genotype.depths)
    for one, value in enumerate(genes):
        found += 0.03 * _luck(seed, one, value)
        for other in range(one):
            found += 0.015 * _luck(seed, one, value, 1 + other, genes[other])
    return found


@cache
def _luck(*words: int) -> float:
    return float(np.random.default_rng(words).normal())


#: Name, surface, and each design's own luck in points.
SURFACES: tuple[tuple[str, Callable[[Genotype, int], float], float], ...] = (
    ("smooth, luck of 1.5 points", smooth, 1.5),
    ("smooth, luck of 3 points", smooth, 3.0),
    ("odd, luck of 1.5 points", odd, 1.5),
)


def _accuracy(rule: Callable[[Genotype, int], float], luck: float, seed: int, genotype: Genotype) -> float:
    return rule(genotype, seed) + luck / 100 * _luck(seed, genotype.seed)


def best_so_far(sampler: Sampler, accuracy: Callable[[Genotype], float], count: int) -> list[float]:
    """The best accuracy after each evaluation."""
    history: list[Candidate] = []
    best: list[float] = []
    while len(history) < count:
        genotype = sampler.propose(history)
        if genotype is None:
            break
        found = accuracy(genotype)
        scores = Scores(found, found, found)
        history.append(
            Candidate(
                proposal=len(history),
                genotype=genotype,
                scores=scores,
                fitness=3 * found + 2,
                feasible=True,
                estimate=figures(genotype),
            )
        )
        best.append(max(found, best[-1] if best else 0.0))
    return best


def interval(differences: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    """Of the mean, 95 %, bootstrapped."""
    rng = np.random.default_rng(0)
    means = rng.choice(differences, (4000, len(differences))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=80)
    options = parser.parse_args()
    count, half = options.evaluations, options.evaluations // 2
    feasibility = Feasibility(space.full(), figures, LIMITS)
    print("| surface | search | evaluations to plain evolution's best | best after half, against plain, points |")
    print("|---|---|---|---|")
    for surface, rule, luck in SURFACES:
        curves: dict[str, list[list[float]]] = {}
        for seed in range(options.seeds):
            accuracy = partial(_accuracy, rule, luck, seed)
            for brood in BROODS:
                sampler = EvolutionSampler(feasibility, seed=seed, evolution=Evolution(brood=brood))
                name = "evolution" if brood == 1 else f"brood of {brood}"
                curves.setdefault(name, []).append(best_so_far(sampler, accuracy, count))
            curves.setdefault("random", []).append(best_so_far(RandomSampler(feasibility, seed=seed), accuracy, count))
        plain = curves["evolution"]
        for name, those in curves.items():
            needed = [
                next((at + 1 for at, value in enumerate(one) if value >= other[-1]), count + 1)
                for one, other in zip(those, plain, strict=True)
            ]
            gains = np.array([100 * (one[half - 1] - other[half - 1]) for one, other in zip(those, plain, strict=True)])
            low, high = interval(gains)
            middle = float(np.median(needed))
            shown = f"{middle:.0f}" if middle <= count else f"more than {count}"
            print(f"| {surface} | {name} | {shown} | {gains.mean():+.2f} ({low:+.2f} … {high:+.2f}) |")


if __name__ == "__main__":
    main()
