"""The published genetic algorithm, and the same with the data configuration held fixed.

Source: arXiv 2502.12690 and its authors' public description: population 10, five tournaments of two a generation, five
survivors, children 80 % by mutation and 20 % by crossover. With several objectives a tournament is won as in NSGA-II,
by the front, and within a front by the less crowded place (:mod:`pipeline.search.objectives`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.genotype import Genotype
from pipeline.search import health
from pipeline.search.candidate import Candidate
from pipeline.search.feasibility import Feasibility
from pipeline.search.objectives import Objectives
from pipeline.search.predictor import LEAST, Predictor
from pipeline.search.samplers import breeding


@dataclass(frozen=True, kw_only=True)
class Evolution:
    """The genetic algorithms' parameters; the defaults are the published ones.

    Args:
        population: Size of the population, even; half of it survives a generation (of NSGA-II all of it competes with
            as many children).
        tournament: Members of a tournament, even; each member of the population takes part in as many tournaments as
            any other. NSGA-II has tournaments of two.
        mutation: Share of children by mutation, the others by crossover.
        brood: Children of which the most promising one is evaluated (:mod:`pipeline.search.predictor`); 1: the first.
            Of one objective alone, where the fitness says what promising is.
    """

    population: int = 10
    tournament: int = 2
    mutation: float = 0.8
    brood: int = 1

    def __post_init__(self) -> None:
        if self.population < 4 or self.population % 2:
            raise ValueError("population is an even number, at least 4")
        if not 2 <= self.tournament <= self.population or self.tournament % 2:
            raise ValueError("tournament is an even number, at least 2 and at most the population")
        if not 0 <= self.mutation <= 1:
            raise ValueError("mutation is within 0..1")
        if self.brood < 1:
            raise ValueError("brood is at least 1")


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
        rng = np.random.default_rng([self._seed, breeding.TOURNAMENT, generation])
        # Pairs of one permutation after the other: each member is in as many tournaments as any other.
        rounds = [rng.permutation(len(population)).reshape(-1, 2) for _ in range(self._evolution.tournament // 2)]
        strength = self._objectives.strength(population)
        return [population[min(some, key=lambda number: strength[number])] for some in np.concatenate(rounds, axis=1)]

    def propose(
        self, history: Sequence[Candidate], *, number: int | None = None, pending: Collection[Genotype] = ()
    ) -> Genotype | None:
        """See :class:`pipeline.search.samplers.Sampler`."""
        rng = breeding.generator(self._seed, history, number, pending)
        tried = breeding.known(history, pending)
        parents = self.survivors(history)
        brood: list[Genotype] = []
        for _ in range(self._brood(history) if parents else 0):
            found = breeding.child(
                self._feasibility,
                tried,
                rng,
                parent=lambda: parents[int(rng.integers(len(parents)))].genotype,
                mutation=self._evolution.mutation,
                held=health.stuck(history, self._evolution.population, self._feasibility.data),
            )
            if found is not None:
                brood.append(found)
                tried.add(found)
        if len(brood) > 1:
            expected = Predictor([one.genotype for one in history], [one.fitness for one in history])
            return max(brood, key=expected)
        return brood[0] if brood else breeding.at_random(self._feasibility, tried, rng)

    def _brood(self, history: Sequence[Candidate]) -> int:
        return 1 if self._objectives.several or len(history) < LEAST else self._evolution.brood


class HardwareAwareSampler(EvolutionSampler):
    """Evolution of the network alone, at one data configuration: what the data-aware search is compared with.

    Raises:
        ValueError: The data configuration is not fixed.
    """

    name = "hardware-aware"

    def __init__(
        self,
        feasibility: Feasibility,
        *,
        seed: int,
        evolution: Evolution | None = None,
        objectives: Objectives | None = None,
    ) -> None:
        if not feasibility.fix.whole:
            raise ValueError("a hardware-aware search needs a fixed resolution and a fixed colour")
        super().__init__(feasibility, seed=seed, evolution=evolution, objectives=objectives)
