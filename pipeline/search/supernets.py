"""The supernets of a search, each trained when the first candidate of its family asks for it, and kept on disk.

A family is a data configuration, all those of a colour, or all there are (``sharing``). A supernet's largest subnet is
the envelope of what it is trained for (``population``): each gene's largest value among the feasible genotypes, so that
channels and blocks that no feasible design can have are never trained, or among all of the space.

A checkpoint is found by its content key: a hash over all that the weights depend on. Searches that share a folder
therefore share what they can and never mistake one for another; ``supernets.json`` in a search's own folder says which
ones it has used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.datasets import DatasetSource, Split, View
from pipeline.files import write_atomic
from pipeline.genotype import DataConfig, Genotype
from pipeline.search import checkpoint, layers, training
from pipeline.search.batches import Batches
from pipeline.search.feasibility import Feasibility
from pipeline.search.locks import alone
from pipeline.search.network import Network
from pipeline.search.population import Population, family, population

_WEIGHTS, _BATCHES, _SANDWICH = 8, 9, 10
#: Supernets in memory at a time, each with its graphs; the others are on disk.
KEPT = 2


@dataclass(frozen=True)
class Supernet:
    """Trained shared weights; never written to after training.

    ``workspace`` holds the traced graphs. Whoever uses it lets it hold the weights first, every time.
    """

    envelope: Genotype
    weights: layers.Weights
    complete: bool
    workspace: Network

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the weights."""
        digest = hashlib.sha256(self.envelope.id.encode())
        for name in sorted(self.weights):
            digest.update(name.encode() + np.ascontiguousarray(self.weights[name]).tobytes())
        return digest.hexdigest()


class Supernets:
    """Trains supernets on demand and keeps them.

    Args:
        source: The images.
        feasibility: Decides what is trained.
        settings: How to train.
        seed: Seed of start, order, augmentation and random subnets.
        folder: The search's folder.
        shared: Where checkpoints go; several searches may have the same; None: ``supernets`` in the search's folder.
        kept: Supernets in memory at a time.
    """

    def __init__(
        self,
        source: DatasetSource,
        feasibility: Feasibility,
        settings: training.TrainingSettings,
        *,
        seed: int,
        folder: Path,
        shared: Path | None = None,
        kept: int = KEPT,
    ) -> None:
        self.folder = shared if shared is not None else folder / "supernets"
        self._source = source
        self._feasibility = feasibility
        self._settings = settings
        self._seed = seed
        self._search = folder
        self._kept = kept
        self._trained: OrderedDict[tuple[DataConfig, ...], Supernet] = OrderedDict()
        #: Told when a batch has not fitted into memory: the supernet's name, and the images that go through at a time.
        self.throttled: Callable[[str, int], None] = lambda name, images: None
        self._populations: dict[tuple[DataConfig, ...], Population] = {}
        self._views: dict[tuple[Split, DataConfig], View] = {}

    def view(self, split: Split, data: DataConfig) -> View:
        """A split's images as the data configuration sees them; opened once."""
        if (split, data) not in self._views:
            self._views[split, data] = self._source.view(split, data)
        return self._views[split, data]

    def name(self, data: DataConfig) -> str:
        """What to call the supernet that serves a data configuration: ``96-rgb``, ``rgb`` or ``shared``."""
        return {"per-config": data.id, "per-colour": data.colour.value, "shared": "shared"}[self._settings.sharing]

    def get(
        self,
        data: DataConfig,
        *,
        report: Callable[[training.Step], None],
        keep_going: Callable[[], bool],
    ) -> Supernet:
        """The supernet, trained now if it is not; ``complete`` is False where ``keep_going`` ended it early."""
        datas = self._family(data)
        if datas not in self._trained:
            while len(self._trained) >= self._kept:
                self._trained.popitem(last=False)
            supernet = self._train(datas, report, keep_going)
            if not supernet.complete:
                return supernet
            self._trained[datas] = supernet
        self._trained.move_to_end(datas)
        return self._trained[datas]

    def _family(self, data: DataConfig) -> tuple[DataConfig, ...]:
        everywhere = self._settings.population == "space"
        return family(
            data, self._feasibility.space.data if everywhere else self._feasibility.data, self._settings.sharing
        )

    def _train(
        self,
        datas: tuple[DataConfig, ...],
        report: Callable[[training.Step], None],
        keep_going: Callable[[], bool],
    ) -> Supernet:
        if datas not in self._populations:
            self._populations[datas] = population(datas, self._feasibility, self._settings.population)
        trained = self._populations[datas]
        envelope, classes = trained.envelope, len(self._source.class_names)
        exits = layers.exit_stages(envelope)
        words = (self._seed, *(word for one in datas for word in (one.resolution, one.channels)))
        start = layers.initial(layers.parameters(envelope, classes, exits=exits), (*words, _WEIGHTS))
        network = Network(
            envelope,
            classes,
            start,
            exits=exits,
            often=(*trained.tops, *trained.bottoms),
            throttled=lambda images: self._throttle(self.name(datas[0]), images),
        )
        meta = {
            "kind": "supernet",
            "population": trained.identity,
            "classes": classes,
            "images": self._source.fingerprint,
            "settings": asdict(self._settings),
            "seed": self._seed,
        }
        key = hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()[:24]
        file = self.folder / f"{key}.npz"
        _note(self._search, datas, file, envelope)
        # Workers that come to the same supernet at once would all train it; the others find it trained.
        with alone(file.with_suffix(".lock"), keep_going=keep_going):
            complete = training.train_supernet(
                network,
                self._batches(datas, words),
                trained,
                settings=self._settings,
                seed=(*words, _SANDWICH),
                file=file,
                meta=meta,
                report=report,
                keep_going=keep_going,
            )
        return Supernet(envelope, network.values(), complete, network)

    def _throttle(self, name: str, images: int) -> None:
        """Let go of the supernets that are not in training, which are on disk, and tell."""
        self._trained.clear()
        self.throttled(name, images)

    def _batches(self, datas: tuple[DataConfig, ...], words: tuple[int, ...]) -> Batches:
        views = {data: self.view(Split.TRAIN, data) for data in datas}
        return Batches(
            {data: view.images for data, view in views.items()},
            views[datas[0]].labels,
            len(self._source.class_names),
            self._settings.batch,
            (*words, _BATCHES),
        )


def _index(folder: Path) -> Path:
    return folder / "supernets.json"


def _note(folder: Path, datas: Sequence[DataConfig], file: Path, envelope: Genotype) -> None:
    """Write down where the supernet of these data configurations is, and its largest network."""
    place = os.path.relpath(file, folder) if file.is_relative_to(folder) else str(file.absolute())
    entry = {"file": place, "envelope": envelope.id}
    with alone(_index(folder).with_suffix(".lock"), keep_going=lambda: True):
        known = _noted(folder)
        if any(known.get(data.id) != entry for data in datas):
            known |= {data.id: entry for data in datas}
            write_atomic(_index(folder), json.dumps({"schema_version": 1, "supernets": known}, indent=1) + "\n")


def _noted(folder: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(_index(folder).read_text(encoding="utf-8"))["supernets"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(found) if isinstance(found, dict) else {}


def stored_weights(search_folder: Path, data: DataConfig) -> layers.Weights | None:
    """The weights of the supernet that a search has scored a data configuration with; None if none can be read."""
    entry = _noted(search_folder).get(data.id)
    return None if entry is None else checkpoint.weights(search_folder / entry["file"])


def stored_envelope(search_folder: Path, data: DataConfig) -> Genotype | None:
    """The largest network of that supernet, at its own data configuration; None if the search has none."""
    entry = _noted(search_folder).get(data.id)
    return None if entry is None else Genotype.parse(entry["envelope"])
