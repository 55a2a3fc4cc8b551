"""What a search is asked for: everything that its result depends on, besides the images and the estimates."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.datasets import DatasetSource
from pipeline.estimate.model import Limits
from pipeline.genotype import Fix
from pipeline.search import samplers, scorers, spaces
from pipeline.search.fitness import Fitness
from pipeline.search.objectives import Objectives
from pipeline.search.samplers import Evolution, HardwareAwareSampler, Nsga2Sampler
from pipeline.search.scorers import NaiveSettings, PublishedSettings
from pipeline.search.space import Space
from pipeline.search.standalone import StandaloneSettings
from pipeline.search.training import Sharing, TrainingSettings


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
        strategy: How designs are proposed, see :mod:`pipeline.search.samplers`.
        fix: What of the data configuration stays as it is.
        scorer: How candidates are scored, see :mod:`pipeline.search.scorers`.
        naive: How they are trained from scratch, if they are.
        published: The budgets of the published way to score, if it is used.
        soft: Let infeasible designs take part with a penalty, as published, instead of rejecting them.
        fitness: The weights of the fitness.
        objectives: What is made best: accuracy alone by the fitness, or accuracy against what a design needs.
        evolution: The parameters of the genetic algorithms.
    """

    space: Space
    limits: Limits
    training: TrainingSettings
    scoring: ScoringSettings = field(default_factory=ScoringSettings)
    evaluations: int | None = None
    seconds: float | None = None
    seed: int = 0
    strategy: str = "evolution"
    fix: Fix = field(default_factory=Fix)
    scorer: str = "supernet"
    naive: NaiveSettings = field(default_factory=NaiveSettings)
    published: PublishedSettings = field(default_factory=PublishedSettings)
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
        if self.strategy not in samplers.NAMES:
            raise ValueError(f"strategy {self.strategy!r} is none of {sorted(samplers.NAMES)}")
        if self.strategy == HardwareAwareSampler.name and not self.fix.whole:
            raise ValueError("a hardware-aware search needs a fixed resolution and a fixed colour")
        if self.strategy == Nsga2Sampler.name and not self.objectives.several:
            raise ValueError("nsga2 needs at least two objectives")
        if not any(map(self.fix.holds, self.space.data)):
            raise ValueError(f"the space has no data configuration with {self.fix.id}")
        if self.scorer not in scorers.NAMES:
            raise ValueError(f"scorer {self.scorer!r} is none of {sorted(scorers.NAMES)}")

    def identity(self, source: DatasetSource) -> dict[str, Any]:
        """What has to be the same for a search to go on with a folder, besides how it scores; budgets may change."""
        return {
            "space": self.space.identity,
            "limits": self.limits.model_dump(exclude_none=True),
            "seed": self.seed,
            "strategy": self.strategy,
            "fix": self.fix.id,
            "scorer": self.scorer,
            "soft": self.soft,
            "fitness": asdict(self.fitness),
            "objectives": list(self.objectives.names),
            "evolution": _changed(self.evolution),
            "images": source.fingerprint,
        }


def _changed(evolution: Evolution) -> dict[str, Any]:
    """The parameters; a brood of one is none at all."""
    found = asdict(evolution)
    if found["brood"] == 1:
        del found["brood"]
    return found


def quick(
    limits: Limits,
    *,
    space: str = "paper",
    sharing: Sharing = "shared",
    evaluations: int | None = 24,
    seconds: float | None = None,
    seed: int = 0,
) -> SearchConfig:
    """The demo's preset: minutes on two cores. At most 6 M MAC, unless the limits say less."""
    steps = {"shared": 300, "per-colour": 200, "per-config": 100}[sharing]
    macs = QUICK_MACS if limits.macs is None else min(limits.macs, QUICK_MACS)
    return SearchConfig(
        space=spaces.made(space, "quick"),
        limits=limits.model_copy(update={"macs": macs}),
        training=TrainingSettings(steps=steps, batch=32, sharing=sharing),
        scoring=ScoringSettings(calibration_images=512, validation_images=1000, fine_tuning_steps=40, rate=3e-3),
        naive=NaiveSettings(steps=300, training=StandaloneSettings(batch=32)),
        published=PublishedSettings(supernet_steps=300, batch=32),
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
    sharing: Sharing = "shared",
    evaluations: int | None = 200,
    seconds: float | None = None,
    seed: int = 0,
) -> SearchConfig:
    """The whole space, with supernets trained for hours; a candidate gets 100 steps on its private copy."""
    steps = {"shared": 60_000, "per-colour": 40_000, "per-config": 30_000}[sharing]
    return SearchConfig(
        space=spaces.made(space, "full"),
        limits=limits,
        training=TrainingSettings(steps=steps, batch=128, rate=2e-3, checkpoint_every=200, sharing=sharing),
        scoring=ScoringSettings(calibration_images=2048, validation_images=4000, fine_tuning_steps=100),
        evaluations=evaluations,
        seconds=seconds,
        seed=seed,
    )
