"""Samplers: what to evaluate next. A proposal is a pure function of the seed and of what was evaluated so far.

That makes a killed search resumable without saving any generator: the same history gives the same next proposal.

Source of the genetic algorithm: arXiv 2502.12690 and its authors' public description (population 10, five tournaments
of two a generation, five survivors, children 80 % by mutation and 20 % by crossover). Here no genotype is evaluated
twice and an infeasible child is thrown away and drawn again. With several objectives a tournament is won as in NSGA-II:
by the front, and within a front by the less crowded place (:mod:`pipeline.search.objectives`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.genotype import Genotype
from pipeline.search.candidate import Candidate
from pipeline.search.feasibility import Feasibility
from pipeline.search.objectives import Objectives

_PROPOSE, _TOURNAMENT = 6, 7
_TRIES = 200


class Sampler(Protocol):
    """Proposes the next genotype."""

    name: str

    def propose(self, history: Sequence[Candidate]) -> Genotype | None:
        """The next genotype: feasible and not in the history; None when there is none left.

        Args:
            history: Everything evaluated so far, by proposal number.
        """
        ...


def _random_untried(feasibility: Feasibility, tried: set[Genotype], rng: np.random.Generator) -> Genotype | None:
    """Any feasible genotype that was not tried, each data configuration equally likely."""
    data = [feasibility.data[number] for number in rng.permutation(len(feasibility.data))]
    for config in data:
        for _ in range(_TRIES):
            genotype = feasibility.space.random(rng, config)
            if genotype not in tried and feasibility.admits(genotype):
                return genotype
        left = feasibility.untried(config, tried, rng)
        if left is not None:
            return left
    return None


class RandomSampler:
    """The control: feasible genotypes at random, without repetition."""

    name = "random"

    def __init__(self, feasibility: Feasibility, *, seed: int) -> None:
        self._feasibility = feasibility
        self._seed = seed

    def propose(self, history: Sequence[Candidate]) -> Genotype | None:
        """See :class:`Sampler`."""
        rng = np.random.default_rng([self._seed, _PROPOSE, len(history)])
        return _random_untried(self._feasibility, {candidate.genotype for candidate in history}, rng)


@dataclass(frozen=True, kw_only=True)
class Evolution:
    """The genetic algorithm's parameters; the defaults are the published ones.

    Args:
        population: Size of the population, even; half of it survives a generation.
        tournament: Members of a tournament, even; each member of the population takes part in as many tournaments as
            any other.
        mutation: Share of children by mutation, the others by crossover.
    """

    population: int = 10
    tournament: int = 2
    mutation: float = 0.8

    def __post_init__(self) -> None:
        if self.population < 4 or self.population % 2:
            raise ValueError("population is an even number, at least 4")
        if not 2 <= self.tournament <= self.population or self.tournament % 2:
            raise ValueError("tournament is an even number, at least 2 and at most the population")
        if not 0 <= self.mutation <= 1:
            raise ValueError("mutation is within 0..1")


class EvolutionSampler:
    """The published tournament genetic algorithm.

    Args:
        feasibility: The space and its limits.
        seed: Seed of every choice.
        evolution: Its parameters.
        objectives: What a tournament is won by.
    """

    name = "evolution"

    def __init__(
        self,
        feasibility: Feasibility,
        *,
        seed: int,
        evolution: Evolution | None = None,
        objectives: Objectives | None = None,
    ) -> None:
        self._feasibility = feasibility
        self._seed = seed
        self._evolution = evolution if evolution is not None else Evolution()
        self._objectives = objectives if objectives is not None else Objectives()

    def survivors(self, history: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The parents of the generation that the next proposal belongs to; empty while the population is filled."""
        size = self._evolution.population
        children = size // 2
        if len(history) < size:
            return ()
        population = list(history[:size])
        generation = 0
        while True:
            kept = self._tournaments(population, generation)
            born = history[size + generation * children : size + (generation + 1) * children]
            if len(born) < children:
                return tuple(kept)
            population = kept + list(born)
            generation += 1

    def _tournaments(self, population: list[Candidate], generation: int) -> list[Candidate]:
        rng = np.random.default_rng([self._seed, _TOURNAMENT, generation])
        # Pairs of one permutation after the other: each member is in as many tournaments as any other.
        rounds = [rng.permutation(len(population)).reshape(-1, 2) for _ in range(self._evolution.tournament // 2)]
        strength = self._objectives.strength(population)
        return [population[min(some, key=lambda number: strength[number])] for some in np.concatenate(rounds, axis=1)]

    def propose(self, history: Sequence[Candidate]) -> Genotype | None:
        """See :class:`Sampler`."""
        rng = np.random.default_rng([self._seed, _PROPOSE, len(history)])
        tried = {candidate.genotype for candidate in history}
        parents = self.survivors(history)
        for _ in range(_TRIES if parents else 0):
            child = self._child(parents, rng)
            if child not in tried and self._feasibility.admits(child):
                return child
        return _random_untried(self._feasibility, tried, rng)

    def _child(self, parents: Sequence[Candidate], rng: np.random.Generator) -> Genotype:
        one = parents[int(rng.integers(len(parents)))].genotype
        if rng.random() < self._evolution.mutation:
            return self._feasibility.space.mutate(one, rng)
        other = parents[int(rng.integers(len(parents)))].genotype
        return self._feasibility.space.crossover(one, other, rng)


def make(
    name: str,
    feasibility: Feasibility,
    *,
    seed: int,
    objectives: Objectives | None = None,
    evolution: Evolution | None = None,
) -> Sampler:
    """A sampler by its name, ``evolution`` or ``random``.

    Raises:
        ValueError: Another name.
    """
    if name == EvolutionSampler.name:
        return EvolutionSampler(feasibility, seed=seed, objectives=objectives, evolution=evolution)
    if name == RandomSampler.name:
        return RandomSampler(feasibility, seed=seed)
    raise ValueError(f"sampler {name!r} is none of {sorted((EvolutionSampler.name, RandomSampler.name))}")
