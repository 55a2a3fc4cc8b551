"""What all experiments made of arms have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipeline.experiments import arms, places, statistics
from pipeline.experiments.arms import Arm
from pipeline.experiments.places import Profile
from pipeline.experiments.protocol import Place, Result, Task
from pipeline.experiments.scales import Budget
from pipeline.experiments.statistics import Interval
from pipeline.experiments.tables import Table


class Searches(ABC):
    """An experiment whose every task is an arm's search with a seed.

    Args:
        budget: The scale's.
    """

    name: str
    title: str
    question: str
    rule: str

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.seeds = budget.seeds

    @abstractmethod
    def arms(self) -> Sequence[Arm]:
        """All arms, the same each time."""

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """Those of the arms."""
        return tuple(dict.fromkeys(arm.profile for arm in self.arms()))

    def tasks(self) -> Sequence[Task]:
        """What the limits admit; then a seed after the other, so that a supernet is trained and then used by all."""
        limits = [
            Task(
                f"limits.{profile.name}",
                0,
                {"kind": "limits", "profile": asdict(profile), "space": self.budget.space.identity},
            )
            for profile in self.profiles
        ]
        searches = [(seed, arm) for seed in self.seeds for arm in self.arms() if seed in self.seeds_of(arm)]
        return [*limits, *(arm.task(self.budget, seed) for seed, arm in searches)]

    def seeds_of(self, arm: Arm) -> tuple[int, ...]:
        """The seeds of an arm: the first ones, by default all."""
        return self.seeds

    def settings(self) -> Mapping[str, Any]:
        """The budget, and each profile's limits."""
        limits = {
            profile.name: {
                "ram_model": profile.ram_model,
                "ram_bytes": profile.ram_bytes,
                "flash_bytes": profile.flash_bytes,
            }
            for profile in self.profiles
        }
        return {**self.budget.as_dict(), "seeds": list(self.seeds), "limits": limits}

    def perform(self, task: Task, place: Place) -> Result:
        """Search, or see what limits admit."""
        if task.identity["kind"] == "limits":
            profile = next(profile for profile in self.profiles if task.name == f"limits.{profile.name}")
            estimate = places.estimator(profile, place.board, len(place.source.class_names))
            return dict(places.admitted(self.budget.space, estimate, profile.limits()))
        arm = next(arm for arm in self.arms() if arm.task(self.budget, task.seed).name == task.name)
        return arms.search(arm, self.budget, task.seed, place)

    def limits(self, results: Mapping[str, Result]) -> Table:
        """What share of the space each profile admits."""
        datas = [data.id for data in self.budget.space.data]
        rows = [
            (profile.title, *(f"{results[f'limits.{profile.name}'][name]:.0%}" for name in ("all", *datas)))
            for profile in self.profiles
        ]
        return Table("Share of the space that the limits admit", ("profile", "all", *datas), tuple(rows))

    def of(self, results: Mapping[str, Result], arm: Arm) -> list[Result]:
        """An arm's results, by seed."""
        return [results[arm.task(self.budget, seed).name] for seed in self.seeds_of(arm)]

    def best(self, results: Mapping[str, Result], arm: Arm) -> Interval | None:
        """The mean of the winners' accuracies with an interval over seeds; None where one seed found nothing."""
        found = [arms.best(result) for result in self.of(results, arm)]
        known = [value for value in found if value is not None]
        return statistics.mean(known) if len(known) == len(found) else None


def winners(results: Sequence[Result]) -> str:
    """Which data configurations the winners have, for tables: the most frequent first."""
    found = [str(result["winner"]["genotype"]).rsplit("-d", 1)[0] for result in results if result["feasible"]]
    counts = {name: found.count(name) for name in sorted(set(found))}
    shown = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} × {count}" if count > 1 else name for name, count in shown) or "none"


def averaged(curves: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """The mean of curves that have the same places on x, as far as all of them go."""
    return [(points[0][0], sum(value for _, value in points) / len(points)) for points in zip(*curves, strict=False)]
