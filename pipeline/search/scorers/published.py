"""The published way to score, as the baseline to be beaten: shared weights, fine-tuned by every candidate in turn.

One full-size supernet a data configuration is trained when a candidate first asks for it; every candidate then trains
some steps *on the shared weights*, is validated ten times on the way and once at the end, and leaves the weights
changed: its score depends on who came before. A search with it is still resumed to the same result, since the weights
are kept together with the list of scores they are the consequence of.

Precision and recall are the accuracy, as a two-column softmax made them there. What is not taken over: the
monochrome supernet, there three times narrower than the RGB one, has the same width here.

Source: arXiv 2502.12690 and the description of its authors' code; see docs/search.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import DatasetSource, Split
from pipeline.genotype import DataConfig, Genotype
from pipeline.search import checkpoint, space
from pipeline.search.batches import Batches, SingleBatches
from pipeline.search.feasibility import Feasibility
from pipeline.search.fitness import Scores
from pipeline.search.scorers.published_network import PublishedNetwork
from pipeline.search.training import Step

if TYPE_CHECKING:
    from pipeline.search.config import SearchConfig

_WEIGHTS, _BATCHES, _CANDIDATE = 20, 21, 22
_LOG = "log"


@dataclass(frozen=True, kw_only=True)
class PublishedSettings:
    """The published budgets; the defaults are its own.

    Args:
        supernet_steps: Steps of the full network, a data configuration (30 × 1000).
        steps: Steps of a candidate on the shared weights.
        validations: Passes over the validation split while a candidate trains; one more follows.
        batch: Images a step.
        rate: Learning rate of Adam, constant.
        momentum: Of the running batch-norm statistics.
        checkpoint_every: Steps of the full network between checkpoints.
    """

    supernet_steps: int = 30_000
    steps: int = 100
    validations: int = 10
    batch: int = 128
    rate: float = 1e-3
    momentum: float = 0.999
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        if self.supernet_steps < 1 or self.steps < 1 or self.checkpoint_every < 1 or self.validations < 0:
            raise ValueError("steps and checkpoint_every are at least 1, validations not negative")
        if self.batch < 2 or self.rate <= 0 or not 0 <= self.momentum < 1:
            raise ValueError("batch is at least 2, rate positive, momentum within 0..1")


class PublishedScorer:
    """A :class:`pipeline.search.scorers.Scorer` but for one thing: its scores depend on the order of the candidates.

    The full network of each data configuration is found by content in the folder of supernets, which searches may
    share; the weights as the search's own candidates leave them are in ``published/<data configuration>.npz``.

    Args:
        config: Its budgets (``config.published``), its space, its validation images and its seed.
        source: The images.
        feasibility: Not asked: what was published trains at full size whatever fits.
        folder: The search's folder.
        supernets: Another folder, which several searches share.
    """

    name = "published"

    def __init__(
        self,
        config: SearchConfig,
        source: DatasetSource,
        feasibility: Feasibility,
        folder: Path,
        supernets: Path | None = None,
    ) -> None:
        self.steps = config.published.supernet_steps
        self._settings = config.published
        self._space = config.space
        self._source = source
        self._seed = config.seed
        self._folder = folder / "published"
        self._supernets = folder / "supernets" if supernets is None else supernets
        self._validation_images = config.scoring.validation_images
        self._open: dict[DataConfig, _Shared] = {}

    def identity(self) -> dict[str, Any]:
        """See :class:`pipeline.search.scorers.Scorer`."""
        return {"published": asdict(self._settings), "validation_images": self._validation_images}

    def subject(self, genotype: Genotype) -> str:
        """The data configuration, of which there is one full network."""
        return genotype.data.id

    def score(
        self,
        genotype: Genotype,
        *,
        report: Callable[[Step], None],
        keep_going: Callable[[], bool],
        first: bool = False,
    ) -> Scores | None:
        """Train a candidate on the weights that all candidates share, and leave them changed.

        See :class:`pipeline.search.scorers.Scorer`; ``report`` tells of the full network's training alone.

        Raises:
            ValueError: A genotype of the wide space: what was published has one width multiplier.
        """
        if genotype.wide is not None:
            raise ValueError("the published way to score knows the published space alone")
        data = genotype.data
        file = self._folder / f"{data.id}.npz"
        meta = self._meta(data)
        known = checkpoint.load(file, meta)
        log: dict[str, float] = {} if known is None else json.loads(known[_LOG].tobytes())
        if genotype.id in log:
            return _scores(log[genotype.id])
        shared = self._shared(data)
        if known is not None:
            # The candidate before may have been of another search's arm in this process, or cut short.
            shared.network.restore(known)
        trained = known is not None or self._train(shared, report, keep_going)
        whole = trained and self._fine_tune(shared, genotype, keep_going)
        if not (whole or first):
            return None
        accuracy = shared.network.accuracy(shared.validation, shared.labels, genotype)
        if not whole:
            return _scores(accuracy)  # nothing that others may build on
        log[genotype.id] = accuracy
        text = np.frombuffer(json.dumps(log).encode(), np.uint8)
        checkpoint.save(file, {**shared.network.state(optimizer=False), _LOG: text}, meta)
        return _scores(accuracy)

    def _envelope(self, data: DataConfig) -> Genotype:
        """The full network of a data configuration."""
        return space.largest(list(self._space.corners(data)))

    def _meta(self, data: DataConfig) -> dict[str, Any]:
        return {
            "kind": "published",
            "supernet": self._envelope(data).id,
            "classes": len(self._source.class_names),
            "images": self._source.fingerprint,
            "settings": asdict(self._settings),
            "seed": self._seed,
        }

    def _shared(self, data: DataConfig) -> _Shared:
        if data not in self._open:
            classes = len(self._source.class_names)
            words = (self._seed, data.resolution, data.channels)
            train, validation = self._source.view(Split.TRAIN, data), self._source.view(Split.VALIDATION, data)
            network = PublishedNetwork(
                self._envelope(data),
                classes,
                seed=(*words, _WEIGHTS),
                momentum=self._settings.momentum,
            )
            count = self._validation_images
            self._open[data] = _Shared(
                network,
                Batches({data: train.images}, train.labels, classes, self._settings.batch, (*words, _BATCHES)).of(data),
                np.asarray(validation.images[:count]),
                validation.labels[:count],
                words,
            )
        return self._open[data]

    def _train(self, shared: _Shared, report: Callable[[Step], None], keep_going: Callable[[], bool]) -> bool:
        """Train the full network, or go on with it; True if it is done."""
        settings, network = self._settings, shared.network
        meta = self._meta(network.envelope.data)
        key = hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()[:24]
        file = self._supernets / f"published-{key}.npz"
        stored = checkpoint.load(file, meta)
        network.begin()
        if stored is not None:
            network.restore(stored)
        saved = network.step
        while network.step < settings.supernet_steps and keep_going():
            images, targets = shared.batches(network.step)
            loss, accuracy = network.train(images, targets, network.envelope, settings.rate)
            report(Step(network.step, loss, accuracy))
            if network.step % settings.checkpoint_every == 0:
                checkpoint.save(file, network.state(optimizer=True), meta)
                saved = network.step
        if network.step != saved:
            checkpoint.save(file, network.state(optimizer=True), meta)
        return network.step >= settings.supernet_steps

    def _fine_tune(self, shared: _Shared, genotype: Genotype, keep_going: Callable[[], bool]) -> bool:
        """Train a candidate on the shared weights; True if all its steps are done."""
        settings, network, data = self._settings, shared.network, genotype.data
        batches = SingleBatches(replace(shared.batches.batches, seed=(*shared.words, _CANDIDATE, genotype.seed)), data)
        network.begin()
        every = max(1, settings.steps // settings.validations) if settings.validations else 0
        for number in range(settings.steps):
            if not keep_going():
                return False
            images, targets = batches(number)
            network.train(images, targets, genotype, settings.rate)
            if every and (number + 1) % every == 0:
                # Nothing comes of it; it is what the published method spends its time on.
                network.accuracy(shared.validation, shared.labels, genotype)
        return True


@dataclass(frozen=True)
class _Shared:
    network: PublishedNetwork
    batches: SingleBatches
    validation: NDArray[np.uint8]
    labels: NDArray[np.int64]
    words: tuple[int, ...]


def _scores(accuracy: float) -> Scores:
    return Scores(accuracy, accuracy, accuracy)
