"""What the search makes best: accuracy alone, or accuracy against what a design needs.

With accuracy alone the fitness decides (:mod:`pipeline.search.fitness`). With several objectives no weights are
invented: designs compete by Pareto dominance, and among those that nobody dominates the less crowded ones are preferred
(:mod:`pipeline.search.pareto`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.estimate.model import Estimate
from pipeline.genotype import Genotype
from pipeline.search import pareto
from pipeline.search.candidate import Candidate

#: What an objective is of a design; all but accuracy are better the smaller they are.
_OF: dict[str, Callable[[Estimate], float | None]] = {
    "instructions": lambda estimate: None if estimate.instructions is None else estimate.instructions.count,
    "latency": lambda estimate: None if estimate.latency is None else estimate.latency.value,
    "energy": lambda estimate: None if estimate.energy is None else estimate.energy.value,
    "ram": lambda estimate: estimate.ram_bytes,
    "flash": lambda estimate: estimate.flash_bytes,
}
UNITS = {"accuracy": "", "instructions": "instructions", "latency": "ms", "energy": "mJ", "ram": "B", "flash": "B"}


@dataclass(frozen=True)
class Objectives:
    """The objectives' names, accuracy among them.

    Raises:
        ValueError: None, an unknown one, one twice, or accuracy is missing.
    """

    names: tuple[str, ...] = ("accuracy",)

    def __post_init__(self) -> None:
        if "accuracy" not in self.names or len(set(self.names)) != len(self.names):
            raise ValueError("objectives are named once each, accuracy among them")
        if unknown := set(self.names) - {"accuracy", *_OF}:
            raise ValueError(f"no objectives: {sorted(unknown)}")

    @property
    def several(self) -> bool:
        """Whether there are trade-offs."""
        return len(self.names) > 1

    @property
    def directions(self) -> tuple[str, ...]:
        """``maximize`` or ``minimize`` for each, as Optuna has them."""
        return tuple("maximize" if name == "accuracy" else "minimize" for name in self.names)

    def values(self, candidate: Candidate) -> tuple[float, ...]:
        """What each objective is of a candidate; of accuracy alone, its fitness.

        Raises:
            ValueError: The candidate's estimate lacks one.
        """
        return self.measures(candidate, candidate.scores.accuracy) if self.several else (candidate.fitness,)

    def measures(self, candidate: Candidate, accuracy: float) -> tuple[float, ...]:
        """The objectives of a candidate whose accuracy is known better than from the search.

        Raises:
            ValueError: The candidate's estimate lacks one.
        """
        found = []
        for name in self.names:
            value = accuracy if name == "accuracy" else _OF[name](candidate.estimate)
            if value is None:
                raise ValueError(f"{candidate.genotype.id} has no {name}: it was estimated without")
            found.append(float(value))
        return tuple(found)

    def point(self, candidate: Candidate, accuracy: float | None = None) -> pareto.Point:
        """The same with accuracy negated, so that less is better throughout."""
        values = self.measures(candidate, candidate.scores.accuracy if accuracy is None else accuracy)
        return tuple(-value if name == "accuracy" else value for name, value in zip(self.names, values, strict=True))

    def strength(
        self, population: Sequence[Candidate], *, violation: Callable[[Genotype], float] | None = None
    ) -> list[tuple[float, ...]]:
        """What decides a tournament between members of a population: the smaller one wins.

        With several objectives an infeasible member loses to every feasible one; then the front counts, then how
        crowded it is there, then the rank.

        Args:
            population: The members.
            violation: How far beyond its limits a genotype is: of infeasible members the lesser violation then wins.
        """
        if not self.several:
            return [candidate.rank for candidate in population]
        points = [self.point(candidate) for candidate in population]
        fronts: list[float] = [float(front) for front in _fronts(population, points)]
        if violation is not None:
            fronts = [
                front if candidate.feasible else len(population) + violation(candidate.genotype)
                for front, candidate in zip(fronts, population, strict=True)
            ]
        crowds = [0.0] * len(population)
        for front in set(fronts):
            members = [number for number, of in enumerate(fronts) if of == front]
            for number, crowd in zip(members, pareto.crowding([points[one] for one in members]), strict=True):
                crowds[number] = crowd
        return [
            (front, -crowd, *candidate.rank) for front, crowd, candidate in zip(fronts, crowds, population, strict=True)
        ]

    def front(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """The feasible candidates that no other one dominates, the best compromise first."""
        feasible = [candidate for candidate in candidates if candidate.feasible]
        if not self.several:
            return tuple(sorted(feasible, key=lambda candidate: candidate.rank)[:1])
        points = [self.point(candidate) for candidate in feasible]
        kept = [number for number, front in enumerate(pareto.ranks(points)) if front == 0]
        members = [feasible[number] for number in kept]
        return self.compromises(members, front=members)

    def compromises(
        self,
        candidates: Sequence[Candidate],
        *,
        front: Sequence[Candidate],
        accuracies: Sequence[float] | None = None,
    ) -> tuple[Candidate, ...]:
        """Candidates by their distance from the ideal point of a front, then by rank.

        Args:
            candidates: Any.
            front: Those that nobody dominates: they say what is ideal, and how much of each objective is much.
            accuracies: Better known accuracies, one a candidate; None: those of the search.
        """
        known = [candidate.scores.accuracy for candidate in candidates] if accuracies is None else accuracies
        points = [self.point(candidate, accuracy) for candidate, accuracy in zip(candidates, known, strict=True)]
        away = pareto.distances(points, [self.point(member) for member in front])
        order = sorted(zip(away, candidates, strict=True), key=lambda pair: (pair[0], pair[1].rank))
        return tuple(candidate for _, candidate in order)

    def best_first(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """All feasible candidates: the front, best compromise first, and then the others, by front and rank."""
        feasible = [candidate for candidate in candidates if candidate.feasible]
        if not self.several:
            return tuple(sorted(feasible, key=lambda candidate: candidate.rank))
        first = self.front(feasible)
        fronts = pareto.ranks([self.point(candidate) for candidate in feasible])
        others = sorted(
            (pair for pair in zip(fronts, feasible, strict=True) if pair[0]),
            key=lambda pair: (pair[0], pair[1].rank),
        )
        return (*first, *(candidate for _, candidate in others))


def _fronts(population: Sequence[Candidate], points: Sequence[pareto.Point]) -> list[int]:
    """The front of each member; those of infeasible ones come after all of the feasible ones."""
    found = [0] * len(population)
    start = 0
    for feasible in (True, False):
        members = [number for number, candidate in enumerate(population) if candidate.feasible is feasible]
        for number, front in zip(members, pareto.ranks([points[one] for one in members]), strict=True):
            found[number] = start + front
        start += 1 + max((found[number] for number in members), default=-1)
    return found
