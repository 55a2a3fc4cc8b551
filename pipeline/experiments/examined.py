"""The supernets whose scores :mod:`pipeline.experiments.trusting` examines: those of the experiments, or a run's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.datasets import Split
from pipeline.errors import UsageError, printable
from pipeline.estimate.model import Estimate, Limits
from pipeline.experiments.fidelity import Bools
from pipeline.experiments.protocol import Place
from pipeline.genotype import DataConfig, Genotype
from pipeline.search import ScoringSettings, SearchConfig, TrainingSettings, layers, subnet, training
from pipeline.search.batches import Batches
from pipeline.search.feasibility import Feasibility, analytic
from pipeline.search.network import Network
from pipeline.search.space import Space, holds, largest
from pipeline.search.supernets import Supernets, stored_envelope, stored_weights

if TYPE_CHECKING:
    from pipeline.job.context import Context
    from pipeline.progress import Display

#: Designs of a data configuration that are looked at, drawn with replacement.
SAMPLED = 100


@dataclass(frozen=True, kw_only=True)
class Own:
    """Supernets like every other experiment's: of all of a space, trained once a seed and shared.

    Attributes:
        space: What they are trained for, and what subnets are chosen from.
        training: How; its population is ``space``.
        scoring: How subnets are scored.
        seeds: Each has supernets of its own.
    """

    space: Space
    training: TrainingSettings
    scoring: ScoringSettings
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.training.population != "space":
            raise ValueError("supernets to be examined are trained for all of the space")

    def identity(self) -> Mapping[str, Any]:
        """Space, training and scoring."""
        return {
            "space": self.space.identity | {"name": self.space.name},
            "training": asdict(self.training),
            "scoring": asdict(self.scoring),
        }

    def pools(self) -> Mapping[DataConfig, Sequence[Genotype]]:
        """A sample of the space."""
        return {data: _designs(self.space, data) for data in self.space.data}

    def answers(self, subnets: Sequence[Genotype], seed: int, place: Place) -> Bools:
        """See :class:`~pipeline.experiments.trusting.Shared`."""
        feasibility = Feasibility(self.space, _anything, Limits(ram_bytes=1, flash_bytes=1))
        supernets = Supernets(
            place.source, feasibility, self.training, seed=seed, folder=place.folder, shared=place.supernets
        )
        steps = self.training.steps

        def network(data: DataConfig) -> tuple[Network, layers.Weights]:
            found = supernets.get(
                data,
                report=lambda step: place.say(f"supernet {supernets.name(data)} step {step.number}/{steps}"),
                keep_going=lambda: True,
            )
            return found.workspace, found.weights

        return _scored(subnets, place, network, self.scoring, batch=self.training.batch, seed=seed)


class OfRun:
    """The supernets that a run's search has trained.

    Args:
        folder: The run's search folder.
        config: The search's configuration.
        fits: Whether a genotype is within the run's limits: no other was trained.

    Raises:
        UsageError: ``no-supernet``: the search has none, or they cannot be read.
    """

    def __init__(self, folder: Path, config: SearchConfig, fits: Callable[[Genotype], bool]) -> None:
        self._config = config
        self._fits = fits
        self.seeds = (config.seed,)
        self.images = config.scoring.validation_images
        self._envelopes: dict[DataConfig, Genotype] = {}
        self._weights: dict[str, layers.Weights] = {}
        self._of: dict[DataConfig, str] = {}
        for data in config.space.data:
            envelope, weights = stored_envelope(folder, data), stored_weights(folder, data)
            if envelope is not None and weights is not None:
                self._envelopes[data] = envelope
                self._of[data] = _digest(weights)
                self._weights.setdefault(self._of[data], weights)
        if not self._of:
            raise UsageError(
                "no-supernet",
                f"{printable(folder, 4096)} holds no trained supernet",
                why="The search was made without one, or has not come so far, or its files are gone.",
                next="Name a run whose search is finished (`danas-deploy search --board BOARD`).",
            )

    def identity(self) -> Mapping[str, Any]:
        """The weights' hashes, and the scoring."""
        return {
            "supernets": {data.id: digest for data, digest in self._of.items()},
            "scoring": asdict(self._config.scoring),
            "batch": self._config.training.batch,
        }

    def pools(self) -> Mapping[DataConfig, Sequence[Genotype]]:
        """What is feasible of a sample of the data configurations that have a supernet."""
        space = self._config.space
        return {
            data: [one for one in _designs(space, data) if holds(envelope, one) and self._fits(one)]
            for data, envelope in self._envelopes.items()
        }

    def answers(self, subnets: Sequence[Genotype], seed: int, place: Place) -> Bools:
        """See :class:`~pipeline.experiments.trusting.Shared`; nothing is trained but a candidate's private copy."""
        networks: dict[str, Network] = {}

        def network(data: DataConfig) -> tuple[Network, layers.Weights]:
            digest, envelope = self._of[data], self._envelopes[data]
            weights = self._weights[digest]
            if digest not in networks:
                exits = layers.exit_stages(envelope)
                networks[digest] = Network(envelope, len(place.source.class_names), weights, exits=exits)
            return networks[digest], weights

        return _scored(subnets, place, network, self._config.scoring, batch=self._config.training.batch, seed=seed)


def opened(run: Path, display: Display) -> tuple[OfRun, Context]:
    """A run's supernets, with its images and its board.

    Raises:
        UsageError: ``no-such-run``, ``bad-manifest``, ``not-a-search-run``, ``no-supernet``.
    """
    from pipeline.job import finding
    from pipeline.job.context import Context
    from pipeline.runs import Run

    context = Context(Run.open(run), display)
    finding.demand_search(context)
    config = finding.config(context)
    figures = analytic(context.board, len(context.source.class_names), of=finding.runtime_estimate(context))
    feasibility = Feasibility(config.space, figures, config.limits, soft=config.soft)
    return OfRun(context.run.path("search"), config, feasibility.admits), context


def _designs(space: Space, data: DataConfig) -> Sequence[Genotype]:
    """Those at the space's ends, and a fixed sample of the others."""
    rng = np.random.default_rng([data.resolution, data.channels])
    corners = list(space.corners(data))
    ends = [*corners, largest(corners)]
    found = dict.fromkeys([*ends, *(space.random(rng, data) for _ in range(SAMPLED))])
    return [one for one in found if one in space]


def _anything(_: Genotype) -> Estimate:
    return Estimate(ram=(), flash=(), stack_reserve=0, macs=0)


def _digest(weights: layers.Weights) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + np.ascontiguousarray(weights[name]).tobytes())
    return digest.hexdigest()


def _scored(
    subnets: Sequence[Genotype],
    place: Place,
    network: Callable[[DataConfig], tuple[Network, layers.Weights]],
    settings: ScoringSettings,
    *,
    batch: int,
    seed: int,
) -> Bools:
    """Which images of validation each subnet gets right, [subnets, images], scored as a search scores a candidate."""
    found = []
    for genotype in subnets:
        place.say(f"{genotype.id} by supernet")
        holder, weights = network(genotype.data)
        holder.hold(weights)
        view, validation = (place.source.view(split, genotype.data) for split in (Split.TRAIN, Split.VALIDATION))
        if settings.fine_tuning_steps:
            classes, words = len(place.source.class_names), subnet.fine_tuning_seed(seed, genotype)
            batches = Batches({genotype.data: view.images}, view.labels, classes, batch, words)
            training.fine_tune(
                holder,
                batches.of(genotype.data),
                genotype,
                steps=settings.fine_tuning_steps,
                peak=settings.rate,
            )
        count = settings.validation_images
        logits = subnet.logits(
            holder,
            genotype,
            calibration=subnet.calibration_images(view.images, settings.calibration_images, seed),
            images=np.asarray(validation.images[:count]),
        )
        found.append(logits.argmax(axis=1) == validation.labels[:count])
    return np.stack(found)
