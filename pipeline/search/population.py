"""What a supernet is trained for: a family of data configurations, and the subnets of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.genotype import DataConfig, Genotype
from pipeline.search import space
from pipeline.search.feasibility import Feasibility


@dataclass(frozen=True, kw_only=True)
class Population:
    """The subnets of one supernet.

    Attributes:
        envelope: Holds every one of them as a slice; its data configuration has the most pixels and colours.
        tops: The largest subnets, of which each step trains one: where the highest resolution allows for less than a
            lower one does, each that no other one holds.
        bottoms: The smallest subnet of each data configuration; each step trains one of them.
        draw: A random subnet of a random data configuration; one of half the resolution comes twice as often, so that a
            step costs little more than its largest subnet.
        identity: What makes it this population, as JSON.
    """

    envelope: Genotype
    tops: tuple[Genotype, ...]
    bottoms: tuple[Genotype, ...]
    draw: Callable[[np.random.Generator], Genotype]
    identity: dict[str, Any]


def family(data: DataConfig, of: Sequence[DataConfig], sharing: str) -> tuple[DataConfig, ...]:
    """The data configurations that share a supernet with ``data``."""
    if sharing == "per-config":
        return (data,)
    return tuple(sorted(one for one in of if sharing == "shared" or one.colour is data.colour))


def population(datas: Sequence[DataConfig], feasibility: Feasibility, kind: Literal["feasible", "space"]) -> Population:
    """The subnets of these data configurations: those that are feasible, or all of the space."""
    whole = feasibility.space
    choices: dict[DataConfig, tuple[Genotype, ...]] = {}
    if kind == "feasible":
        ends = {data: feasibility.envelope(data) for data in datas}
        choices = {data: feasibility.of(data) for data in datas}
    else:
        corners = {data: tuple(whole.corners(data)) for data in datas}
        ends = {data: (space.largest(found), space.smallest(found)) for data, found in corners.items()}

    chances = np.array([1 / data.resolution for data in datas])
    chances /= chances.sum()

    def draw(rng: np.random.Generator) -> Genotype:
        data = datas[int(rng.choice(len(datas), p=chances))]
        if kind == "space":
            return whole.random(rng, data)
        return choices[data][int(rng.integers(len(choices[data])))]

    tops: list[Genotype] = []
    for data in sorted(datas, key=lambda one: (one.resolution, one.channels), reverse=True):
        if not any(space.holds(top, ends[data][0]) for top in tops):
            tops.append(ends[data][0])
    names = sorted(genotype.id for found in choices.values() for genotype in found)
    envelope = space.largest([largest for largest, _ in ends.values()])
    bottoms = tuple(ends[data][1] for data in sorted(datas))
    return Population(
        envelope=envelope,
        tops=tuple(tops),
        bottoms=bottoms,
        draw=draw,
        identity={
            "data": {data.id: float(chance) for data, chance in zip(datas, chances, strict=True)},
            "envelope": envelope.id,
            "tops": [top.id for top in tops],
            "bottoms": [bottom.id for bottom in bottoms],
            "choices": _axes(whole) if kind == "space" else hashlib.sha256(" ".join(names).encode()).hexdigest(),
        },
    )


def _axes(whole: space.Space) -> dict[str, Any]:
    """All of a space but its data configurations."""
    return {name: value for name, value in whole.identity.items() if name != "data"} | {"space": whole.name}
