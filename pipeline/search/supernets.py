"""The supernets of a search: one for each data configuration, trained when the first candidate asks for it.

A supernet's largest subnet is the envelope of the *feasible* genotypes of its data configuration: each stage's most
blocks and the largest alpha among them. Channels and blocks that no feasible design can have are never trained. Other
limits therefore give another envelope and another supernet; the checkpoint knows its own and is not mistaken for one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets import DatasetSource, Split, View
from pipeline.genotype import DataConfig, Genotype
from pipeline.search import checkpoint, layers, training
from pipeline.search.batches import Batches
from pipeline.search.feasibility import Feasibility
from pipeline.search.network import Network

_WEIGHTS, _BATCHES, _SANDWICH = 8, 9, 10


@dataclass(frozen=True)
class Supernet:
    """Trained shared weights; never written to after training.

    ``workspace`` holds the traced graph. Whoever trains a private copy in it loads the weights first, every time.
    """

    envelope: Genotype
    weights: layers.Weights
    complete: bool
    workspace: Network


def file_of(folder: Path, data: DataConfig) -> Path:
    """Where the checkpoint of a data configuration's supernet is."""
    return folder / "supernets" / data.id / "checkpoint.npz"


class Supernets:
    """Trains supernets on demand and keeps them.

    Args:
        source: The images.
        feasibility: Decides the envelopes and what the random subnets are drawn from.
        settings: How to train.
        seed: Seed of start, order, augmentation and random subnets.
        folder: The search's folder.
    """

    def __init__(
        self,
        source: DatasetSource,
        feasibility: Feasibility,
        settings: training.TrainingSettings,
        *,
        seed: int,
        folder: Path,
    ) -> None:
        self._source = source
        self._feasibility = feasibility
        self._settings = settings
        self._seed = seed
        self._folder = folder
        self._trained: dict[DataConfig, Supernet] = {}
        self._views: dict[tuple[Split, DataConfig], View] = {}

    def view(self, split: Split, data: DataConfig) -> View:
        """A split's images as the data configuration sees them; opened once."""
        if (split, data) not in self._views:
            self._views[split, data] = self._source.view(split, data)
        return self._views[split, data]

    def get(
        self,
        data: DataConfig,
        *,
        report: Callable[[training.Step], None],
        keep_going: Callable[[], bool],
    ) -> Supernet:
        """The supernet, trained now if it is not; ``complete`` is False where ``keep_going`` ended it early."""
        if data not in self._trained:
            supernet = self._train(data, report, keep_going)
            if not supernet.complete:
                return supernet
            self._trained[data] = supernet
        return self._trained[data]

    def _train(
        self, data: DataConfig, report: Callable[[training.Step], None], keep_going: Callable[[], bool]
    ) -> Supernet:
        feasible = self._feasibility.of(data)
        envelope, least = self._feasibility.envelope(data)
        classes = len(self._source.class_names)
        exits = layers.exit_stages(envelope)
        words = (self._seed, data.resolution, data.channels)
        start = layers.initial(layers.parameters(envelope, classes, exits=exits), (*words, _WEIGHTS))
        network = Network(envelope, classes, start, exits=exits)
        view = self.view(Split.TRAIN, data)
        complete = training.train_supernet(
            network,
            Batches({data: view.images}, view.labels, classes, self._settings.batch, (*words, _BATCHES)),
            largest=envelope,
            smallest=least,
            feasible=feasible,
            settings=self._settings,
            seed=(*words, _SANDWICH),
            file=file_of(self._folder, data),
            meta={
                "kind": "supernet",
                "envelope": envelope.id,
                "smallest": least.id,
                "feasible": len(feasible),
                "classes": classes,
                "data": self._source.fingerprint,
            },
            report=report,
            keep_going=keep_going,
        )
        return Supernet(envelope, network.values(), complete, network)


def stored_weights(folder: Path, data: DataConfig) -> layers.Weights | None:
    """The weights of a search's checkpoint; None if there is none that can be read."""
    arrays = checkpoint.load(file_of(folder, data))
    if arrays is None:
        return None
    prefix = "weights:"
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def stored_envelope(folder: Path, data: DataConfig) -> Genotype | None:
    """The largest network of a search's checkpoint; None if there is none that can be read."""
    meta = checkpoint.load_meta(file_of(folder, data))
    return None if meta is None or "envelope" not in meta else Genotype.parse(meta["envelope"])
