"""How much each scale spends: the space, the supernets, the candidates and the seeds of every experiment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline.experiments.places import PUBLISHED, Profiles, exact
from pipeline.experiments.protocol import Scale
from pipeline.genotype import ALPHAS, Colour, DataConfig
from pipeline.search import ScoringSettings, TrainingSettings
from pipeline.search.scorers import NaiveSettings, PublishedSettings
from pipeline.search.space import PaperSpace, Space, all_data, all_depths


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a scale has.

    Attributes:
        space: What every arm may propose.
        profiles: What devices have.
        fixed: Data configurations of the hardware-aware arms, named before the run.
        training: How supernets are trained, of all subnets of the space, so that every arm can share them.
        scoring: How a candidate is scored.
        evaluations: Candidates an arm.
        seeds: Of runs; each has its own supernets.
        few: How many of them the ablation and the comparison with the published scoring have.
        least: How many of them the ablation's fine-tuned searches have.
        threshold: Accuracy above which models are counted.
        alone: Steps for which networks are trained alone where that is compared: enough for the deepest, or it is the
            pace of training that is compared.
        naive: How candidates are trained without a supernet.
        published: The published scoring; its supernets had 30,000 steps in the paper.
        tuning: Fine-tuning steps that the ablation tries.
        latencies: Limits in ms that are tried, the largest first.
    """

    space: Space
    profiles: Profiles
    fixed: tuple[DataConfig, ...]
    training: TrainingSettings
    scoring: ScoringSettings
    evaluations: int
    seeds: tuple[int, ...]
    few: int
    least: int
    threshold: float
    alone: int
    naive: NaiveSettings
    published: PublishedSettings
    tuning: tuple[int, ...]
    latencies: tuple[float, ...]

    def search(self, scorer: str) -> dict[str, Any]:
        """What a search's result depends on, as JSON."""
        scored: dict[str, dict[str, Any]] = {
            "supernet": {"training": asdict(self.training), "scoring": asdict(self.scoring)},
            "naive": {"naive": asdict(self.naive), "validation_images": self.scoring.validation_images},
            "published": {"published": asdict(self.published), "validation_images": self.scoring.validation_images},
        }
        return {"space": self.space.identity, "evaluations": self.evaluations, **scored[scorer]}

    def as_dict(self) -> dict[str, Any]:
        """What a reader must know, as JSON."""
        return {
            "designs": len(self.space),
            "data": [data.id for data in self.space.data],
            "alphas": sorted({genotype.alpha for genotype in self.space.corners(self.space.data[0])}),
            "fixed": [data.id for data in self.fixed],
            "training": asdict(self.training),
            "scoring": asdict(self.scoring),
            "evaluations": self.evaluations,
            "threshold": self.threshold,
        }


def _data(*resolutions: int) -> tuple[DataConfig, ...]:
    return tuple(DataConfig(resolution, colour) for resolution in resolutions for colour in Colour)


_SMOKE_AOT = exact((16, 48), (12, 32), (10, 30))
_SMOKE = Budget(
    space=PaperSpace(data=_data(32, 64), depths=((0, 0, 0, 0, 0), (1, 0, 0, 0, 0)), alphas=(0.1, 0.2)),
    profiles=Profiles(
        published=PUBLISHED,
        aot=_SMOKE_AOT,
        compared=(PUBLISHED[2], _SMOKE_AOT[1]),
    ),
    fixed=(DataConfig(64, Colour.RGB), DataConfig(32, Colour.RGB)),
    training=TrainingSettings(steps=4, batch=16, checkpoint_every=4, sharing="shared", population="space"),
    scoring=ScoringSettings(calibration_images=32, validation_images=64),
    evaluations=4,
    seeds=(0, 1),
    few=1,
    least=1,
    threshold=0.5,
    alone=4,
    naive=NaiveSettings(steps=4),
    published=PublishedSettings(supernet_steps=4, steps=4, validations=2, batch=16),
    tuning=(0, 2),
    latencies=(4.0,),
)

_SMALL_AOT = exact((48, 384), (36, 256), (24, 224))
_SMALL = Budget(
    space=PaperSpace(data=_data(32, 64, 96), depths=all_depths(), alphas=(0.1, 0.2, 0.3, 0.4, 0.5)),
    profiles=Profiles(
        published=PUBLISHED,
        aot=_SMALL_AOT,
        compared=(PUBLISHED[2], _SMALL_AOT[1]),
    ),
    fixed=(DataConfig(96, Colour.RGB), DataConfig(64, Colour.RGB)),
    training=TrainingSettings(steps=2000, batch=64, checkpoint_every=50, sharing="shared", population="space"),
    scoring=ScoringSettings(calibration_images=512, validation_images=2000),
    evaluations=30,
    seeds=(0, 1, 2, 3, 4),
    few=3,
    least=2,
    threshold=0.75,
    alone=2000,
    naive=NaiveSettings(steps=200),
    published=PublishedSettings(supernet_steps=300),
    tuning=(0, 100, 500),
    latencies=(40.0, 20.0),
)

_FULL_AOT = exact((128, 768), (96, 640), (64, 512))
_FULL = Budget(
    space=PaperSpace(data=all_data(), depths=all_depths(), alphas=ALPHAS),
    profiles=Profiles(
        published=PUBLISHED,
        aot=_FULL_AOT,
        compared=(PUBLISHED[0], _FULL_AOT[1]),
    ),
    fixed=(DataConfig(96, Colour.RGB), DataConfig(64, Colour.RGB)),
    training=TrainingSettings(
        steps=60_000, batch=128, rate=2e-3, checkpoint_every=500, sharing="shared", population="space"
    ),
    scoring=ScoringSettings(calibration_images=2048, validation_images=4000),
    evaluations=100,
    seeds=(0, 1, 2, 3, 4),
    few=3,
    least=3,
    threshold=0.75,
    alone=25_000,
    naive=NaiveSettings(),
    published=PublishedSettings(),
    tuning=(0, 100, 500),
    latencies=(150.0, 75.0),
)

BUDGETS = {Scale.SMOKE: _SMOKE, Scale.SMALL: _SMALL, Scale.FULL: _FULL}
