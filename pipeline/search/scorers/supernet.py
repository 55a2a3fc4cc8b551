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
from pipeline.search.cache import ScoreCache
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
        supernets: A folder of supernets that several searches share; None: ``supernets`` in the search's own.
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
            source, feasibility, config.training, seed=config.seed, folder=folder, shared=supernets
        )
        self._config = config
        self._source = source
        self._cache = ScoreCache(self.supernets.folder / "scores.db")

    def identity(self) -> dict[str, Any]:
        """See :class:`pipeline.search.scorers.Scorer`."""
        return {"training": asdict(self._config.training), "scoring": asdict(self._config.scoring)}

    def subject(self, genotype: Genotype) -> str:
        """The supernet's name."""
        return self.supernets.name(genotype.data)

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
        identity = {
            "genotype": genotype.id,
            "supernet": supernet.hash,
            "images": self._source.fingerprint,
            "scoring": asdict(self._config.scoring),
            "batch": self._config.training.batch,
            "seed": self._config.seed,
        }
        found = self._cache.get(identity)
        if found is None:
            found = self.measure(supernet, genotype)
            self._cache.put(identity, found)
        return found

    def measure(self, supernet: Supernet, genotype: Genotype) -> Scores:
        """Scores of a private copy, worked out anew; the same in whatever order candidates come."""
        settings, data, seed = self._config.scoring, genotype.data, self._config.seed
        train = self.supernets.view(Split.TRAIN, data)
        supernet.workspace.hold(supernet.weights)
        if settings.fine_tuning_steps:
            # Outside the subnet's slices gradients are zero and nothing moves.
            training.fine_tune(
                supernet.workspace,
                Batches(
                    {data: train.images},
                    train.labels,
                    len(self._source.class_names),
                    self._config.training.batch,
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
