"""Experiment 5: may a supernet's scores be trusted?

Subnets spread over sizes and data configurations are trained alone, each with several seeds; what they get right is
held against what the same subnets get right with the weights of supernets: of ones trained like every other
experiment's, or of a run's (``--run``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pipeline.datasets import Split
from pipeline.estimate.macs import macs
from pipeline.experiments import fidelity, plots
from pipeline.experiments.arms import packed, unpacked
from pipeline.experiments.examined import OfRun, Own
from pipeline.experiments.fidelity import Bools, Figure, Figures, Measured
from pipeline.experiments.protocol import Findings, Place, Result, Task
from pipeline.experiments.tables import Table
from pipeline.genotype import DataConfig, Genotype
from pipeline.graph.skeleton import from_genotype
from pipeline.search import standalone

if TYPE_CHECKING:
    from pipeline.datasets import DatasetSource
    from pipeline.experiments.scales import Budget

#: Networks that are trained alone.
SUBNETS = 20
#: What is aimed at: the share of the noise ceiling, on a task whose ceiling is high enough to tell, and the mean gap.
SHARE, CEILING, GAP = 0.9, 0.85, 0.04


class Shared(Protocol):
    """Supernets whose scores are examined."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the supernets; each is examined by itself."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """What their answers depend on besides seed and images, as JSON."""
        ...

    def pools(self) -> Mapping[DataConfig, Sequence[Genotype]]:
        """Subnets to choose from, by data configuration."""
        ...

    def answers(self, subnets: Sequence[Genotype], seed: int, place: Place) -> Bools:
        """Which images of validation each subnet gets right, [subnets, images]; trains what is missing."""
        ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is done.

    Attributes:
        subnets: How many are trained alone.
        steps: Training steps of each.
        seeds: Each is trained with each of these.
        images: At most so many of validation.
        training: How each is trained.
    """

    subnets: int
    steps: int
    seeds: tuple[int, ...]
    images: int
    training: standalone.StandaloneSettings = field(default_factory=standalone.StandaloneSettings)


class Fidelity:
    """Do subnets rank and score like networks trained alone?

    Args:
        plan: What is trained alone.
        shared: The supernets.
    """

    name = "fidelity"
    title = "Scores by supernet against training alone"
    question = (
        "Do subnets with a supernet's weights rank, and score, like the same networks trained alone, over data "
        "configurations and sizes?"
    )
    rule = (
        "Spearman's rho between single stand-alone trainings and supernet scores, over all subnets, is at least 90 % "
        "of the noise ceiling (rho between stand-alone trainings of different seeds), and the ceiling at least 0.85, "
        "or the task cannot tell; and the mean gap is at most 4 points. Intervals are bootstrapped over groups of "
        "images."
    )

    def __init__(self, plan: Plan, shared: Shared) -> None:
        self.plan = plan
        self.shared = shared
        self.subnets = fidelity.choose(shared.pools(), plan.subnets, work=multiplications)

    def tasks(self) -> Sequence[Task]:
        """The supernets, then every subnet alone, a seed after the other."""
        alone = [self._alone(genotype, seed) for seed in self.plan.seeds for genotype in self.subnets]
        return [*(self._shared(seed) for seed in self.shared.seeds), *alone]

    def _shared(self, seed: int) -> Task:
        identity = {
            "kind": "fidelity-shared",
            "subnets": [genotype.id for genotype in self.subnets],
            "images": self.plan.images,
            "supernets": dict(self.shared.identity()),
        }
        return Task(f"supernet.{seed}", seed, identity)

    def _alone(self, genotype: Genotype, seed: int) -> Task:
        identity = {
            "kind": "fidelity-alone",
            "genotype": genotype.id,
            "steps": self.plan.steps,
            "images": self.plan.images,
            "training": asdict(self.plan.training),
        }
        return Task(f"{genotype.id}.{seed}", seed, identity)

    def settings(self) -> Mapping[str, Any]:
        """What is trained, and how."""
        return {
            "subnets": [genotype.id for genotype in self.subnets],
            "steps": self.plan.steps,
            "seeds": list(self.plan.seeds),
            "alone": asdict(self.plan.training),
            "supernets": {**self.shared.identity(), "seeds": list(self.shared.seeds)},
        }

    def perform(self, task: Task, place: Place) -> Result:
        """Score all subnets by a supernet, or train one alone."""
        began = time.monotonic()
        if task.identity["kind"] == "fidelity-shared":
            found = self.shared.answers(self.subnets, task.seed, place)
            result: Result = {"correct": {one.id: packed(row) for one, row in zip(self.subnets, found, strict=True)}}
        else:
            genotype = Genotype.parse(task.identity["genotype"])
            result = {"correct": packed(self._trained(genotype, task.seed, place))}
        return {**result, "seconds": round(time.monotonic() - began, 1)}

    def _trained(self, genotype: Genotype, seed: int, place: Place) -> Bools:
        plan = self.plan
        trained = standalone.train(
            genotype,
            place.source,
            steps=plan.steps,
            seed=seed,
            settings=plan.training,
            report=lambda step: place.say(f"{genotype.id} alone, step {step.number}/{plan.steps}"),
            file=place.folder / "alone.npz",
        )
        view = place.source.view(Split.VALIDATION, genotype.data)
        found: Bools = (
            trained.logits(np.asarray(view.images[: plan.images])).argmax(axis=1) == view.labels[: plan.images]
        )
        return found

    def measured(self, results: Mapping[str, Result], source: DatasetSource) -> Measured:
        """All answers."""
        alone = [
            [unpacked(str(results[self._alone(genotype, seed).name]["correct"])) for genotype in self.subnets]
            for seed in self.plan.seeds
        ]
        shared = [
            [unpacked(str(results[self._shared(seed).name]["correct"][genotype.id])) for genotype in self.subnets]
            for seed in self.shared.seeds
        ]
        groups = source.groups(Split.VALIDATION)[: self.plan.images]
        return Measured(self.subnets, np.array(alone), np.array(shared), groups)

    def conclude(self, results: Mapping[str, Result], source: DatasetSource) -> Findings:
        """Correlations and gaps, over all and by data configuration; every subnet; the scatter plot."""
        measured = self.measured(results, source)
        whole = measured.figures()
        each = {data: measured.figures(data) for data in measured.datas}
        mine, theirs = (values.mean(axis=0) for values in measured.accuracies())
        series = {
            data.id: [
                (100 * float(y), 100 * float(x))
                for one, x, y in zip(self.subnets, mine, theirs, strict=True)
                if one.data == data
            ]
            for data in measured.datas
        }
        return Findings(
            {"all": whole.as_dict(), **{data.id: figures.as_dict() for data, figures in each.items()}},
            (
                _correlations({"all": whole, **{data.id: figures for data, figures in each.items()}}),
                _gaps({"all": whole, **{data.id: figures for data, figures in each.items()}}),
                self._every(measured),
            ),
            (*_verdict(whole), self._budgets(results)),
            {
                "fidelity.svg": plots.scatter(
                    "Accuracy by supernet and alone (means over seeds)",
                    series,
                    across="by supernet, %",
                    up="trained alone, %",
                )
            },
        )

    def _every(self, measured: Measured) -> Table:
        alone, shared = (100 * values for values in measured.accuracies())
        rows = tuple(
            (
                one.id,
                size,
                f"{multiplications(one) / 1e6:.2f}",
                " / ".join(f"{value:.1f}" for value in alone[:, number]),
                " / ".join(f"{value:.1f}" for value in shared[:, number]),
                _signed(alone[:, number].mean() - shared[:, number].mean()),
            )
            for number, (one, size) in enumerate(zip(self.subnets, measured.sizes(), strict=True))
        )
        return Table(
            "Every subnet, a value a seed", ("subnet", "size", "million MAC", "alone, %", "by supernet, %", "gap"), rows
        )

    def _budgets(self, results: Mapping[str, Result]) -> str:
        alone = [
            float(results[self._alone(one, seed).name]["seconds"]) for seed in self.plan.seeds for one in self.subnets
        ]
        shared = [float(results[self._shared(seed).name]["seconds"]) for seed in self.shared.seeds]
        return (
            f"Each network alone had {self.plan.steps:,} steps and took {np.mean(alone):.0f} s on average; supernets "
            f"and scores of all subnets took {np.mean(shared):.0f} s a seed, without what had been trained before."
        )


def at_scale(budget: Budget) -> Fidelity:
    """The experiment on supernets like those of all others."""
    seeds = budget.seeds[: budget.few]
    return Fidelity(
        _plan(budget, min(SUBNETS, len(budget.space) // 4)),
        Own(space=budget.space, training=budget.training, scoring=budget.scoring, seeds=seeds),
    )


def of_run(shared: OfRun, budget: Budget, subnets: int = SUBNETS) -> Fidelity:
    """The experiment on a run's supernets; networks are trained alone as the scale has it."""
    return Fidelity(_plan(budget, subnets, shared.images), shared)


def _plan(budget: Budget, subnets: int, images: int | None = None) -> Plan:
    return Plan(
        subnets=subnets,
        steps=budget.alone,
        seeds=budget.seeds[: budget.few],
        images=budget.scoring.validation_images if images is None else images,
    )


def multiplications(genotype: Genotype) -> float:
    """Multiply-accumulates of a network with two classes."""
    return float(macs(from_genotype(genotype, 2)))


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _number(figure: Figure) -> str:
    if figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.2f}".replace("-", "−")
    return f"{figure.value:.2f} ({figure.low:.2f} … {figure.high:.2f})".replace("-", "−")


def _points(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return _signed(100 * figure.value)
    return f"{_signed(100 * figure.value)} ({_signed(100 * figure.low)} … {_signed(100 * figure.high)})"


def _correlations(figures: Mapping[str, Figures]) -> Table:
    rows = tuple(
        (
            name,
            str(of.subnets),
            *(
                _number(figure)
                for figure in (of.ceiling, of.spearman, of.share, of.averaged, of.kendall_ceiling, of.kendall)
            ),
        )
        for name, of in figures.items()
    )
    header = (
        "data",
        "subnets",
        "ceiling (Spearman, seed against seed)",
        "Spearman",
        "share of the ceiling",
        "Spearman with the seeds' mean",
        "Kendall's ceiling",
        "Kendall",
    )
    return Table("Ranks", header, rows)


def _gaps(figures: Mapping[str, Figures]) -> Table:
    rows = tuple(
        (name, _points(of.gap), *(_points(of.by_size.get(size)) for size in fidelity.SIZES))
        for name, of in figures.items()
    )
    return Table("Trained alone less by supernet, points", ("data", "all sizes", *fidelity.SIZES), rows)


def _verdict(whole: Figures) -> tuple[str, ...]:
    lines = []
    ceiling, share, gap = whole.ceiling.value, whole.share.value, whole.gap.value
    if ceiling is None or share is None:
        lines.append("There is no noise ceiling: stand-alone training needs two seeds and subnets that differ.")
    else:
        able = "" if ceiling >= CEILING else f" The ceiling is below {CEILING}: the task tells little."
        lines.append(
            f"Ranks: {_number(whole.spearman)} of a ceiling of {_number(whole.ceiling)}, a share of "
            f"{_number(whole.share)}; the bar of {SHARE} is {'reached' if share >= SHARE else 'missed'}.{able}"
        )
    if gap is not None:
        lines.append(
            f"Gap: {_points(whole.gap)} points on average; the bar of {100 * GAP:.0f} is "
            f"{'reached' if gap <= GAP else 'missed'}."
        )
    return tuple(lines)
