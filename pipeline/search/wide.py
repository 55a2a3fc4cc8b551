"""The wide space: besides data configuration and depths a width, a kernel size and an expansion a stage.

It has so many designs (some 10¹⁴) that nothing goes through them: what is feasible is found by drawing, and what of the
axes can be feasible at all from the smallest designs that have each value (:meth:`WideSpace.corners`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from pipeline.genotype import (
    EXPANSIONS,
    FIXED_STAGES,
    KERNELS,
    MAX_DEPTHS,
    QUARTERS,
    DataConfig,
    Genotype,
    StageGenes,
    Wide,
    kernels,
)
from pipeline.search.space import Depths, Space, Steps, all_data, all_depths, fewest


@dataclass(frozen=True, kw_only=True)
class WideSpace(Space):
    """The product of data configurations, depth tuples, and every stage's widths, kernels and expansions.

    Attributes:
        widths: Quarters that stem and stages may have of MobileNetV2's channels, ascending.
        kernels: Sides that depthwise kernels may have where the map is large enough, ascending; 3 among them.
        expansions: What blocks may multiply their inputs by, ascending.
    """

    widths: tuple[int, ...] = QUARTERS
    kernels: tuple[int, ...] = KERNELS
    expansions: tuple[int, ...] = EXPANSIONS

    name = "wide"
    # Data and depth steps change more than one gene of one stage does; there are some twenty of the latter.
    step_probabilities = (0.25, 0.25, 0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        for values, known in ((self.widths, QUARTERS), (self.kernels, KERNELS), (self.expansions, EXPANSIONS)):
            if not values or list(values) != sorted(set(values)) or not set(values) <= set(known):
                raise ValueError(f"{values} are not some of {known}, ascending")
        if KERNELS[0] not in self.kernels:
            raise ValueError(f"kernels of {KERNELS[0]} are missing: the smallest maps take no others")

    def __len__(self) -> int:
        return sum(self._count(data) for data in self.data)

    def _count(self, data: DataConfig) -> int:
        a_stage = [
            len(self.widths) * len(self.expansions) * len(self._kernels(data, stage))
            for stage in range(FIXED_STAGES, FIXED_STAGES + 1 + len(MAX_DEPTHS))
        ]
        by_stages = [len(self.widths) ** 2 * prod(a_stage[:stages]) for stages in range(len(a_stage) + 1)]
        return sum(by_stages[1 + _stages(depths)] for depths in self.depths)

    def _kernels(self, data: DataConfig, stage: int) -> tuple[int, ...]:
        possible = kernels(data, stage)
        return tuple(side for side in self.kernels if side in possible)

    def __contains__(self, genotype: object) -> bool:
        if not isinstance(genotype, Genotype) or genotype.wide is None:
            return False
        wide = genotype.wide
        return (
            genotype.data in self._data_set
            and genotype.depths in self._depth_set
            and all(width in self.widths for width in (wide.stem, wide.first, *(one.width for one in wide.stages)))
            and all(one.kernel in self.kernels and one.expansion in self.expansions for one in wide.stages)
        )

    def of(self, data: DataConfig) -> Iterator[Genotype]:
        """See :meth:`Space.of`."""
        for depths in self.depths:
            stages = range(FIXED_STAGES, FIXED_STAGES + 1 + _stages(depths))
            genes = [
                [
                    StageGenes(*one)
                    for one in itertools.product(self.widths, self._kernels(data, stage), self.expansions)
                ]
                for stage in stages
            ]
            for stem, first in itertools.product(self.widths, self.widths):
                for chosen in itertools.product(*genes):
                    yield _made(data, depths, stem, first, chosen)

    def random(self, rng: np.random.Generator, data: DataConfig | None = None) -> Genotype:
        """A genotype: every data configuration, every depth tuple, and every value of each gene equally likely.

        Not every genotype: nearly all have all their stages.
        """
        chosen = self.data[int(rng.integers(len(self.data)))] if data is None else data
        depths = self.depths[int(rng.integers(len(self.depths)))]

        def one_of(values: Sequence[int]) -> int:
            return values[int(rng.integers(len(values)))]

        stem, first = one_of(self.widths), one_of(self.widths)
        stages = [
            StageGenes(one_of(self.widths), one_of(self._kernels(chosen, stage)), one_of(self.expansions))
            for stage in range(FIXED_STAGES, FIXED_STAGES + 1 + _stages(depths))
        ]
        return _made(chosen, depths, stem, first, stages)

    def _fitted(
        self, data: DataConfig, depths: Depths, stem: int, first: int, stages: Sequence[StageGenes]
    ) -> Genotype:
        """With kernels that the maps take; a stage that has no genes takes after the one before it."""
        kept: list[StageGenes] = []
        for number in range(1 + _stages(depths)):
            genes = stages[number] if number < len(stages) else kept[-1]
            sides = self._kernels(data, FIXED_STAGES + number)
            kernel = max((side for side in sides if side <= genes.kernel), default=sides[0])
            kept.append(replace(genes, kernel=kernel))
        return _made(data, depths, stem, first, kept)

    def moved(self, genotype: Genotype, data: DataConfig) -> Genotype:
        """See :meth:`Space.moved`."""
        wide = _genes(genotype)
        return self._fitted(data, genotype.depths, wide.stem, wide.first, wide.stages)

    def depth_steps(self, genotype: Genotype) -> Steps:
        """See :meth:`Space.depth_steps`; a new stage takes after the one before it."""
        wide = _genes(genotype)
        return tuple(
            tuple(self._fitted(genotype.data, depths, wide.stem, wide.first, wide.stages) for depths in stage)
            for stage in self._changed_depths(genotype)
        )

    def other_steps(self, genotype: Genotype) -> Steps:
        """The genotypes with the next smaller and the next larger value of a width, a kernel or an expansion."""
        wide, data = _genes(genotype), genotype.data
        axes: list[list[Wide]] = [
            [replace(wide, stem=width) for width in _beside(self.widths, wide.stem)],
            [replace(wide, first=width) for width in _beside(self.widths, wide.first)],
        ]
        for number, genes in enumerate(wide.stages):
            sides = self._kernels(data, FIXED_STAGES + number)
            changes = (
                [replace(genes, width=width) for width in _beside(self.widths, genes.width)],
                [replace(genes, kernel=side) for side in _beside(sides, genes.kernel)],
                [replace(genes, expansion=times) for times in _beside(self.expansions, genes.expansion)],
            )
            for changed in changes:
                stages = [(*wide.stages[:number], one, *wide.stages[number + 1 :]) for one in changed]
                axes.append([replace(wide, stages=found) for found in stages])
        return tuple(tuple(replace(genotype, wide=changed) for changed in axis) for axis in axes)

    def crossover(self, one: Genotype, other: Genotype, rng: np.random.Generator) -> Genotype:
        """See :meth:`Space.crossover`; a stage that only one parent has is that parent's."""
        data, depths = self._crossed(one, other, rng.integers(2, size=7).tolist())
        parents = (_genes(one), _genes(other))
        stages = []
        for number in range(1 + _stages(depths)):
            those = [wide.stages[number] for wide in parents if number < len(wide.stages)]
            coin = rng.integers(len(those), size=3)
            genes = StageGenes(those[coin[0]].width, those[coin[1]].kernel, those[coin[2]].expansion)
            stages.append(genes)
        coin = rng.integers(2, size=2)
        return self._fitted(data, depths, parents[coin[0]].stem, parents[coin[1]].first, stages)

    def _smallest(self, data: DataConfig, depths: Depths) -> Genotype:
        least = StageGenes(self.widths[0], self.kernels[0], self.expansions[0])
        return _made(data, depths, self.widths[0], self.widths[0], [least] * (1 + _stages(depths)))

    def least(self, data: DataConfig) -> Iterator[Genotype]:
        """For each number of stages the smallest design: one with more of any gene needs no less."""
        for stages in sorted({_stages(depths) for depths in self.depths}):
            those = [depths for depths in self.depths if _stages(depths) == stages]
            yield self._smallest(data, min(those, key=lambda one: (sum(one), one)))

    def corners(self, data: DataConfig) -> Iterator[Genotype]:
        """See :meth:`Space.corners`."""
        start = self._smallest(data, min(self.depths, key=lambda one: (sum(one), one)))
        wide = _genes(start)
        yield start
        for width in self.widths[1:]:
            yield replace(start, wide=replace(wide, stem=width))
            yield replace(start, wide=replace(wide, first=width))
        yield from self._genes_of(start, 0)
        for stage, most in enumerate(MAX_DEPTHS):
            for blocks in range(most + 1):
                depths = fewest(self.depths, stage, blocks)
                if depths is not None:
                    yield self._smallest(data, depths)
            shortest = min((one for one in self.depths if one[stage]), key=lambda one: (sum(one), one), default=None)
            if shortest is not None:
                yield from self._genes_of(self._smallest(data, shortest), 1 + stage)

    def _genes_of(self, design: Genotype, number: int) -> Iterator[Genotype]:
        """With each other value of each gene of a stage (0: the second)."""
        wide = _genes(design)
        genes = wide.stages[number]
        for changed in (
            *(replace(genes, width=width) for width in self.widths[1:]),
            *(replace(genes, kernel=side) for side in self._kernels(design.data, FIXED_STAGES + number)[1:]),
            *(replace(genes, expansion=times) for times in self.expansions[1:]),
        ):
            stages = (*wide.stages[:number], changed, *wide.stages[number + 1 :])
            yield replace(design, wide=replace(wide, stages=stages))

    @property
    def identity(self) -> dict[str, Any]:
        """See :attr:`Space.identity`."""
        return {
            "kind": self.name,
            "data": [data.id for data in self.data],
            "depths": ["".join(map(str, depths)) for depths in self.depths],
            "widths": list(self.widths),
            "kernels": list(self.kernels),
            "expansions": list(self.expansions),
        }


def full() -> WideSpace:
    """The whole wide space."""
    return WideSpace(data=all_data(), depths=all_depths())


def quick() -> WideSpace:
    """The demo's: the three smallest resolutions, kernels up to 5, expansions up to 3, as narrow as its published one.

    See :func:`pipeline.search.space.quick`.
    """
    return WideSpace(
        data=tuple(data for data in all_data() if data.resolution <= 96),
        depths=all_depths(),
        kernels=KERNELS[:2],
        expansions=tuple(times for times in EXPANSIONS if times <= 3),
    )


def _stages(depths: Depths) -> int:
    return sum(1 for depth in depths if depth)


def _genes(genotype: Genotype) -> Wide:
    if genotype.wide is None:
        raise ValueError(f"{genotype.id} is no design of the wide space")
    return genotype.wide


def _made(data: DataConfig, depths: Depths, stem: int, first: int, stages: Sequence[StageGenes]) -> Genotype:
    return Genotype(data, depths, wide=Wide(stem, first, tuple(stages)))


def _beside(values: Sequence[int], value: int) -> list[int]:
    """The next smaller and the next larger one."""
    below, above = [one for one in values if one < value][-1:], [one for one in values if one > value][:1]
    return below + above
