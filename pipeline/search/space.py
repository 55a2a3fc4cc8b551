"""The space a search walks in: which data configurations, depths and widths it may propose, and how it steps.

Sizes: 268 depth tuples × 10 widths × 14 data configurations = 37,520 systems for the whole space.

Source of the steps and of the crossover: arXiv 2502.12690 (data-aware NAS with supernets).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.genotype import ALPHAS, MAX_DEPTHS, RESOLUTIONS, Colour, DataConfig, Genotype

Depths = tuple[int, int, int, int, int]

#: A mutation takes its one step on a data axis, on one stage's depth, or on alpha, with these probabilities.
STEP_PROBABILITIES = (0.4, 0.4, 0.2)


def repair(depths: Sequence[int]) -> Depths:
    """Empty every stage behind an empty one.

    >>> repair((2, 0, 1, 1, 1))
    (2, 0, 0, 0, 0)
    """
    kept: list[int] = []
    for depth in depths:
        kept.append(depth if all(kept) else 0)
    return (kept[0], kept[1], kept[2], kept[3], kept[4])


def all_depths() -> tuple[Depths, ...]:
    """Every allowed depth tuple of stages 3-7, sorted."""
    every = itertools.product(*(range(most + 1) for most in MAX_DEPTHS))
    return tuple(sorted({repair(depths) for depths in every}))


def all_data() -> tuple[DataConfig, ...]:
    """Every data configuration, sorted."""
    return tuple(DataConfig(resolution, colour) for resolution in RESOLUTIONS for colour in Colour)


@dataclass(frozen=True, kw_only=True)
class Space:
    """A set of genotypes: the product of its data configurations, depth tuples and alphas."""

    data: tuple[DataConfig, ...]
    depths: tuple[Depths, ...]
    alphas: tuple[float, ...]

    def __post_init__(self) -> None:
        if not (self.data and self.depths and self.alphas):
            raise ValueError("a space needs at least one data configuration, one depth tuple and one alpha")

    def __len__(self) -> int:
        return len(self.data) * len(self.depths) * len(self.alphas)

    def __contains__(self, genotype: object) -> bool:
        return (
            isinstance(genotype, Genotype)
            and genotype.data in self._data_set
            and genotype.depths in self._depth_set
            and genotype.alpha in self.alphas
        )

    def __iter__(self) -> Iterator[Genotype]:
        for data in self.data:
            yield from self.of(data)

    @cached_property
    def _data_set(self) -> frozenset[DataConfig]:
        return frozenset(self.data)

    @cached_property
    def _depth_set(self) -> frozenset[Depths]:
        return frozenset(self.depths)

    def of(self, data: DataConfig) -> Iterator[Genotype]:
        """The genotypes of one data configuration."""
        for depths in self.depths:
            for alpha in self.alphas:
                yield Genotype(data, depths, alpha)

    def random(self, rng: np.random.Generator, data: DataConfig | None = None) -> Genotype:
        """A genotype, every one (of the data configuration, where it is given) equally likely."""
        return Genotype(
            self.data[int(rng.integers(len(self.data)))] if data is None else data,
            self.depths[int(rng.integers(len(self.depths)))],
            self.alphas[int(rng.integers(len(self.alphas)))],
        )

    def data_steps(self, genotype: Genotype) -> tuple[tuple[Genotype, ...], ...]:
        """The genotypes one step away on a data axis: those on the resolution axis, those on the colour axis."""
        now = genotype.data
        same_colour = sorted(data for data in self.data if data.colour is now.colour)
        return (
            self._data_neighbours(genotype, same_colour),
            tuple(
                Genotype(data, genotype.depths, genotype.alpha)
                for data in self.data
                if data.resolution == now.resolution and data.colour is not now.colour
            ),
        )

    @staticmethod
    def _data_neighbours(genotype: Genotype, ordered: list[DataConfig]) -> tuple[Genotype, ...]:
        below = [data for data in ordered if data < genotype.data][-1:]
        above = [data for data in ordered if data > genotype.data][:1]
        return tuple(Genotype(data, genotype.depths, genotype.alpha) for data in below + above)

    def depth_steps(self, genotype: Genotype) -> tuple[tuple[Genotype, ...], ...]:
        """The genotypes that differ by one block in one stage, by stage; stages behind an emptied one are emptied."""
        stages: list[tuple[Genotype, ...]] = []
        for stage, depth in enumerate(genotype.depths):
            found = []
            for changed in (depth - 1, depth + 1):
                if 0 <= changed <= MAX_DEPTHS[stage]:
                    depths = repair((*genotype.depths[:stage], changed, *genotype.depths[stage + 1 :]))
                    if depths != genotype.depths and depths in self._depth_set:
                        found.append(Genotype(genotype.data, depths, genotype.alpha))
            stages.append(tuple(found))
        return tuple(stages)

    def alpha_steps(self, genotype: Genotype) -> tuple[tuple[Genotype, ...], ...]:
        """The genotypes with the next smaller and the next larger alpha."""
        below = sorted(alpha for alpha in self.alphas if alpha < genotype.alpha)[-1:]
        above = sorted(alpha for alpha in self.alphas if alpha > genotype.alpha)[:1]
        return (tuple(Genotype(genotype.data, genotype.depths, alpha) for alpha in below + above),)

    def mutate(self, genotype: Genotype, rng: np.random.Generator) -> Genotype:
        """One step on one axis: 40 % a data axis, 40 % one stage's depth, 20 % alpha.

        An axis on which no step is possible hands over to the next; a space of one genotype returns it unchanged.
        """
        kinds = (self.data_steps, self.depth_steps, self.alpha_steps)
        first = int(rng.choice(len(kinds), p=STEP_PROBABILITIES))
        for offset in range(len(kinds)):
            axes = [axis for axis in kinds[(first + offset) % len(kinds)](genotype) if axis]
            if axes:
                axis = axes[int(rng.integers(len(axes)))]
                return axis[int(rng.integers(len(axis)))]
        return genotype

    def crossover(self, one: Genotype, other: Genotype, rng: np.random.Generator) -> Genotype:
        """Each gene from either parent with equal chance, repaired to lie in the space."""
        coin = rng.integers(2, size=8)
        parents = (one, other)
        data = DataConfig(parents[coin[0]].data.resolution, parents[coin[1]].data.colour)
        if data not in self._data_set:
            data = parents[coin[0]].data
        depths = repair([parents[coin[2 + stage]].depths[stage] for stage in range(len(MAX_DEPTHS))])
        if depths not in self._depth_set:
            depths = parents[coin[2]].depths
        return Genotype(data, depths, parents[coin[7]].alpha)


def full() -> Space:
    """All 37,520 systems."""
    return Space(data=all_data(), depths=all_depths(), alphas=ALPHAS)


def quick() -> Space:
    """The demo's space: the three smallest resolutions in both colours, every depth, alpha up to 0.5.

    The width is capped because a supernet's largest subnet sets the cost of its every step, and the widest designs of
    64 pixels that fit a quick search's limit on MACs are its shallowest, not its best.
    """
    return Space(
        data=tuple(data for data in all_data() if data.resolution <= 96),
        depths=all_depths(),
        alphas=tuple(alpha for alpha in ALPHAS if alpha <= 0.5),
    )


def largest(genotypes: Sequence[Genotype]) -> Genotype:
    """The envelope of genotypes of one data configuration: each stage's most blocks and the largest alpha.

    It holds every one of them as a slice, and need not be one of them.
    """
    return _extreme(genotypes, max)


def smallest(genotypes: Sequence[Genotype]) -> Genotype:
    """Each stage's fewest blocks and the smallest alpha of genotypes of one data configuration."""
    return _extreme(genotypes, min)


def _extreme(genotypes: Sequence[Genotype], choose: Callable[[Iterable[Any]], Any]) -> Genotype:
    depths = [choose(genotype.depths[stage] for genotype in genotypes) for stage in range(len(MAX_DEPTHS))]
    return Genotype(genotypes[0].data, repair(depths), choose(genotype.alpha for genotype in genotypes))
