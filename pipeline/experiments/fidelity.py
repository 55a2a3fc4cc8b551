"""Rank fidelity: do subnets score with a supernet's weights as networks do that were trained alone?

Pure arithmetic: which subnets to train, and what follows from which images each network got right. The experiment that
trains them is in :mod:`pipeline.experiments.trusting`.

A network trained alone with another seed does not rank alike either. How far one seed's accuracies agree with another's
is the noise ceiling: no score can be expected to agree better with them, so that a supernet's correlation is given as a
share of it. All correlations are of single trainings on both sides, averaged over pairs of seeds.

Sources: Spearman's rho as the correlation of mid-ranks, Kendall's tau-b (Kendall, 1945); both are computed from the
signs of all differences, so that thousands of bootstrap samples take seconds. Groups of images are drawn, never single
images, as in :mod:`pipeline.experiments.statistics`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.genotype import DataConfig, Genotype

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: Thirds of the subnets of each data configuration, by their work.
SIZES = ("small", "medium", "large")
#: Drawn samples of groups, and the share of them that an interval holds.
REPLICATES = 1000
LEVEL = 0.95


def choose(
    pools: Mapping[DataConfig, Sequence[Genotype]], count: int, *, work: Callable[[Genotype], float], seed: int = 0
) -> tuple[Genotype, ...]:
    """Subnets with a wide spread: as many of each data configuration, evenly over the logarithm of their work.

    Args:
        pools: What there is to choose from.
        count: How many in all; fewer come back where there are not so many.
        work: Of a genotype, for example its multiply-accumulates; positive.
        seed: Decides among those of nearly the same work.

    Returns:
        By data configuration, the least work first. The least and the most of each pool are among them where two or
        more of it are.
    """
    datas = sorted(data for data, pool in pools.items() if pool)
    shares = dict.fromkeys(datas, 0)
    left = min(count, sum(len(pools[data]) for data in datas))
    while left:
        for data in datas:
            if left and shares[data] < len(pools[data]):
                shares[data] += 1
                left -= 1
    found: list[Genotype] = []
    for data in datas:
        rng = np.random.default_rng([seed, data.resolution, data.channels])
        found += _spread(sorted(pools[data], key=lambda one: (work(one), one.id)), shares[data], work, rng)
    return tuple(found)


def _spread(
    pool: Sequence[Genotype], count: int, work: Callable[[Genotype], float], rng: np.random.Generator
) -> list[Genotype]:
    """``count`` of a pool in the order of work."""
    sizes = np.log([work(one) for one in pool])
    width = (sizes[-1] - sizes[0]) / max(1, count - 1)
    chosen: list[int] = []
    for number in range(count):
        wanted = sizes[0] + number * width
        free = [index for index in range(len(pool)) if index not in chosen]
        off = np.abs(sizes[free] - wanted)
        ends = number in {0, count - 1}
        near = np.flatnonzero(off <= (off.min() if ends else max(off.min(), width / 8)))
        chosen.append(free[int(near[int(rng.integers(len(near)))])])
    return [pool[index] for index in sorted(chosen)]


@dataclass(frozen=True)
class Figure:
    """A figure with its interval; None where it is not defined (a constant side, a single seed)."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"value": self.value, "low": self.low, "high": self.high, "level": LEVEL}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was found out about some subnets.

    Attributes:
        subnets: How many.
        ceiling: Spearman's rho between the stand-alone accuracies of one seed and another.
        spearman: Between stand-alone accuracies and supernet scores.
        share: ``spearman`` as a share of ``ceiling``.
        kendall: Tau-b, likewise.
        kendall_ceiling: Of tau-b.
        averaged: Spearman's rho between the mean stand-alone accuracies over seeds and supernet scores.
        gap: Stand-alone accuracy less supernet score, on average, as a share of 1.
        by_size: The gap of small, medium and large subnets; each data configuration has thirds of its own.
    """

    subnets: int
    ceiling: Figure
    spearman: Figure
    share: Figure
    kendall: Figure
    kendall_ceiling: Figure
    averaged: Figure
    gap: Figure
    by_size: Mapping[str, Figure]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        names = ("ceiling", "spearman", "share", "kendall", "kendall_ceiling", "averaged", "gap")
        return {
            "subnets": self.subnets,
            **{name: getattr(self, name).as_dict() for name in names},
            "gap_by_size": {size: figure.as_dict() for size, figure in self.by_size.items()},
        }


@dataclass(frozen=True)
class Measured:
    """Which images of validation each network got right.

    Attributes:
        subnets: By data configuration, the least work first, as :func:`choose` gives them.
        alone: [seeds, subnets, images], of networks trained alone.
        shared: [seeds, subnets, images], of subnets with weights of supernets trained with so many seeds.
        groups: [images], the group of each image.
    """

    subnets: tuple[Genotype, ...]
    alone: Bools
    shared: Bools
    groups: NDArray[np.int64]

    def __post_init__(self) -> None:
        shape = (len(self.subnets), len(self.groups))
        if self.alone.ndim != 3 or self.alone.shape[1:] != shape or self.shared.shape[1:] != shape:
            raise ValueError(f"answers are [seeds, {shape[0]} subnets, {shape[1]} images]")

    @property
    def datas(self) -> tuple[DataConfig, ...]:
        """The data configurations."""
        return tuple(dict.fromkeys(one.data for one in self.subnets))

    def sizes(self) -> tuple[str, ...]:
        """Small, medium or large, of each subnet."""
        found: list[str] = []
        for data in self.datas:
            count = sum(one.data == data for one in self.subnets)
            found += [SIZES[number * len(SIZES) // count] for number in range(count)]
        return tuple(found)

    def accuracies(self) -> tuple[Floats, Floats]:
        """[seeds, subnets]: of networks trained alone, and by supernets."""
        return self.alone.mean(axis=2), self.shared.mean(axis=2)

    def figures(self, data: DataConfig | None = None, *, seed: int = 0) -> Figures:
        """Everything about the subnets of a data configuration; None: about all of them.

        Args:
            data: Of which.
            seed: Of the bootstrap.
        """
        of = np.array([data in (None, one.data) for one in self.subnets])
        names, member = np.unique(self.groups, return_inverse=True)
        rng = np.random.default_rng([seed, 3])
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=REPLICATES)
        # The first sample is what was measured; sums of whole numbers are exact, so that ties stay ties.
        weights = np.concatenate([np.ones((1, len(names)), np.int64), drawn]).astype(np.float64)
        counts = weights @ np.bincount(member, minlength=len(names))
        alone, shared = (
            _by_group(answers[:, of], member, len(names)) @ weights.T for answers in (self.alone, self.shared)
        )
        raw = _compared(np.moveaxis(alone, 2, 0), np.moveaxis(shared, 2, 0), counts)
        gaps = raw.pop("gaps")
        sizes = np.array(self.sizes())[of]
        found = {name: _figure(values, bounded=len(names) > 1) for name, values in raw.items()}
        return Figures(
            subnets=int(of.sum()),
            **found,
            gap=_figure(gaps.mean(axis=1), bounded=len(names) > 1),
            by_size={
                size: _figure(gaps[:, sizes == size].mean(axis=1), bounded=len(names) > 1)
                for size in SIZES
                if np.any(sizes == size)
            },
        )


def _by_group(answers: Bools, member: NDArray[np.intp], groups: int) -> Floats:
    """Right answers [seeds, subnets, groups]."""
    found = np.zeros((*answers.shape[:2], groups))
    for number in range(groups):
        found[:, :, number] = answers[:, :, member == number].sum(axis=2)
    return found


def _compared(alone: Floats, shared: Floats, counts: Floats) -> dict[str, Floats]:
    """Figures of each sample, from numbers of right answers [samples, seeds, subnets] of so many images."""
    mine = [_signs(alone[:, number]) for number in range(alone.shape[1])]
    theirs = [_signs(shared[:, number]) for number in range(shared.shape[1])]
    pairs = [(a, b) for a in mine for b in theirs]
    own = list(itertools.combinations(mine, 2))
    mean = _signs(alone.sum(axis=1))
    ceiling = _over(_spearman, own)
    spearman = _over(_spearman, pairs)
    return {
        "ceiling": ceiling,
        "spearman": spearman,
        "share": np.divide(spearman, ceiling, out=np.full_like(spearman, np.nan), where=ceiling > 0),
        "kendall": _over(_kendall, pairs),
        "kendall_ceiling": _over(_kendall, own),
        "averaged": _over(_spearman, [(mean, b) for b in theirs]),
        "gaps": (alone.mean(axis=1) - shared.mean(axis=1)) / counts[:, None],
    }


def _over(measure: Callable[[Floats, Floats], Floats], pairs: Sequence[tuple[Floats, Floats]]) -> Floats:
    """The mean over pairs; nan where there is none."""
    if not pairs:
        return np.full(REPLICATES + 1, np.nan)
    found: Floats = np.mean([measure(a, b) for a, b in pairs], axis=0)
    return found


def _signs(values: Floats) -> Floats:
    """[samples, n] -> signs of all differences [samples, n, n]."""
    found: Floats = np.sign(values[:, :, None] - values[:, None, :])
    return found


def _correlation(a: Floats, b: Floats) -> Floats:
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    found: Floats = np.divide((a * b).sum(axis=1), scale, out=np.full(len(a), np.nan), where=scale > 0)
    return found


def _spearman(one: Floats, other: Floats) -> Floats:
    """The sum over a row of signs is twice the mid-rank, less its mean."""
    return _correlation(one.sum(axis=2), other.sum(axis=2))


def _kendall(one: Floats, other: Floats) -> Floats:
    return _correlation(one.reshape(len(one), -1), other.reshape(len(other), -1))


def _figure(samples: Floats, *, bounded: bool) -> Figure:
    """The first sample is the value."""
    value = float(samples[0])
    drawn = samples[1:][np.isfinite(samples[1:])]
    if not np.isfinite(value):
        return Figure(None)
    if not bounded or not len(drawn):
        return Figure(value)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(value, float(low), float(high))
