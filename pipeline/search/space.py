"""The spaces that a search walks in: which designs it may propose, and how it steps from one to another.

:class:`PaperSpace` is the published one: 268 depth tuples × 10 widths × 14 data configurations = 37,520 systems for the
whole of it. :class:`pipeline.search.wide.WideSpace` has widths, kernels and expansions a stage, and so many designs
that nobody can list them.

Source of the steps and of the crossover: arXiv 2502.12690 (data-aware NAS with supernets).
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from pipeline.genotype import (
    ALPHAS,
    MAX_DEPTHS,
    RESOLUTIONS,
    Colour,
    DataConfig,
    Genotype,
    StageGenes,
    Wide,
)

Depths = tuple[int, int, int, int, int]
#: The designs one step away, by axis.
Steps = tuple[tuple[Genotype, ...], ...]

#: The most designs of a space whose designs are gone through one by one.
LISTED = 100_000


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
class Space(ABC):
    """A set of genotypes: data configurations, depth tuples, and what else a kind of space has.

    Its length is the number of its designs, and it gives them one after the other; of a space that is not
    :attr:`listed` nobody should ask for all.

    Attributes:
        name: As ``--space`` has it.
        step_probabilities: A mutation takes its one step on a data axis, on one stage's depth, or on another axis, with
            these.
    """

    data: tuple[DataConfig, ...]
    depths: tuple[Depths, ...]

    name: ClassVar[str]
    step_probabilities: ClassVar[tuple[float, float, float]]

    def __post_init__(self) -> None:
        if not (self.data and self.depths):
            raise ValueError("a space needs at least one data configuration and one depth tuple")

    @abstractmethod
    def __len__(self) -> int:
        """Number of designs."""

    @abstractmethod
    def __contains__(self, genotype: object) -> bool:
        """Whether it is a design of the space."""

    @abstractmethod
    def of(self, data: DataConfig) -> Iterator[Genotype]:
        """The genotypes of one data configuration, each once, always in the same order."""

    @abstractmethod
    def random(self, rng: np.random.Generator, data: DataConfig | None = None) -> Genotype:
        """A genotype, of the data configuration where it is given."""

    @abstractmethod
    def moved(self, genotype: Genotype, data: DataConfig) -> Genotype:
        """The same design for other images of the space, or the nearest one that there is."""

    @abstractmethod
    def depth_steps(self, genotype: Genotype) -> Steps:
        """The genotypes that differ by one block in one stage, by stage; stages behind an emptied one are emptied."""

    @abstractmethod
    def other_steps(self, genotype: Genotype) -> Steps:
        """The genotypes one step away on axes that are neither of the data nor depths."""

    @abstractmethod
    def crossover(self, one: Genotype, other: Genotype, rng: np.random.Generator) -> Genotype:
        """Each gene from either parent with equal chance, repaired to lie in the space."""

    @abstractmethod
    def least(self, data: DataConfig) -> Iterator[Genotype]:
        """Designs of a data configuration of which the cheapest is, by every figure, about as cheap as any can be."""

    @abstractmethod
    def corners(self, data: DataConfig) -> Iterator[Genotype]:
        """For each value of each gene the smallest design that has it: another one with it needs no less."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What makes it this space, as JSON."""

    def __iter__(self) -> Iterator[Genotype]:
        for data in self.data:
            yield from self.of(data)

    @property
    def listed(self) -> bool:
        """Whether there are so few designs that they can be gone through one by one."""
        return len(self) <= LISTED

    @cached_property
    def _data_set(self) -> frozenset[DataConfig]:
        return frozenset(self.data)

    @cached_property
    def _depth_set(self) -> frozenset[Depths]:
        return frozenset(self.depths)

    def data_steps(self, genotype: Genotype) -> Steps:
        """The genotypes one step away on a data axis: those on the resolution axis, those on the colour axis."""
        now = genotype.data
        same_colour = sorted(data for data in self.data if data.colour is now.colour)
        below = [data for data in same_colour if data < now][-1:]
        above = [data for data in same_colour if data > now][:1]
        return (
            tuple(self.moved(genotype, data) for data in below + above),
            tuple(
                self.moved(genotype, data)
                for data in self.data
                if data.resolution == now.resolution and data.colour is not now.colour
            ),
        )

    def neighbours(self, genotype: Genotype) -> tuple[Genotype, ...]:
        """The genotypes one step away, all of the same data configuration."""
        axes = (*self.depth_steps(genotype), *self.other_steps(genotype))
        return tuple(itertools.chain.from_iterable(axes))

    def smaller(self, genotype: Genotype) -> tuple[Genotype, ...]:
        """Those of the neighbours that are slices of the genotype."""
        return tuple(other for other in self.neighbours(genotype) if holds(genotype, other))

    def mutate(self, genotype: Genotype, rng: np.random.Generator) -> Genotype:
        """One step on one axis: a data axis, one stage's depth or another, by :attr:`step_probabilities`.

        An axis on which no step is possible hands over to the next; a space of one genotype returns it unchanged.
        """
        kinds = (self.data_steps, self.depth_steps, self.other_steps)
        first = int(rng.choice(len(kinds), p=self.step_probabilities))
        for offset in range(len(kinds)):
            axes = [axis for axis in kinds[(first + offset) % len(kinds)](genotype) if axis]
            if axes:
                axis = axes[int(rng.integers(len(axes)))]
                return axis[int(rng.integers(len(axis)))]
        return genotype

    def _changed_depths(self, genotype: Genotype) -> Iterator[list[Depths]]:
        """For each stage the depth tuples of the space that come of one block more or less there."""
        for stage, depth in enumerate(genotype.depths):
            changed = [
                repair((*genotype.depths[:stage], other, *genotype.depths[stage + 1 :]))
                for other in (depth - 1, depth + 1)
                if 0 <= other <= MAX_DEPTHS[stage]
            ]
            yield [depths for depths in changed if depths != genotype.depths and depths in self._depth_set]

    def _crossed(self, one: Genotype, other: Genotype, coin: Sequence[int]) -> tuple[DataConfig, Depths]:
        """Data configuration and depths from either parent, by seven tosses of a coin."""
        parents = (one, other)
        data = DataConfig(parents[coin[0]].data.resolution, parents[coin[1]].data.colour)
        if data not in self._data_set:
            data = parents[coin[0]].data
        depths = repair([parents[coin[2 + stage]].depths[stage] for stage in range(len(MAX_DEPTHS))])
        if depths not in self._depth_set:
            depths = parents[coin[2]].depths
        return data, depths


def fewest(depths: Iterable[Depths], stage: int, blocks: int) -> Depths | None:
    """The depth tuple with the fewest blocks of those with so many in a stage (from 0); None where there is none."""
    return min((one for one in depths if one[stage] == blocks), key=lambda one: (sum(one), one), default=None)


@dataclass(frozen=True, kw_only=True)
class PaperSpace(Space):
    """The published space: the product of data configurations, depth tuples and alphas."""

    alphas: tuple[float, ...]

    name = "paper"
    step_probabilities = (0.4, 0.4, 0.2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.alphas:
            raise ValueError("a space needs at least one alpha")

    def __len__(self) -> int:
        return len(self.data) * len(self.depths) * len(self.alphas)

    def __contains__(self, genotype: object) -> bool:
        return (
            isinstance(genotype, Genotype)
            and genotype.wide is None
            and genotype.data in self._data_set
            and genotype.depths in self._depth_set
            and genotype.alpha in self.alphas
        )

    def of(self, data: DataConfig) -> Iterator[Genotype]:
        """See :meth:`Space.of`."""
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

    def moved(self, genotype: Genotype, data: DataConfig) -> Genotype:
        """See :meth:`Space.moved`."""
        return Genotype(data, genotype.depths, genotype.alpha)

    def depth_steps(self, genotype: Genotype) -> Steps:
        """See :meth:`Space.depth_steps`."""
        return tuple(
            tuple(Genotype(genotype.data, depths, genotype.alpha) for depths in stage)
            for stage in self._changed_depths(genotype)
        )

    def other_steps(self, genotype: Genotype) -> Steps:
        """The genotypes with the next smaller and the next larger alpha."""
        below = sorted(alpha for alpha in self.alphas if alpha < genotype.alpha)[-1:]
        above = sorted(alpha for alpha in self.alphas if alpha > genotype.alpha)[:1]
        return (tuple(Genotype(genotype.data, genotype.depths, alpha) for alpha in below + above),)

    def crossover(self, one: Genotype, other: Genotype, rng: np.random.Generator) -> Genotype:
        """See :meth:`Space.crossover`."""
        coin = rng.integers(2, size=8).tolist()
        data, depths = self._crossed(one, other, coin)
        return Genotype(data, depths, (one, other)[coin[7]].alpha)

    def least(self, data: DataConfig) -> Iterator[Genotype]:
        """The narrowest genotype of every depth: a wider one never needs less."""
        alpha = min(self.alphas)
        return (Genotype(data, depths, alpha) for depths in self.depths)

    def corners(self, data: DataConfig) -> Iterator[Genotype]:
        """See :meth:`Space.corners`."""
        first = min(self.depths, key=lambda one: (sum(one), one))
        for alpha in self.alphas:
            yield Genotype(data, first, alpha)
        for stage, most in enumerate(MAX_DEPTHS):
            for blocks in range(most + 1):
                depths = fewest(self.depths, stage, blocks)
                if depths is not None:
                    yield Genotype(data, depths, min(self.alphas))

    @property
    def identity(self) -> dict[str, Any]:
        """See :attr:`Space.identity`."""
        return {
            "data": [data.id for data in self.data],
            "depths": ["".join(map(str, depths)) for depths in self.depths],
            "alphas": list(self.alphas),
        }


def full() -> PaperSpace:
    """All 37,520 systems of the published space."""
    return PaperSpace(data=all_data(), depths=all_depths(), alphas=ALPHAS)


def quick() -> PaperSpace:
    """The demo's space: the three smallest resolutions in both colours, every depth, alpha up to 0.5.

    The width is capped because a supernet's largest subnet sets the cost of its every step, and the widest designs of
    64 pixels that fit a quick search's limit on MACs are its shallowest, not its best.
    """
    return PaperSpace(
        data=tuple(data for data in all_data() if data.resolution <= 96),
        depths=all_depths(),
        alphas=tuple(alpha for alpha in ALPHAS if alpha <= 0.5),
    )


def largest(genotypes: Sequence[Genotype]) -> Genotype:
    """The envelope of genotypes of one kind of space: the most of every gene.

    It holds every one of them as a slice, and need not be one of them. Of several data configurations it has the most
    pixels and colours.
    """
    return _extreme(genotypes, max)


def smallest(genotypes: Sequence[Genotype]) -> Genotype:
    """The least of every gene of genotypes of one kind of space."""
    return _extreme(genotypes, min)


def _extreme(genotypes: Sequence[Genotype], choose: Callable[[Iterable[Any]], Any]) -> Genotype:
    depths = repair([choose(genotype.depths[stage] for genotype in genotypes) for stage in range(len(MAX_DEPTHS))])
    colour = Colour.RGB if choose(genotype.data.channels for genotype in genotypes) > 1 else Colour.MONO
    data = DataConfig(choose(genotype.data.resolution for genotype in genotypes), colour)
    alpha = choose(genotype.alpha for genotype in genotypes)
    wides = [genotype.wide for genotype in genotypes if genotype.wide is not None]
    if not wides:
        return Genotype(data, depths, alpha)
    if len(wides) != len(genotypes):
        raise ValueError("designs of the published and of the wide space have no envelope")
    stages = []
    for number in range(1 + sum(map(bool, depths))):
        those = [wide.stages[number] for wide in wides if number < len(wide.stages)]
        stages.append(
            StageGenes(
                choose(genes.width for genes in those),
                choose(genes.kernel for genes in those),
                choose(genes.expansion for genes in those),
            )
        )
    wide = Wide(choose(wide.stem for wide in wides), choose(wide.first for wide in wides), tuple(stages))
    return Genotype(data, depths, alpha, wide)


def holds(envelope: Genotype, genotype: Genotype) -> bool:
    """Whether a genotype is a slice of an envelope of the same kind of space, whatever the images of both are."""
    whole, part = envelope.wide, genotype.wide
    if (whole is None) != (part is None):
        return False
    if genotype.alpha > envelope.alpha or any(
        depth > most for depth, most in zip(genotype.depths, envelope.depths, strict=True)
    ):
        return False
    if whole is None or part is None:
        return True
    return (
        part.stem <= whole.stem
        and part.first <= whole.first
        and all(
            genes.width <= most.width and genes.kernel <= most.kernel and genes.expansion <= most.expansion
            for genes, most in zip(part.stages, whole.stages, strict=False)
        )
    )
