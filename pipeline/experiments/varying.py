"""Experiments 6 and 8: what the search's own parameters do, and what a limit on time does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.datasets import DatasetSource
from pipeline.experiments import arms, plots, statistics
from pipeline.experiments.arms import Arm
from pipeline.experiments.comparing import ON_VALIDATION, aware, difference
from pipeline.experiments.protocol import Findings, Result
from pipeline.experiments.scales import Budget
from pipeline.experiments.searches import Searches, winners
from pipeline.experiments.statistics import Interval
from pipeline.experiments.tables import Table, number, percents, points
from pipeline.search import Fitness
from pipeline.search.samplers import Evolution

_WEIGHTS = (0.1, 1.0, 10.0)


class Ablation(Searches):
    """The genetic algorithm, the soft penalty and fine-tuning, one change at a time."""

    name = "ablation"
    title = "The search's own parameters"
    question = "Which of population, tournament, mutation, penalty weights and fine-tuning matter?"
    rule = (
        "Each arm changes one thing. Its winners' accuracies are compared with those of its base (the default search; "
        "for the weights w4 and w5 the soft-penalty search with all weights 1), paired by seed and, where the "
        "winners' answers are kept, by image. A 95 % interval without zero: it matters; else nothing is concluded."
    )

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget)
        self.seeds = budget.seeds[: budget.few]

    def base(self) -> Arm:
        """The default search."""
        profile = self.budget.profiles.exact
        return replace(aware(profile), name=f"default.{profile.name}", title="default", clocked=True)

    def soft(self) -> Arm:
        """The search with the published penalty."""
        base = self.base()
        name = f"soft.{base.profile.name}"
        return replace(base, name=name, title="soft penalty, w4 = w5 = 1", soft=True, clocked=False)

    def seeds_of(self, arm: Arm) -> tuple[int, ...]:
        """Fine-tuning takes most of the time, and gets fewer."""
        return self.seeds if arm.tuning is None else self.seeds[: self.budget.least]

    def changes(self) -> Sequence[tuple[Arm, Arm]]:
        """(arm, its base)."""
        base, soft = self.base(), self.soft()
        profile = base.profile.name
        evolutions = {
            "population-4": ("population 4", Evolution(population=4)),
            "population-20": ("population 20", Evolution(population=20)),
            "tournament-4": ("tournaments of 4", Evolution(tournament=4)),
            "mutation-20": ("mutation 20 %", Evolution(mutation=0.2)),
            "mutation-100": ("mutation 100 %", Evolution(mutation=1.0)),
        }
        found = [
            (replace(base, name=f"{name}.{profile}", title=title, evolution=evolution, clocked=False), base)
            for name, (title, evolution) in evolutions.items()
        ]
        found.append((soft, base))
        for field, title in (("ram", "w4"), ("flash", "w5")):
            for weight in _WEIGHTS:
                if weight != 1:
                    weights = Fitness(**{field: weight})
                    name = f"{title}-{weight:g}.{profile}"
                    found.append((replace(soft, name=name, title=f"soft, {title} = {weight:g}", fitness=weights), soft))
        for steps in self.budget.tuning:
            if steps != self.budget.scoring.fine_tuning_steps:
                name, title = f"tuning-{steps}.{profile}", f"fine-tuning {steps} steps"
                found.append((replace(base, name=name, title=title, tuning=steps), base))
        return found

    def arms(self) -> Sequence[Arm]:
        """The base, and every change."""
        return (self.base(), *(arm for arm, _ in self.changes()))

    def conclude(self, results: Mapping[str, Result], source: DatasetSource) -> Findings:
        """One table."""
        rows, values, drawn = [], {}, {}
        lines = []
        for arm, base in ((self.base(), None), *self.changes()):
            found = self.of(results, arm)
            best = self.best(results, arm)
            apart = (
                None if base is None else difference(found, self.of(results, base)[: len(found)], source, self.budget)
            )
            seconds = statistics.mean([float(r["seconds"]["candidates"]) if "seconds" in r else 0.0 for r in found])
            rejected = statistics.mean(
                [1 - len(r.get("candidates", ())) / max(1, r.get("evaluations", 1)) for r in found]
            )
            rows.append(
                (
                    arm.title,
                    str(len(found)),
                    percents(best) if best is not None else "nothing feasible",
                    points(apart) if apart is not None else "–",
                    f"{rejected.value:.0%}",
                    f"{seconds.value:.0f}" if arm.clocked else "–",
                )
            )
            values[arm.name] = {
                "best": None if best is None else best.as_dict(),
                "difference": None if apart is None else apart.as_dict(),
                "infeasible_share": rejected.value,
                "seconds": seconds.value,
            }
            if apart is not None and base is not None:
                drawn[arm.title] = Interval(
                    100 * apart.value, *(None if end is None else 100 * end for end in (apart.low, apart.high))
                )
                if apart.above_zero or apart.below_zero:
                    lines.append(f"{arm.title} matters: {points(apart)} against {base.title}.")
        if not lines:
            lines.append("No change makes a difference that seeds and images would show; a null result.")
        header = ("arm", "seeds", "best accuracy", "against its base", "evaluated, infeasible", "seconds of candidates")
        table = Table(f"{self.budget.profiles.exact.title}, {self.budget.evaluations} evaluations", header, tuple(rows))
        svg = plots.intervals("Best accuracy against the base", drawn, across="points")
        return Findings(values, (table, self.limits(results)), (*lines, ON_VALIDATION), {"ablation.svg": svg})


class LatencyLimit(Searches):
    """The search with and without a limit on the modelled time of an inference."""

    name = "latency-limit"
    title = "With and without a limit on latency"
    question = "What does a limit on the modelled latency cost in accuracy, and in search time?"
    rule = (
        "The winners' accuracies with the limit are compared with those without, paired by seed and image. A 95 % "
        "interval below zero: the limit costs accuracy; one that includes zero: no cost is shown. A limit under which "
        "a seed finds nothing is a failure."
    )

    def free(self) -> Arm:
        """No limit on time; latencies are modelled all the same."""
        profile = self.budget.profiles.exact
        return replace(aware(profile), name=f"no-limit.{profile.name}", title="no limit", timed=True, clocked=True)

    def limited(self) -> Sequence[Arm]:
        """The limits, the largest first."""
        free = self.free()
        return [
            replace(free, name=f"{limit:g}ms.{free.profile.name}", title=f"{limit:g} ms", latency_ms=limit)
            for limit in self.budget.latencies
        ]

    def arms(self) -> Sequence[Arm]:
        """Without a limit, and with each."""
        return (self.free(), *self.limited())

    def conclude(self, results: Mapping[str, Result], source: DatasetSource) -> Findings:
        """One table."""
        rows, values, lines = [], {}, []
        free = self.free()
        series = {}
        for arm in self.arms():
            found = self.of(results, arm)
            best = self.best(results, arm)
            apart = None if arm == free else difference(found, self.of(results, free), source, self.budget)
            times = [_winners_ms(result) for result in found]
            shown = statistics.mean([ms for ms in times if ms is not None]) if None not in times else None
            seconds = statistics.mean([float(r["seconds"]["candidates"]) if "seconds" in r else 0.0 for r in found])
            rows.append(
                (
                    arm.title,
                    percents(best) if best is not None else "nothing feasible",
                    points(apart) if apart is not None else "–",
                    number(shown) if shown is not None else "–",
                    number(seconds, 0),
                    winners(found),
                )
            )
            values[arm.name] = {
                "best": None if best is None else best.as_dict(),
                "difference": None if apart is None else apart.as_dict(),
                "seconds": seconds.as_dict(),
            }
            curve = [(row.ms, row.accuracy) for r in found for row in arms.rows(r) if row.ms is not None]
            if curve:
                series[arm.title] = curve
            if arm != free:
                lines.append(f"{arm.title}: {_cost(best, apart)}")
        header = (
            "limit",
            "best accuracy",
            "against no limit",
            "winners' latency, ms (modelled)",
            "seconds of candidates",
            "winners' images",
        )
        table = Table(f"{self.budget.profiles.exact.title}, {len(self.seeds)} seeds", header, tuple(rows))
        drawn = (
            {"latency.svg": plots.scatter("Candidates", series, across="modelled latency, ms", up="accuracy")}
            if series
            else {}
        )
        return Findings(values, (table, self.limits(results)), (*lines, ON_VALIDATION), drawn)


def _winners_ms(result: Result) -> float | None:
    if not result["feasible"]:
        return None
    name = result["winner"]["genotype"]
    return next((row.ms for row in arms.rows(result) if row.genotype == name), None)


def _cost(best: Interval | None, apart: Interval | None) -> str:
    if best is None:
        return "a failure: a seed finds nothing feasible."
    if apart is None:
        return "nothing to compare with."
    if apart.below_zero:
        return f"the limit costs accuracy, {points(apart)}."
    if apart.above_zero:
        return f"the limited search is even better, {points(apart)}: the limit keeps it among designs that serve well."
    return f"no cost in accuracy is shown, {points(apart)}; a null result."
