"""Samplers, by the strategies' names."""

from __future__ import annotations

from pipeline.search.feasibility import Feasibility
from pipeline.search.objectives import Objectives
from pipeline.search.samplers.evolution import Evolution, EvolutionSampler, HardwareAwareSampler
from pipeline.search.samplers.nsga2 import Nsga2Sampler
from pipeline.search.samplers.protocol import Sampler
from pipeline.search.samplers.random import RandomSampler

__all__ = [
    "NAMES",
    "Evolution",
    "EvolutionSampler",
    "HardwareAwareSampler",
    "Nsga2Sampler",
    "RandomSampler",
    "Sampler",
    "make",
]

NAMES = (EvolutionSampler.name, RandomSampler.name, Nsga2Sampler.name, HardwareAwareSampler.name)


def make(
    name: str,
    feasibility: Feasibility,
    *,
    seed: int,
    objectives: Objectives | None = None,
    evolution: Evolution | None = None,
) -> Sampler:
    """A sampler by its name, one of :data:`NAMES`.

    Raises:
        ValueError: Another name, NSGA-II with one objective, or a hardware-aware search of images that are not fixed.
    """
    wanted = objectives if objectives is not None else Objectives()
    if name == RandomSampler.name:
        return RandomSampler(feasibility, seed=seed)
    if name == Nsga2Sampler.name:
        return Nsga2Sampler(feasibility, seed=seed, objectives=wanted, evolution=evolution)
    for kind in (EvolutionSampler, HardwareAwareSampler):
        if name == kind.name:
            return kind(feasibility, seed=seed, objectives=wanted, evolution=evolution)
    raise ValueError(f"strategy {name!r} is none of {sorted(NAMES)}")
