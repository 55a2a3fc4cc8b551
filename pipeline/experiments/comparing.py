"""Experiments 1 to 3: what it is worth to choose the data configuration, and how accuracy follows from memory."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.datasets import DatasetSource
from pipeline.experiments import arms, plots, statistics
from pipeline.experiments.arms import Arm
from pipeline.experiments.places import Profile
from pipeline.experiments.protocol import Findings, Result
from pipeline.experiments.scales import Budget
from pipeline.experiments.searches import Searches, averaged, winners
from pipeline.experiments.statistics import Interval
from pipeline.experiments.tables import Table, number, percents, points
from pipeline.genotype import Colour, Fix

#: From how many points on an advantage is what was aimed at.
GOAL = 0.02
#: By how much accuracy may fall from one profile to the next smaller one.
GRACEFUL = 0.03
#: Accuracy at which a front begins to be worth something: that of guessing between two classes.
CHANCE = 0.5

ON_VALIDATION = (
    "Accuracies are those of the searched validation split, so that winners' accuracies are a little too good in every "
    "arm alike."
)


def aware(profile: Profile) -> Arm:
    """The data-aware search under a profile."""
    return Arm(name=f"data-aware.{profile.name}", title="data-aware", profile=profile)


class DataAware(Searches):
    """Data-aware against hardware-aware search."""

    name = "data-aware-vs-hardware-aware"
    title = "Data-aware against hardware-aware search"
    question = (
        "Does a search that also chooses resolution and colour find better models than one with these held fixed, at "
        "equal evaluations under the same limits?"
    )
    rule = (
        "Of the hardware-aware arms, all named before the run, the one with the higher mean best accuracy counts. The "
        "difference of the winners' accuracies is paired by seed and image; its 95 % interval is bootstrapped over "
        "seeds and over groups of images. All of it above zero: an advantage, of the size aimed at from 2 points on; "
        "all below: a disadvantage; else a null result, the advantage vanishes."
    )

    def fixed(self, profile: Profile) -> tuple[Arm, ...]:
        """The hardware-aware arms under a profile."""
        return tuple(
            Arm(
                name=f"fixed-{data.id}.{profile.name}",
                title=f"hardware-aware, {data.id}",
                profile=profile,
                fix=Fix(data.resolution, data.colour),
            )
            for data in self.budget.fixed
        )

    def arms(self) -> Sequence[Arm]:
        """Under both RAM models."""
        return [arm for profile in self.budget.profiles.compared for arm in (aware(profile), *self.fixed(profile))]

    def conclude(self, results: Mapping[str, Result], source: DatasetSource) -> Findings:
        """A table and a sentence for each RAM model."""
        tables, lines, values = [], [], {}
        drawn: dict[str, Interval] = {}
        for profile in self.budget.profiles.compared:
            table, sentence, figures, shown = self._profile(profile, results, source)
            tables.append(table)
            lines.append(sentence)
            values[profile.name] = figures
            drawn |= shown
        svg = (
            plots.intervals("Best accuracy, data-aware minus hardware-aware", drawn, across="points") if drawn else None
        )
        return Findings(
            values,
            (*tables, self.limits(results)),
            (*lines, ON_VALIDATION),
            {} if svg is None else {"difference.svg": svg},
        )

    def _profile(
        self, profile: Profile, results: Mapping[str, Result], source: DatasetSource
    ) -> tuple[Table, str, dict[str, Any], dict[str, Interval]]:
        mine, others = aware(profile), self.fixed(profile)
        feasible = [(found, arm) for arm in others if (found := self.best(results, arm)) is not None]
        counts = max(feasible, key=lambda pair: pair[0].value)[1] if feasible else None
        rows, values, drawn = [], {}, {}
        decisive: Interval | None = None
        for arm in (mine, *others):
            of = self.of(results, arm)
            best = self.best(results, arm)
            above = statistics.mean([float(self._above(result)) for result in of])
            apart = self._difference(mine, arm, results, source) if arm is not mine else None
            if arm is counts:
                decisive = apart
            if apart is not None:
                drawn[f"{arm.title} ({profile.ram_model})"] = _hundredfold(apart)
            rows.append(
                (
                    arm.title + (" (counts)" if arm is counts else ""),
                    percents(best) if best is not None else "nothing feasible",
                    number(above),
                    points(apart) if apart is not None else "–",
                    winners(of),
                )
            )
            values[arm.name] = {
                "best": None if best is None else best.as_dict(),
                "above_threshold": above.as_dict(),
                "difference": None if apart is None else apart.as_dict(),
                "counts": arm is counts,
            }
        header = (
            "arm",
            "best accuracy (interval over seeds)",
            f"models above {self.budget.threshold:.0%}",
            "data-aware is ahead by",
            "winners' images",
        )
        table = Table(
            f"{profile.title}, {self.budget.evaluations} evaluations × {len(self.seeds)} seeds", header, tuple(rows)
        )
        return table, f"{profile.title}: {self._sentence(mine, counts, decisive, results)}", values, drawn

    def _sentence(self, mine: Arm, counts: Arm | None, apart: Interval | None, results: Mapping[str, Result]) -> str:
        if self.best(results, mine) is None:
            return "the data-aware search finds nothing feasible; nothing can be compared."
        if counts is None:
            return "only the data-aware search finds feasible models: every hardware-aware arm is without one."
        if apart is None:
            return "not enough runs to compare."
        return _ahead(apart, f"against {counts.title}")

    def _above(self, result: Result) -> int:
        return sum(row.accuracy > self.budget.threshold for row in arms.rows(result))

    def _difference(
        self, one: Arm, other: Arm, results: Mapping[str, Result], source: DatasetSource
    ) -> Interval | None:
        return difference(self.of(results, one), self.of(results, other), source, self.budget)


def _ahead(apart: Interval, against: str) -> str:
    if apart.above_zero:
        size = "of the size aimed at (2 points)" if apart.value >= GOAL else "smaller than the 2 points aimed at"
        return f"an advantage of {points(apart)} {against}, {size}."
    if apart.below_zero:
        return f"a disadvantage of {points(apart)} {against}."
    if apart.low is None:
        return f"{points(apart)} {against}; no interval."
    return f"a null result, {points(apart)} {against}: on these images and under these limits the advantage vanishes."


def difference(
    one: Sequence[Result], other: Sequence[Result], source: DatasetSource, budget: Budget
) -> Interval | None:
    """The winners' accuracies of one minus the other's, paired by seed, and by image where their hits are known."""
    hits = arms.hits(one), arms.hits(other)
    if hits[0] is not None and hits[1] is not None:
        return statistics.difference(hits[0], hits[1], arms.groups(source, budget))
    pairs = [(arms.best(mine), arms.best(theirs)) for mine, theirs in zip(one, other, strict=True)]
    apart = [mine - theirs for mine, theirs in pairs if mine is not None and theirs is not None]
    return statistics.mean(apart) if len(apart) == len(pairs) else None


class DataAblation(Searches):
    """Which of the two data axes the gain comes from."""

    name = "data-ablation"
    title = "Resolution, colour, or both"
    question = "How much of the front comes from choosing the resolution, how much from choosing the colour?"
    rule = (
        "The hypervolume of all feasible candidates of an arm, accuracy (from chance to 1) against RAM and flash (as "
        "shares of their limits), is compared by seed. An arm whose 95 % interval of the difference from `both`, "
        "bootstrapped over seeds, lies below zero is worse; else nothing is concluded."
    )

    def under(self, profile: Profile) -> tuple[Arm, ...]:
        """Both, resolution only (in RGB), colour only (at the first of the fixed resolutions)."""
        fixed = self.budget.fixed[0]
        return (
            replace(aware(profile), title="both"),
            Arm(
                name=f"resolution-only.{profile.name}",
                title="resolution only (RGB)",
                profile=profile,
                fix=Fix(colour=Colour.RGB),
            ),
            Arm(
                name=f"colour-only.{profile.name}",
                title=f"colour only ({fixed.resolution} pixels)",
                profile=profile,
                fix=Fix(resolution=fixed.resolution),
            ),
        )

    def arms(self) -> Sequence[Arm]:
        """Under both RAM models."""
        return [arm for profile in self.budget.profiles.compared for arm in self.under(profile)]

    def conclude(self, results: Mapping[str, Result], source: DatasetSource) -> Findings:
        """A table a RAM model."""
        tables, lines, values, drawn = [], [], {}, {}
        for profile in self.budget.profiles.compared:
            both, *others = self.under(profile)
            volumes = {
                arm: [volume(result, profile) for result in self.of(results, arm)] for arm in self.under(profile)
            }
            rows = []
            for arm, found in volumes.items():
                apart = statistics.mean([a - b for a, b in zip(found, volumes[both], strict=True)])
                best = self.best(results, arm)
                rows.append(
                    (
                        arm.title,
                        number(statistics.mean(found), 3),
                        number(apart, 3) if arm is not both else "–",
                        percents(best) if best is not None else "nothing feasible",
                        winners(self.of(results, arm)),
                    )
                )
                values[arm.name] = {"hypervolume": statistics.mean(found).as_dict(), "difference": apart.as_dict()}
                if arm in others:
                    drawn[f"{arm.title} ({profile.ram_model})"] = apart
                    lines.append(f"{profile.title}: {arm.title}: {_worse(apart)}")
            header = ("arm", "hypervolume", "minus both", "best accuracy", "winners' images")
            tables.append(Table(profile.title, header, tuple(rows)))
        plot = plots.intervals("Hypervolume minus that of both axes", drawn, across="hypervolume")
        return Findings(values, (*tables, self.limits(results)), (*lines, ON_VALIDATION), {"hypervolume.svg": plot})


def volume(result: Result, profile: Profile) -> float:
    """What a search's feasible candidates dominate, of 1; 0 where there is none."""
    found = [
        ((1 - row.accuracy) / (1 - CHANCE), row.ram / profile.ram_bytes, row.flash / profile.flash_bytes)
        for row in arms.rows(result)
    ]
    return statistics.hypervolume(found, (1.0, 1.0, 1.0))


def _worse(apart: Interval) -> str:
    shown = number(apart, 3)
    if apart.below_zero:
        return f"a smaller front than with both ({shown})."
    if apart.above_zero:
        return f"a larger front than with both ({shown})."
    return f"no difference that the seeds would show ({shown}); a null result."


class ConstraintSensitivity(Searches):
    """Accuracy under smaller and smaller devices."""

    name = "constraint-sensitivity"
    title = "Smaller and smaller devices"
    question = "Does accuracy fall gracefully from one device profile to the next smaller one?"
    rule = (
        "A profile under which any seed finds nothing feasible is a failure. Else accuracy falls gracefully if the "
        "mean best accuracy loses at most 3 points from each profile to the next smaller one."
    )

    def arms(self) -> Sequence[Arm]:
        """Three profiles of each RAM model, the largest first."""
        return [aware(profile) for profile in self.budget.profiles.all]

    def conclude(self, results: Mapping[str, Result], source: DatasetSource) -> Findings:
        """A table a RAM model."""
        tables, lines, values = [], [], {}
        series: dict[str, list[tuple[float, float]]] = {}
        for profiles in (self.budget.profiles.published, self.budget.profiles.aot):
            rows, means = [], []
            for profile in profiles:
                arm = aware(profile)
                found = self.of(results, arm)
                best = self.best(results, arm)
                hits = arms.hits(found)
                over = None if hits is None else statistics.accuracy(hits, arms.groups(source, self.budget))
                means.append(None if best is None else best.value)
                failed = sum(not result["feasible"] for result in found)
                rows.append(
                    (
                        profile.title,
                        percents(best) if best is not None else f"failure: nothing feasible with {failed} seeds",
                        percents(over) if over is not None else "–",
                        winners(found),
                    )
                )
                values[profile.name] = {"best": None if best is None else best.as_dict(), "failed_seeds": failed}
            kind = profiles[0].ram_model
            lines.append(f"RAM model {kind}: {_fall(means)}")
            header = ("profile", "best accuracy (over seeds)", "(over seeds and groups of images)", "winners' images")
            tables.append(Table(f"RAM model {kind}", header, tuple(rows)))
            series |= {
                f"{profile.title}": curve
                for profile in profiles
                if (curve := averaged([arms.curve(result) for result in self.of(results, aware(profile))]))
            }
        drawn = {}
        if series:
            plot = plots.lines("Best accuracy while searching", series, across="evaluations", up="accuracy")
            drawn["curves.svg"] = plot
        return Findings(values, (*tables, self.limits(results)), (*lines, ON_VALIDATION), drawn)


def _fall(means: Sequence[float | None]) -> str:
    known = [value for value in means if value is not None]
    if len(known) < len(means):
        return "a failure: a profile has no feasible model."
    falls = [before - after for before, after in itertools.pairwise(known)]
    shown = ", ".join(f"{100 * fall:+.1f}" for fall in falls)
    if max(falls) <= GRACEFUL:
        return f"graceful, accuracy loses {shown} points from profile to profile (at most 3 allowed)."
    return f"not graceful, accuracy loses {shown} points from profile to profile (at most 3 allowed)."


def _hundredfold(interval: Interval) -> Interval:
    ends = [None if end is None else 100 * end for end in (interval.low, interval.high)]
    return Interval(100 * interval.value, ends[0], ends[1])
