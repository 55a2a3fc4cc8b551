"""Which share of a space fits a board, and what it needs: from shapes alone, before any training."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np

from pipeline.estimate.model import Estimate, Limits
from pipeline.genotype import Genotype
from pipeline.search.feasibility import Feasibility
from pipeline.search.space import Space

_Key = TypeVar("_Key", bound=Hashable)
_DRAWN = 13
#: Designs of a data configuration that are drawn where a search has not estimated all.
_FEW = 40


class Limit(StrEnum):
    """What a design may exceed."""

    RAM = "RAM"
    FLASH = "flash"
    MACS = "MACs"


@dataclass(frozen=True)
class Design:
    """What one design needs; ``over`` are the limits that it exceeds."""

    genotype: Genotype
    ram_bytes: int
    flash_bytes: int
    macs: int
    over: tuple[Limit, ...]

    @property
    def fits(self) -> bool:
        """Whether every figure is within its limit."""
        return not self.over


@dataclass(frozen=True)
class Range:
    """The least and the largest of some figures."""

    least: int
    most: int


@dataclass(frozen=True)
class Share:
    """What of some designs fits.

    Attributes:
        count: All of them.
        fits: Those within every limit.
        ram: Bytes of those that fit; of all of them where none does. So is ``flash``.
        over: How many exceed each limit; one may exceed several.
    """

    count: int
    fits: int
    ram: Range
    flash: Range
    over: dict[Limit, int]

    @property
    def share(self) -> float:
        """Of 1."""
        return self.fits / self.count

    @property
    def binds(self) -> Limit | None:
        """The limit that most designs exceed; None where all fit."""
        return max(Limit, key=lambda limit: self.over[limit]) if any(self.over.values()) else None


def share(designs: Iterable[Design]) -> Share:
    """What of at least one design fits."""
    every = list(designs)
    fitting = [design for design in every if design.fits]
    shown = fitting or every
    over = Counter(limit for design in every for limit in design.over)
    return Share(
        count=len(every),
        fits=len(fitting),
        ram=_range(design.ram_bytes for design in shown),
        flash=_range(design.flash_bytes for design in shown),
        over={limit: over[limit] for limit in Limit},
    )


def shares(designs: Iterable[Design], key: Callable[[Genotype], _Key]) -> dict[_Key, Share]:
    """What fits of the designs by something of their genotypes, in the order in which it is met."""
    groups: dict[_Key, list[Design]] = {}
    for design in designs:
        groups.setdefault(key(design.genotype), []).append(design)
    return {of: share(group) for of, group in groups.items()}


def drawn(space: Space, count: int, seed: int) -> tuple[Genotype, ...]:
    """Designs of a space at random, about as many of each data configuration; equal ones are one.

    Args:
        space: Where they come from (:meth:`pipeline.search.space.Space.random` says how likely each is).
        count: How many to draw, at least 1.
        seed: The same seed, the same designs.
    """
    rng = np.random.default_rng([seed, _DRAWN])
    configurations = [space.data[number % len(space.data)] for number in range(count)]
    order = {data: place for place, data in enumerate(space.data)}
    return tuple(dict.fromkeys(space.random(rng, data) for data in sorted(configurations, key=order.__getitem__)))


def known(feasibility: Feasibility, seed: int) -> tuple[tuple[Genotype, ...], bool]:
    """Designs that stand for a space after a search, at little cost, and whether some of them were drawn at random.

    Of a data configuration whose designs the search has all estimated these are all; of another one a few are drawn.

    Args:
        feasibility: The search's.
        seed: The same seed, the same designs.
    """
    space = feasibility.space
    rng = np.random.default_rng([seed, _DRAWN])
    found: dict[Genotype, None] = {}
    some = False
    for data in space.data:
        of = tuple(space.of(data)) if space.listed else ()
        if not of or not all(map(feasibility.knows, of)):
            of = tuple(space.random(rng, data) for _ in range(_FEW))
            some = True
        found |= dict.fromkeys(of)
    return tuple(found), some


def survey(designs: Iterable[Genotype], estimate: Callable[[Genotype], Estimate], limits: Limits) -> Iterator[Design]:
    """Designs in their order, each with what it needs.

    Args:
        designs: A space, or some of its designs.
        estimate: As :func:`pipeline.search.feasibility.analytic` makes it.
        limits: What a design may need.
    """
    linked = limits.linked
    for genotype in designs:
        found = estimate(genotype)
        ram, flash = found.ram_bytes, found.flash_bytes
        over = (
            (Limit.RAM, ram > limits.ram_bytes or (linked is not None and not linked.holds(found))),
            (Limit.FLASH, flash > limits.flash_bytes),
            (Limit.MACS, limits.macs is not None and found.macs > limits.macs),
        )
        yield Design(genotype, ram, flash, found.macs, tuple([limit for limit, exceeds in over if exceeds]))


@contextmanager
def without_collector() -> Iterator[None]:
    """No search for cycles of garbage while the whole of a space is estimated.

    Estimates leave no cycles: what they forget is freed at once. But they remember much, and the collector would go
    through all of that again and again, which takes a third of the whole time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _range(values: Iterable[int]) -> Range:
    every = list(values)
    return Range(min(every), max(every))
