"""Scoring without a supernet: every candidate is trained alone, from scratch, for a stated number of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.datasets import DatasetSource, Split
from pipeline.genotype import Genotype
from pipeline.search import checkpoint, layers, standalone
from pipeline.search.feasibility import Feasibility
from pipeline.search.fitness import Scores
from pipeline.search.standalone import StandaloneSettings
from pipeline.search.training import Step

if TYPE_CHECKING:
    from pipeline.search.config import SearchConfig


@dataclass(frozen=True, kw_only=True)
class NaiveSettings:
    """How long each candidate is trained, and how.

    Args:
        steps: Optimizer steps from scratch.
        training: The rest.
    """

    steps: int = 25_000
    training: StandaloneSettings = field(default_factory=StandaloneSettings)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError("a candidate is trained for at least one step")


class NaiveScorer:
    """See :class:`pipeline.search.scorers.Scorer`; the weights of every candidate are kept in ``naive/``.

    Args:
        config: Its budget of a candidate (``config.naive``), its validation images and its seed.
        source: The images.
        feasibility: Not asked: nothing is trained ahead.
        folder: The search's folder.
        supernets: Not used.
    """

    name = "naive"

    def __init__(
        self,
        config: SearchConfig,
        source: DatasetSource,
        feasibility: Feasibility,
        folder: Path,
        supernets: Path | None = None,
    ) -> None:
        self.steps = config.naive.steps
        self._config = config
        self._source = source
        self._folder = folder

    def identity(self) -> dict[str, Any]:
        """See :class:`pipeline.search.scorers.Scorer`."""
        return {"naive": asdict(self._config.naive), "validation_images": self._config.scoring.validation_images}

    def subject(self, genotype: Genotype) -> str:
        """The genotype: each is trained."""
        return genotype.id

    def score(
        self,
        genotype: Genotype,
        *,
        report: Callable[[Step], None],
        keep_going: Callable[[], bool],
        first: bool = False,
    ) -> Scores | None:
        """See :class:`pipeline.search.scorers.Scorer`; the first one may be half trained."""
        cut_short = False

        def going() -> bool:
            nonlocal cut_short
            cut_short = not keep_going()
            return not cut_short

        settings = self._config.naive
        file = _file(self._folder, genotype)
        training = file.with_suffix(".training.npz")
        trained = standalone.train(
            genotype,
            self._source,
            steps=settings.steps,
            seed=self._config.seed,
            settings=settings.training,
            report=report,
            file=training,
            keep_going=going,
        )
        if cut_short and not first:
            return None
        weights = {f"{checkpoint.WEIGHTS}{name}": value for name, value in trained.weights.items()}
        checkpoint.save(file, weights, {"kind": "naive"})
        training.unlink(missing_ok=True)
        view = self._source.view(Split.VALIDATION, genotype.data)
        count = self._config.scoring.validation_images
        return trained.scores(np.asarray(view.images[:count]), view.labels[:count])


def stored_weights(folder: Path, genotype: Genotype) -> layers.Weights | None:
    """The weights that a search has scored a candidate with; None if there are none that can be read.

    Args:
        folder: The search's.
        genotype: The candidate.
    """
    return checkpoint.weights(_file(folder, genotype))


def _file(folder: Path, genotype: Genotype) -> Path:
    return folder / "naive" / f"{genotype.id}.npz"
