"""Scores with inherited weights: a slice of a supernet, batch-norm statistics taken anew, one validation pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.datasets import DatasetSource, Split
from pipeline.genotype import Genotype
from pipeline.search import subnet, training
from pipeline.search.batches import Batches
from pipeline.search.feasibility import Feasibility
from pipeline.search.fitness import Scores
from pipeline.search.supernets import Supernet, Supernets
from pipeline.search.training import Step

if TYPE_CHECKING:
    from pipeline.search.config import SearchConfig


class SupernetScorer:
    """See :class:`pipeline.search.scorers.Scorer`; supernets are trained when the first candidate asks for them.

    Args:
        config: Its training, its scoring and its seed.
        source: The images.
        feasibility: Decides what supernets are trained for.
        folder: The search's folder.
        supernets: Another folder, which several searches share.
    """

    name = "supernet"

    def __init__(
        self,
        config: SearchConfig,
        source: DatasetSource,
        feasibility: Feasibility,
        folder: Path,
        supernets: Path | None = None,
    ) -> None:
        self.steps = config.training.steps
        self.supernets = Supernets(
            source,
            feasibility,
            config.training,
            seed=config.seed,
            folder=folder if supernets is None else supernets,
        )
        self._config = config
        self._classes = len(source.class_names)

    def identity(self) -> dict[str, Any]:
        """See :class:`pipeline.search.scorers.Scorer`."""
        return {"training": asdict(self._config.training), "scoring": asdict(self._config.scoring)}

    def subject(self, genotype: Genotype) -> str:
        """The data configuration, of which there is one supernet."""
        return genotype.data.id

    def score(
        self,
        genotype: Genotype,
        *,
        report: Callable[[Step], None],
        keep_going: Callable[[], bool],
        first: bool = False,
    ) -> Scores | None:
        """See :class:`pipeline.search.scorers.Scorer`; of the first one the supernet may be half trained."""
        supernet = self.supernets.get(genotype.data, report=report, keep_going=keep_going)
        if not supernet.complete and not first:
            return None
        return self._score(supernet, genotype)

    def _score(self, supernet: Supernet, genotype: Genotype) -> Scores:
        """Scores of a private copy; the same in whatever order candidates come."""
        settings, data, seed = self._config.scoring, genotype.data, self._config.seed
        train = self.supernets.view(Split.TRAIN, data)
        weights = supernet.weights
        if settings.fine_tuning_steps:
            # Outside the subnet's slices gradients are zero and nothing moves.
            supernet.workspace.load(weights)
            weights = training.fine_tune(
                supernet.workspace,
                Batches(
                    {data: train.images},
                    train.labels,
                    self._classes,
                    self._config.training.batch,
                    subnet.fine_tuning_seed(seed, genotype),
                ).of(data),
                genotype,
                steps=settings.fine_tuning_steps,
                peak=settings.rate,
            )
        calibration = subnet.calibration_images(train.images, settings.calibration_images, seed)
        settled = subnet.settle(weights, genotype, self._classes, calibration)
        validation = self.supernets.view(Split.VALIDATION, data)
        count = settings.validation_images
        return settled.scores(np.asarray(validation.images[:count]), validation.labels[:count])
