"""NSGA-II: several objectives at once, under constraints.

Source: Deb, Pratap, Agarwal and Meyarivan (2002), "A fast and elitist multiobjective genetic algorithm": parents and
children compete for the next population by non-dominated front and, within a front, by crowding distance; a design that
keeps the limits beats every one that does not, and of two that do not the lesser violation wins. Parents are found by
tournaments of two. Children are those of the published search (:mod:`pipeline.search.samplers.breeding`), which know
what a step in this space is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from pipeline.genotype import Genotype
from pipeline.search import health
from pipeline.search.candidate import Candidate
from pipeline.search.feasibility import Feasibility
from pipeline.search.objectives import Objectives
from pipeline.search.samplers import breeding
from pipeline.search.samplers.evolution import Evolution


class Nsga2Sampler:
    """See the module.

    Args:
        feasibility: The space and its limits.
        seed: Seed of every choice.
        objectives: At least two.
        evolution: Size of the population, and how children are made.

    Raises:
        ValueError: One objective alone.
    """

    name = "nsga2"

    def __init__(
        self, feasibility: Feasibility, *, seed: int, objectives: Objectives, evolution: Evolution | None = None
    ) -> None:
        if not objectives.several:
            raise ValueError("nsga2 needs at least two objectives")
        self._feasibility = feasibility
        self._seed = seed
        self._objectives = objectives
        self._evolution = evolution if evolution is not None else Evolution()

    def population(self, history: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The population that the next proposal descends from, the strongest first; empty while it is filled."""
        size = self._evolution.population
        if len(history) < size:
            return ()
        kept = self._elite(history[:size])
        for start in range(size, len(history) - size + 1, size):
            kept = self._elite([*kept, *history[start : start + size]])
        return tuple(kept)

    def _elite(self, competing: Sequence[Candidate]) -> list[Candidate]:
        strength = self._objectives.strength(competing, violation=self._feasibility.violation)
        order = sorted(range(len(competing)), key=lambda number: strength[number])
        return [competing[number] for number in order[: self._evolution.population]]

    def propose(
        self, history: Sequence[Candidate], *, number: int | None = None, pending: Collection[Genotype] = ()
    ) -> Genotype | None:
        """See :class:`pipeline.search.samplers.Sampler`."""
        rng = breeding.generator(self._seed, history, number, pending)
        tried = breeding.known(history, pending)
        members = self.population(history)
        found = None
        if members:
            strength = self._objectives.strength(members, violation=self._feasibility.violation)
            found = breeding.child(
                self._feasibility,
                tried,
                rng,
                parent=lambda: members[_stronger(strength, rng)].genotype,
                mutation=self._evolution.mutation,
                held=health.stuck(history, self._evolution.population, self._feasibility.data),
            )
        return found if found is not None else breeding.at_random(self._feasibility, tried, rng)


def _stronger(strength: Sequence[tuple[float, ...]], rng: np.random.Generator) -> int:
    """The winner of a tournament of two."""
    one, other = (int(number) for number in rng.integers(len(strength), size=2))
    return min(one, other, key=lambda number: strength[number])
