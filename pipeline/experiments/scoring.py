"""Experiments 4 and 7: what scoring by supernet is worth, against none and against the published one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.datasets import DatasetSource
from pipeline.experiments import arms, plots, statistics
from pipeline.experiments.arms import Arm
from pipeline.experiments.comparing import ON_VALIDATION, aware
from pipeline.experiments.protocol import Findings, Result
from pipeline.experiments.scales import Budget
from pipeline.experiments.searches import Searches, averaged, winners
from pipeline.experiments.statistics import Interval
from pipeline.experiments.tables import Table, number, percents, points
from pipeline.search.scorers import PublishedSettings

#: Evaluations to be saved to reach what the other search has reached.
SAVED = 0.75


class AgainstScorer(Searches):
    """Our scoring against another one, in the same search."""

    other: str
    #: What the other one is called in tables.
    called: str

    def arms(self) -> Sequence[Arm]:
        """Ours, and the other one."""
        profile = self.budget.profiles.exact
        ours = replace(
            aware(profile), name=f"supernet.{profile.name}", title="supernet", clocked=True, alone=self.budget.alone
        )
        return (ours, replace(ours, name=f"{self.other}.{profile.name}", title=self.called, scorer=self.other))

    def settings(self) -> Mapping[str, Any]:
        """With those of the other scorer, and of the winners' training."""
        other = self.budget.search(self.other)[self.other]
        return {**super().settings(), self.other: other, "alone": self.budget.alone}

    def conclude(self, results: Mapping[str, Result], source: DatasetSource) -> Findings:
        """Best accuracy against evaluations and against time, and what the winners are worth when trained alone."""
        ours, theirs = self.arms()
        groups = arms.groups(source, self.budget)
        alone = {arm: arms.hits(self.of(results, arm), alone=True) for arm in (ours, theirs)}
        rows = []
        values: dict[str, Any] = {}
        for arm in (ours, theirs):
            found = self.of(results, arm)
            best, hits = self.best(results, arm), alone[arm]
            worth = None if hits is None else statistics.accuracy(hits, groups)
            each = statistics.mean([_each(result) for result in found])
            supernets = statistics.mean([result.get("seconds", {}).get("supernets", 0.0) for result in found])
            rows.append(
                (
                    arm.title,
                    percents(best) if best is not None else "nothing feasible",
                    percents(worth) if worth is not None else "–",
                    number(each),
                    number(supernets, 0) if supernets.value else "–",
                    winners(found),
                )
            )
            values[arm.name] = {
                "best": None if best is None else best.as_dict(),
                "alone": None if worth is None else worth.as_dict(),
                "seconds_a_candidate": each.as_dict(),
                "seconds_of_supernets": supernets.as_dict(),
            }
        pairs = list(zip(self.of(results, ours), self.of(results, theirs), strict=True))
        saved = [_saved(mine, other) for mine, other in pairs]
        mine, others = alone[ours], alone[theirs]
        apart = None if mine is None or others is None else statistics.difference(mine, others, groups)
        values |= {"saved": saved, "difference_alone": None if apart is None else apart.as_dict()}
        header = (
            "scoring",
            "best score",
            f"winner trained alone ({self.budget.alone:,} steps)",
            "seconds a candidate",
            "seconds of supernets",
            "winners' images",
        )
        table = Table(
            f"{ours.profile.title}, {self.budget.evaluations} evaluations × {len(self.seeds)} seeds",
            header,
            tuple(rows),
        )
        return Findings(
            values,
            (table, self.limits(results)),
            (self._sentence(saved), self._time(pairs), self._choice(apart), *self.notes(), ON_VALIDATION),
            self._plots(pairs, ours, theirs),
        )

    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the other scorer."""
        return (
            "Each search's best score is its own scorer's, of networks in different states of training; what winners "
            "are worth is seen when they are trained alone.",
        )

    def _time(self, pairs: Sequence[tuple[Result, Result]]) -> str:
        mine, others = (sum(_whole(pair[side]) for pair in pairs) / len(pairs) for side in (0, 1))
        return (
            f"A search took {mine:,.0f} s with supernets, their training included, and {others:,.0f} s with "
            f"{self.called}, on average over seeds."
        )

    def _choice(self, apart: Interval | None) -> str:
        if apart is None:
            return "The choices cannot be compared: a search found nothing."
        shown = points(apart)
        if apart.above_zero:
            return f"Trained alone, the supernet search's winners are better, {shown}."
        if apart.below_zero:
            return f"Trained alone, the supernet search's winners are worse, {shown}."
        return f"Trained alone, no difference between the winners is shown, {shown}."

    def _sentence(self, saved: Sequence[float | None]) -> str:
        known = [share for share in saved if share is not None]
        if len(known) < len(saved) or not known:
            return (
                f"With {len(saved) - len(known)} of {len(saved)} seeds the supernet search does not reach the best of "
                f"{self.called}: no saving."
            )
        mean = statistics.mean(known)
        verdict = "reached" if mean.value >= SAVED else "missed"
        return (
            f"The supernet search reaches the best of {self.called} with {mean.value:.0%} fewer evaluations; the bar "
            f"of {SAVED:.0%} is {verdict}."
        )

    def _plots(self, pairs: Sequence[tuple[Result, Result]], ours: Arm, theirs: Arm) -> dict[str, str]:
        curves = {
            arm.title: averaged([arms.curve(pair[side]) for pair in pairs]) for side, arm in enumerate((ours, theirs))
        }
        timed = {
            arm.title: [point for pair in pairs[:1] for point in over_time(pair[side], supernets=side == 0)]
            for side, arm in enumerate((ours, theirs))
        }
        found = {}
        if any(curves.values()):
            found["evaluations.svg"] = plots.lines(
                "Best accuracy against evaluations (mean over seeds)", curves, across="evaluations", up="accuracy"
            )
        if any(timed.values()):
            found["time.svg"] = plots.lines(
                "Best accuracy against time (first seed, supernets included)", timed, across="seconds", up="accuracy"
            )
        return found


def _each(result: Result) -> float:
    return float(result["seconds"]["candidates"]) / max(1, int(result["evaluations"])) if "seconds" in result else 0.0


def _whole(result: Result) -> float:
    return sum(float(seconds) for seconds in result.get("seconds", {}).values())


def _saved(mine: Result, other: Result) -> float | None:
    """The share of evaluations that mine saves to reach the other's best; None where it never does."""
    goal = arms.best(other)
    if goal is None:
        return None
    needed, took = arms.reaches(mine, goal), arms.reaches(other, goal)
    return None if needed is None or took is None else 1 - needed / took


def over_time(result: Result, *, supernets: bool) -> list[tuple[float, float]]:
    """Best accuracy by seconds; the training of shared supernets comes first, whoever did it."""
    start = float(result["seconds"]["supernets"]) if supernets and "seconds" in result else 0.0
    top, found = 0.0, []
    for row in arms.rows(result):
        top = max(top, row.accuracy)
        if row.seconds is not None:
            found.append((start + row.seconds, top))
    return found


class SupernetVsNaive(AgainstScorer):
    """With supernets, and without."""

    name = "supernet-vs-naive"
    title = "With supernets, and without"
    question = "How many evaluations, and how much time, does scoring by supernet save?"
    rule = (
        "With each seed it is counted after how many evaluations the supernet search has a candidate at least as "
        "accurate as the naive search's best, and compared with when the naive search had it. At least 75 % fewer on "
        "average, with every seed reaching it: the bar is reached. The winners are then trained alone, all alike; "
        "their accuracies are compared paired by seed and image, with a 95 % interval over seeds and groups of images."
    )
    other = "naive"
    called = "naive (each trained from scratch)"


class OursVsPublished(AgainstScorer):
    """Our scorer against the published one."""

    name = "ours-vs-published"
    title = "Our scoring against the published one"
    question = "On the same images and machine, does our scoring find better models sooner than the published one?"
    rule = SupernetVsNaive.rule.replace("naive", "published")
    other = "published"

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget)
        self.shortened = budget.published.supernet_steps < PublishedSettings().supernet_steps
        self.called = "published (shortened)" if self.shortened else "published"
        self.seeds = budget.seeds[: budget.few]

    def notes(self) -> tuple[str, ...]:
        """The published budget was cut."""
        steps = self.budget.published.supernet_steps
        return (
            f"The published supernets were trained for {steps:,} steps a data configuration instead of 30,000, so that "
            "both searches could be run here: its figures are those of a shortened budget."
            if self.shortened
            else "The published supernets had their published budget.",
            *super().notes(),
        )
