"""The search itself: propose, train what is missing, score, record, until the budget is spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets import DatasetSource, Split, quality
from pipeline.estimate.model import Estimate, Limits
from pipeline.genotype import Genotype
from pipeline.search import sampler, spaces, subnet, training
from pipeline.search.batches import Batches
from pipeline.search.cache import ScoreCache
from pipeline.search.candidate import Candidate
from pipeline.search.feasibility import Feasibility
from pipeline.search.fitness import Fitness, Scores
from pipeline.search.objectives import Objectives
from pipeline.search.progress import Budget, Listener, Phase, Progress
from pipeline.search.sampler import Evolution
from pipeline.search.space import Space
from pipeline.search.study import Study
from pipeline.search.supernets import Supernet, Supernets
from pipeline.search.training import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class ScoringSettings:
    """How a candidate is scored.

    Args:
        calibration_images: Training images that batch-norm statistics are taken on.
        validation_images: At most so many of the validation split, its first ones (a source mixes its classes).
        fine_tuning_steps: Steps on the candidate's private copy before it is scored; 0 for none.
        rate: Peak learning rate of these.
    """

    calibration_images: int = 512
    validation_images: int = 2000
    fine_tuning_steps: int = 0
    rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.calibration_images < 1 or self.validation_images < 1 or self.fine_tuning_steps < 0 or self.rate <= 0:
            raise ValueError("scoring needs images, a positive rate and no negative number of steps")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Everything a search's result depends on, besides the images and the estimates.

    Args:
        space: What may be proposed.
        limits: What a design may need.
        training: How supernets are trained.
        scoring: How candidates are scored.
        evaluations: Budget of evaluated candidates; None for none.
        seconds: Budget of time; None for none. At least one of the two.
        seed: Seed of everything random.
        sampler: ``evolution`` or ``random``.
        soft: Let infeasible designs take part with a penalty, as published, instead of rejecting them.
        fitness: The weights of the fitness.
        objectives: What is made best: accuracy alone by the fitness, or accuracy against what a design needs.
        evolution: The parameters of the sampler ``evolution``.
    """

    space: Space
    limits: Limits
    training: TrainingSettings
    scoring: ScoringSettings = field(default_factory=ScoringSettings)
    evaluations: int | None = None
    seconds: float | None = None
    seed: int = 0
    sampler: str = "evolution"
    soft: bool = False
    fitness: Fitness = field(default_factory=Fitness)
    objectives: Objectives = field(default_factory=Objectives)
    evolution: Evolution = field(default_factory=Evolution)

    def __post_init__(self) -> None:
        if self.evaluations is None and self.seconds is None:
            raise ValueError("a search needs a budget: evaluations, seconds or both")
        if (self.evaluations is not None and self.evaluations < 1) or (self.seconds is not None and self.seconds <= 0):
            raise ValueError("a budget is positive")
        if self.seed < 0:
            raise ValueError("a seed is not negative")

    def identity(self, source: DatasetSource) -> dict[str, Any]:
        """What has to be the same for a search to go on with a folder; the budgets may change."""
        return {
            "space": self.space.identity,
            "limits": self.limits.model_dump(exclude_none=True),
            "training": asdict(self.training),
            "scoring": asdict(self.scoring),
            "seed": self.seed,
            "sampler": self.sampler,
            "soft": self.soft,
            "fitness": asdict(self.fitness),
            "objectives": list(self.objectives.names),
            "evolution": asdict(self.evolution),
            "images": source.fingerprint,
        }


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search found.

    Attributes:
        candidates: The feasible ones, best first.
        front: Those that no other beats in every objective, the best compromise first; with one objective, the best.
        evaluations: Candidates evaluated, by all processes that worked on the search.
        supernets: Data configurations that candidates were drawn from.
        waiting: Share of its training time that each supernet trained in this process stood still for want of images,
            by data configuration.
        stopped: ``evaluations``, ``time`` or ``exhausted`` (no genotype left).
        seconds: Time of this process.
    """

    candidates: tuple[Candidate, ...]
    front: tuple[Candidate, ...]
    evaluations: int
    supernets: tuple[str, ...]
    waiting: Mapping[str, float]
    stopped: str
    seconds: float

    def finalists(self, count: int = 3) -> tuple[Candidate, ...]:
        """The best feasible candidates."""
        return self.candidates[:count]


class _Search:
    def __init__(
        self,
        config: SearchConfig,
        source: DatasetSource,
        feasibility: Feasibility,
        study: Study,
        *,
        folder: Path,
        supernets: Path | None = None,
    ) -> None:
        self.config = config
        self.source = source
        self.feasibility = feasibility
        self.study = study
        self.classes = len(source.class_names)
        self.balanced = quality.of(source).balanced
        self.supernets = Supernets(
            source, feasibility, config.training, seed=config.seed, folder=folder, shared=supernets
        )
        self.cache = ScoreCache(self.supernets.folder / "scores.db")

    def score(self, supernet: Supernet, genotype: Genotype) -> Scores:
        """Scores of a private copy; the same in whatever order candidates come, and worked out once."""
        identity = {
            "genotype": genotype.id,
            "supernet": supernet.hash,
            "images": self.source.fingerprint,
            "scoring": asdict(self.config.scoring),
            "batch": self.config.training.batch,
            "seed": self.config.seed,
        }
        found = self.cache.get(identity)
        if found is None:
            found = self._score(supernet, genotype)
            self.cache.put(identity, found)
        return found

    def _score(self, supernet: Supernet, genotype: Genotype) -> Scores:
        settings, data, seed = self.config.scoring, genotype.data, self.config.seed
        train = self.supernets.view(Split.TRAIN, data)
        supernet.workspace.hold(supernet.weights)
        if settings.fine_tuning_steps:
            # Outside the subnet's slices gradients are zero and nothing moves.
            training.fine_tune(
                supernet.workspace,
                Batches(
                    {data: train.images},
                    train.labels,
                    self.classes,
                    self.config.training.batch,
                    subnet.fine_tuning_seed(seed, genotype),
                ).of(data),
                genotype,
                steps=settings.fine_tuning_steps,
                peak=settings.rate,
            )
        validation = self.supernets.view(Split.VALIDATION, data)
        count = settings.validation_images
        return subnet.score(
            supernet.workspace,
            genotype,
            calibration=subnet.calibration_images(train.images, settings.calibration_images, seed),
            images=np.asarray(validation.images[:count]),
            labels=validation.labels[:count],
        )


def run(
    config: SearchConfig,
    source: DatasetSource,
    *,
    folder: Path,
    estimate: Callable[[Genotype], Estimate],
    progress: Listener | None = None,
    supernets: Path | None = None,
) -> SearchResult:
    """Search, or go on with a search that was stopped.

    With a budget of evaluations alone, on one machine, a search that was killed at any moment and run again gives the
    same candidates with the same scores, bit by bit, as one that was not. A time budget depends on the machine's pace;
    if it ends while the very first supernet is in training, that one is scored as it is, so that there is a result.

    Args:
        config: What to search.
        source: The images; only train and validation are looked at.
        folder: The search's own folder; ``study.db`` and ``supernets/`` are kept in it.
        estimate: Genotype -> Estimate, from shapes alone.
        progress: Called often; must return quickly.
        supernets: A folder of supernets that several searches may share; None: ``supernets`` in the search's own.

    Raises:
        DoesNotFitError: ``nothing-feasible``, before any training.
        UsageError: ``other-search``: the folder belongs to a search with other settings; and what the source raises.
        EnvironmentProblem: ``disk-full``, ``not-writable``, ``study-file``.
        KeyboardInterrupt: The user's; the folder is left resumable.
    """
    listener = progress if progress is not None else _ignore
    feasibility = Feasibility(config.space, estimate, config.limits, soft=config.soft)
    feasibility.demand()
    study = Study(folder / "study.db", config.identity(source), config.objectives.directions)
    try:
        return _loop(_Search(config, source, feasibility, study, folder=folder, supernets=supernets), listener)
    finally:
        study.close()


def _ignore(_: Progress) -> None:
    pass


def _loop(search: _Search, listener: Listener) -> SearchResult:
    config, study, feasibility = search.config, search.study, search.feasibility
    history = study.history()
    before = len(history)
    budget = Budget(config.evaluations, config.seconds, spent=study.seconds())
    proposer = sampler.make(
        config.sampler, feasibility, seed=config.seed, objectives=config.objectives, evolution=config.evolution
    )

    waiting: dict[str, float] = {}

    def tell(phase: Phase, subject: str, step: training.Step | None = None) -> None:
        if step is not None:
            waiting[subject] = step.waiting
        listener(
            Progress(
                phase=phase,
                subject=subject,
                step=step.number if step else 0,
                steps=config.training.steps if step else 0,
                loss=step.loss if step else None,
                accuracy=step.accuracy if step else None,
                waiting=step.waiting if step else None,
                evaluations=len(history),
                evaluations_of=config.evaluations,
                best=min((c for c in history if c.feasible), key=lambda c: c.rank, default=None),
                elapsed=budget.elapsed,
                left=budget.left(len(history), len(history) - before),
            )
        )

    stopped = "time"
    while budget.allows(len(history)):
        began = budget.elapsed
        genotype = proposer.propose(history)
        if genotype is None:
            stopped = "exhausted"
            break
        study.begin(len(history), genotype)
        name = search.supernets.name(genotype.data)
        supernet = search.supernets.get(
            genotype.data,
            report=lambda step, subject=name: tell(Phase.SUPERNET, subject, step),  # type: ignore[misc]
            keep_going=lambda: budget.time_is_left,
        )
        if not supernet.complete and history:
            break
        tell(Phase.CANDIDATE, genotype.id)
        scored = search.score(supernet, genotype)
        if search.balanced:
            scored = scored.by_class
        figures = feasibility.estimate(genotype)
        fitness = config.fitness(scored, figures, config.limits)
        if not math.isfinite(fitness):
            raise ArithmeticError(f"fitness of {genotype.id} is {fitness}")
        candidate = Candidate(
            proposal=len(history),
            genotype=genotype,
            scores=scored,
            fitness=fitness,
            feasible=feasibility.fits(genotype),
            estimate=figures,
        )
        study.finish(candidate, seconds=budget.elapsed - began, values=config.objectives.values(candidate))
        history.append(candidate)
    if config.evaluations is not None and len(history) >= config.evaluations:
        stopped = "evaluations"
    tell(Phase.DONE, "")
    return SearchResult(
        candidates=config.objectives.best_first(history),
        front=config.objectives.front(history),
        evaluations=len(history),
        supernets=tuple(sorted({c.genotype.data.id for c in history})),
        waiting=waiting,
        stopped=stopped,
        seconds=budget.elapsed,
    )


def quick(
    limits: Limits,
    *,
    space: str = "paper",
    evaluations: int | None = 24,
    seconds: float | None = None,
    seed: int = 0,
) -> SearchConfig:
    """The demo's preset: minutes on two cores. At most 6 M MAC, unless the limits say less."""
    macs = QUICK_MACS if limits.macs is None else min(limits.macs, QUICK_MACS)
    return SearchConfig(
        space=spaces.made(space, "quick"),
        limits=limits.model_copy(update={"macs": macs}),
        training=TrainingSettings(steps=100, batch=32),
        scoring=ScoringSettings(calibration_images=512, validation_images=1000, fine_tuning_steps=40, rate=3e-3),
        evaluations=evaluations,
        seconds=seconds,
        seed=seed,
    )


#: Largest design of the quick preset, multiply-accumulate operations.
QUICK_MACS = 6_000_000


def full(
    limits: Limits,
    *,
    space: str = "paper",
    evaluations: int | None = 200,
    seconds: float | None = None,
    seed: int = 0,
) -> SearchConfig:
    """The whole space, with supernets trained for hours; a candidate gets 100 steps on its private copy."""
    return SearchConfig(
        space=spaces.made(space, "full"),
        limits=limits,
        training=TrainingSettings(steps=30_000, batch=128, rate=2e-3, checkpoint_every=200),
        scoring=ScoringSettings(calibration_images=2048, validation_images=4000, fine_tuning_steps=100),
        evaluations=evaluations,
        seconds=seconds,
        seed=seed,
    )
