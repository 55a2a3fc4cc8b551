"""A subset of a large data set from elsewhere, fetched once, piece by piece, and kept as squares in the cache.

The records come in units (a row group of a file, a block of images): a unit that was read is kept, whatever happens
next, so that a download that broke off is taken up where it was, and a larger subset only fetches what it lacks. Which
units a subset takes, and in which order their images are, is a function of the data set and the seed alone.

Each image is decoded once and kept at the largest resolution of any space; smaller views are made of that. Images that
cannot be read, or have no label, are left out and counted: among millions there are some.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import images, quality, views
from pipeline.datasets.cache import Cache
from pipeline.datasets.values import LEAST_TRAINING_IMAGES, Split, View
from pipeline.datasets.views import cached_images
from pipeline.errors import EnvironmentProblem, UsageError, printable
from pipeline.genotype import RESOLUTIONS, DataConfig

#: Part of the folders' names and of the fingerprint: counts up whenever the same records would give other images.
VERSION = 1
#: Side of the squares that are kept.
SIDE = max(RESOLUTIONS)
#: Training images where the user names no number; validation and test have a fifth of it each.
DEFAULT_IMAGES = 10_000
_FIFTH = 5

_log = logging.getLogger(__name__)


class Record(NamedTuple):
    """An image as it comes: its name in its split, its label or None, and its file's bytes."""

    id: str
    label: int | None
    content: bytes


class UnreachableError(Exception):
    """What the records come from does not answer, or breaks off; the text says why."""


class Records(Protocol):
    """Where labelled images come from, in units that are read as a whole."""

    @property
    def name(self) -> str:
        """Short and printable: the source's name."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Two or more; labels are indices into them."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that the records depend on, as JSON."""

    @property
    def about(self) -> Mapping[str, Any]:
        """For :meth:`DatasetSource.describe`: ``title``, ``license``, ``labelled``, ``split_by``; plain values."""

    def units(self, split: Split, seed: int) -> Iterator[str]:
        """The names of a split's units, each once, in an order drawn from the seed: letters, digits and ``-._``.

        Raises:
            UnreachableError: Their list cannot be had.
            DanasError: What the source itself raises.
        """

    def read(self, split: Split, unit: str) -> Iterable[Record]:
        """The records of a unit, always in the same order.

        Raises:
            UnreachableError: They cannot be had now.
            DanasError: What the source itself raises.
        """


@dataclass(frozen=True)
class _Unit:
    """A unit as it lies in the cache; ``sha256`` is of the squares."""

    ids: tuple[str, ...]
    labels: tuple[int, ...]
    sides: tuple[int, ...]
    sha256: str
    left_out: Mapping[str, int] = field(default_factory=dict)


class _Row(NamedTuple):
    """An image of the subset: its name and label, its shorter side at first, its unit, and its place in that."""

    id: str
    label: int
    side: int
    unit: str
    place: int


class PreparedSource:
    """A subset of records, as a :class:`DatasetSource`.

    Args:
        records: Where they come from.
        training_images: How many of the training split; validation and test have a fifth of that each. Fewer where
            there are no more.
        seed: Draws the subset and its order.
        cache: Where it is kept: about 150 kB an image, and the views.

    Raises:
        UsageError: ``too-few-images``, and what the records raise.
        EnvironmentProblem: ``download-failed``: what was fetched is kept; ``disk-full``, ``cache-not-writable``, and
            what the records raise.
    """

    def __init__(self, records: Records, *, training_images: int, seed: int, cache: Cache) -> None:
        self._records = records
        self._seed = seed
        self._cache = cache
        fifth = max(1, training_images // _FIFTH)
        self._counts = {Split.TRAIN: training_images, Split.VALIDATION: fifth, Split.TEST: fifth}
        identity = json.dumps([VERSION, SIDE, records.name, dict(records.identity)], sort_keys=True)
        self._folder = f"subsets/v{VERSION}/{hashlib.sha256(identity.encode()).hexdigest()[:32]}"
        question = json.dumps([identity, seed, [self._counts[split] for split in Split]])
        units = self._units(f"{self._folder}/plan-{hashlib.sha256(question.encode()).hexdigest()[:32]}.json")
        digest = hashlib.sha256(question.encode())
        self._left_out: Counter[str] = Counter()
        self._rows = {split: self._order(split, of_split, digest) for split, of_split in units.items()}
        self._fingerprint = digest.hexdigest()
        self._check_counts()
        self._smaller = quality.smaller([row.side for row in self._rows[Split.TRAIN]])

    @property
    def name(self) -> str:
        """The records' name."""
        return self._records.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """The records' classes."""
        return self._records.class_names

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the squares, names, labels, splits, order and parameters."""
        return self._fingerprint

    @property
    def splits(self) -> frozenset[Split]:
        """All three."""
        return frozenset(self._rows)

    def groups(self, split: Split) -> NDArray[np.int64]:
        """Each image is a group of its own: nothing is known of which belong together."""
        first = 0
        for one in Split:
            if one is split:
                break
            first += len(self._rows[one])
        return np.arange(first, first + len(self._rows[split]), dtype=np.int64)

    def view(self, split: Split, data: DataConfig) -> View:
        """The split under a DataConfig; see :class:`DatasetSource`."""
        rows = self._rows[split]

        def squares() -> Iterator[NDArray[np.uint8]]:
            opened = {unit: self._squares(split, unit) for unit in sorted({row.unit for row in rows})}
            for row in rows:
                yield opened[row.unit][row.place]

        return View(
            images=cached_images(
                cache=self._cache,
                fingerprint=self._fingerprint,
                split=split,
                data=data,
                count=len(rows),
                images=squares,
            ),
            labels=np.array([row.label for row in rows], dtype=np.int64),
            ids=tuple(printable(row.id, limit=1000) for row in rows),
        )

    def describe(self) -> dict[str, Any]:
        """Source, counts, how labelled; plain values."""
        notes = ["Images that are not square are squeezed into one."]
        notes += [f"{count} images were left out: {why}." for why, count in sorted(self._left_out.items())]
        return {
            "source": self.name,
            "name": self.name,
            "kind": "subset of a public data set",
            **self._records.about,
            "identity": dict(self._records.identity),
            "fingerprint": self._fingerprint,
            "seed": self._seed,
            "classes": list(self.class_names),
            "splits": {
                split.value: {
                    name: sum(row.label == label for row in rows) for label, name in enumerate(self.class_names)
                }
                for split, rows in self._rows.items()
            },
            "missing": {},
            "grouped_by": "nothing: each image is a group of its own",
            "smaller": self._smaller,
            "notes": notes,
        }

    def _units(self, plan: str) -> dict[Split, list[str]]:
        """The units of the subset, all of them in the cache afterwards."""
        found = self._planned(plan)
        if found is not None:
            return found
        with self._cache.locked(plan):
            found = self._planned(plan)
            if found is not None:
                return found
            found = {split: self._fetch(split) for split in Split}
            content = {"units": {split.value: units for split, units in found.items()}}
            self._cache.store(plan, json.dumps(content).encode())
        return found

    def _planned(self, plan: str) -> dict[Split, list[str]] | None:
        """What an earlier opening has planned, if all of it is still there."""
        try:
            planned = json.loads(self._cache.path(plan).read_bytes())["units"]
            found = {split: [str(unit) for unit in planned[split.value]] for split in Split}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        whole = all(self._stored(split, unit) is not None for split, units in found.items() for unit in units)
        return found if whole else None

    def _fetch(self, split: Split) -> list[str]:
        """Units of a split until there are enough images; those that are in the cache are not read again."""
        wanted, kept, tenth = self._counts[split], 0, 0
        taken: list[str] = []
        try:
            for unit in self._records.units(split, self._seed):
                stored = self._stored(split, unit)
                if stored is None:
                    stored = self._prepare(split, unit)
                taken.append(unit)
                kept += len(stored.ids)
                if kept >= wanted:
                    break
                if 10 * kept // wanted > tenth:
                    tenth = 10 * kept // wanted
                    _log.info("%s: %d of %d %s images", self.name, kept, wanted, split.value)
        except UnreachableError as error:
            raise EnvironmentProblem(
                "download-failed",
                f"{self.name}: the {split.value} images cannot be fetched",
                why=printable(error, 400),
                next=f"Run the same command again: {kept} of {wanted} images of the split are kept.",
            ) from error
        return taken

    def _prepare(self, split: Split, unit: str) -> _Unit:
        """Read, decode and keep a unit: first the squares, then what they are, which says that both are whole."""
        ids: list[str] = []
        labels: list[int] = []
        sides: list[int] = []
        squares: list[NDArray[np.uint8]] = []
        left_out: Counter[str] = Counter()
        for record in self._records.read(split, unit):
            if record.label is None:
                left_out["no label"] += 1
                continue
            try:
                image = images.decode(record.content)
            except images.UnreadableError:
                left_out["not readable"] += 1
                continue
            squares.append(views.resize(image, SIDE))
            ids.append(record.id)
            labels.append(record.label)
            sides.append(min(image.shape[:2]))
        stacked = np.stack(squares) if squares else np.empty((0, SIDE, SIDE, 3), np.uint8)
        made = _Unit(tuple(ids), tuple(labels), tuple(sides), hashlib.sha256(stacked.data).hexdigest(), dict(left_out))
        name = self._name(split, unit)
        self._cache.discard(f"{name}.json")
        content = io.BytesIO()
        np.save(content, stacked, allow_pickle=False)
        self._cache.store(f"{name}.npy", content.getvalue())
        record_of = {"ids": ids, "labels": labels, "sides": sides, "sha256": made.sha256, "left_out": left_out}
        self._cache.store(f"{name}.json", json.dumps(record_of).encode())
        return made

    def _stored(self, split: Split, unit: str) -> _Unit | None:
        """A unit of the cache; None where it is not there, or not sound."""
        try:
            values = json.loads(self._cache.path(f"{self._name(split, unit)}.json").read_bytes())
            found = _Unit(
                tuple(str(one) for one in values["ids"]),
                tuple(int(one) for one in values["labels"]),
                tuple(int(one) for one in values["sides"]),
                str(values["sha256"]),
                {str(why): int(count) for why, count in values["left_out"].items()},
            )
            squares = self._squares(split, unit)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
            return None
        sound = squares.dtype == np.uint8 and squares.shape == (len(found.ids), SIDE, SIDE, 3)
        return found if sound and len(found.labels) == len(found.sides) == len(found.ids) else None

    def _squares(self, split: Split, unit: str) -> NDArray[np.uint8]:
        path = self._cache.path(f"{self._name(split, unit)}.npy")
        found: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
        return found

    def _name(self, split: Split, unit: str) -> str:
        return f"{self._folder}/{split.value}/{unit}"

    def _order(self, split: Split, units: Sequence[str], digest: hashlib._Hash) -> list[_Row]:
        """The split's images as they are shown: the first that the units have, then mixed by the seed."""
        rows: dict[str, _Row] = {}
        for unit in units:
            stored = self._stored(split, unit)
            if stored is None:  # removed by somebody since it was looked at
                raise EnvironmentProblem(
                    "cache-not-writable",
                    f"the cache has lost a part of {self.name}",
                    next="Run again; if it comes back, choose another cache folder with DANAS_CACHE.",
                )
            digest.update(f"{split.value} {unit} {stored.sha256}\n".encode())
            self._left_out.update(stored.left_out)
            for place, (name, label, side) in enumerate(zip(stored.ids, stored.labels, stored.sides, strict=True)):
                rows.setdefault(name, _Row(f"{split.value}/{name}", label, side, unit, place))
        chosen = list(rows.values())[: self._counts[split]]
        chosen.sort(key=lambda row: hashlib.sha256(f"{self._seed} {row.id}".encode()).digest())
        digest.update(json.dumps([[row.id, row.label] for row in chosen]).encode())
        return chosen

    def _check_counts(self) -> None:
        count = len(self._rows[Split.TRAIN])
        if count < LEAST_TRAINING_IMAGES:
            left_out = "".join(f"; {number} were left out: {why}" for why, number in sorted(self._left_out.items()))
            raise UsageError(
                "too-few-images",
                f"the train split of {self.name} has {count} images",
                why=f"A batch takes {LEAST_TRAINING_IMAGES}{left_out}.",
                next=f"Take more: --data {self.name}:images={DEFAULT_IMAGES}.",
            )
