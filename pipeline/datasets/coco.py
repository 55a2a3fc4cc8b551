"""Visual Wake Words (arXiv 1906.05721), made from COCO 2017: does a picture show a person that is not too small?

An image is of class ``person`` where the area of at least one person in it is more than a share of the image's area,
0.5 % as published; all others are of class ``no_person``. Areas are the annotations' own (``area``, of the
segmentation), crowds included, as the published tool has it.

COCO's train2017 gives train and validation (a tenth of it, drawn by the images' numbers), val2017 the test split.
Annotations and images come from a folder, or are downloaded: 253 MB of annotations, and only the images of the subset.

Source: the paper, section 3; ``build_visualwakewords_data`` of the TensorFlow models' repository for the rule. Licence:
annotations CC BY 4.0; images under Flickr's terms.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pipeline.datasets import downloads
from pipeline.datasets.cache import Cache
from pipeline.datasets.images import MOST_BYTES
from pipeline.datasets.prepared import Record, UnreachableError
from pipeline.datasets.values import Split
from pipeline.errors import EnvironmentProblem, UsageError, printable

#: The published share of the image's area.
AREA = 0.005
_HOST = "http://images.cocodataset.org"
ARCHIVE = f"{_HOST}/annotations/annotations_trainval2017.zip"
ARCHIVE_HASH = "md5:f4bbac642086de4f52a3fdda2de5fa2c"
_SETS = ("train2017", "val2017")
_FILE_NAME = re.compile(r"^[A-Za-z0-9_-]{1,100}\.(?:jpg|jpeg|png)$")
_BLOCK = 256
_VERSION = 1
_VALIDATION_OF = 10  # one block of so many
_CONNECTIONS = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Picture:
    """An image of COCO: its file, and the largest share of its area that a person takes."""

    file_name: str
    person: float


class Place(Protocol):
    """Where annotations and images are."""

    def annotations(self, of: str) -> bytes:
        """``instances_OF.json``.

        Raises:
            UnreachableError: It cannot be had now.
            UsageError: ``no-such-folder``.
            EnvironmentProblem: What the cache raises.
        """

    def image(self, of: str, file_name: str) -> bytes:
        """An image's file.

        Raises:
            UnreachableError: It cannot be had now.
        """


class Folder:
    """COCO as people unpack it: ``annotations/``, and ``train2017/`` and ``val2017/`` beside it or in ``images/``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def annotations(self, of: str) -> bytes:
        """The file of the folder."""
        try:
            return (self._path / "annotations" / f"instances_{of}.json").read_bytes()
        except OSError as error:
            raise UsageError(
                "no-such-folder",
                f"{printable(self._path)} does not hold COCO's annotations/instances_{of}.json",
                why=printable(error.strerror or error),
                next="Give the folder with annotations/, train2017/ and val2017/, or leave folder= out to download.",
            ) from error

    def image(self, of: str, file_name: str) -> bytes:
        """The file of the folder; one that is not there or huge is unreadable, not unreachable."""
        for folder in (self._path / of, self._path / "images" / of):
            path = folder / file_name
            if path.is_file():
                return path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
        return b""


class Download:
    """COCO's own server; the annotations are kept in the cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def annotations(self, of: str) -> bytes:
        """From the cache, or out of the archive with the pinned hash."""
        path = self._cache.path(f"sources/coco/instances_{of}.json")
        if path.is_file():
            return path.read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            _log.info("downloading COCO's annotations (253 MB)")
            archive = Path(folder) / "annotations.zip"
            archive.write_bytes(_get(ARCHIVE, ARCHIVE_HASH))
            try:
                with zipfile.ZipFile(archive) as opened:
                    for one in _SETS:
                        content = opened.read(f"annotations/instances_{one}.json")
                        self._cache.store(f"sources/coco/instances_{one}.json", content)
            except (zipfile.BadZipFile, KeyError, OSError) as error:
                raise UnreachableError(f"{ARCHIVE} is damaged: {error}") from error
        return path.read_bytes()

    def image(self, of: str, file_name: str) -> bytes:
        """From the server."""
        return _get(f"{_HOST}/{of}/{file_name}")


class VisualWakeWords:
    """The records; a unit is a block of images, drawn by their numbers.

    Args:
        place: Where COCO is.
        area: A person takes more than this share of the image's area.
        cache: For what is taken of the annotations.

    Raises:
        UsageError: ``no-such-folder``, ``bad-annotations``.
        EnvironmentProblem: ``download-failed``, ``disk-full``, ``cache-not-writable``.
    """

    name = "visual-wake-words"
    class_names = ("no_person", "person")

    def __init__(self, place: Place, *, area: float = AREA, cache: Cache) -> None:
        self._place = place
        self._area = area
        try:
            found = {of: _pictures(place.annotations(of), of, cache) for of in _SETS}
        except UnreachableError as error:
            raise EnvironmentProblem(
                "download-failed",
                "COCO's annotations cannot be fetched",
                why=printable(error, 400),
                next="Run the same command again, or give a folder that has them: visual-wake-words:folder=PATH.",
            ) from error
        self._blocks = _blocks(found)
        self.identity: Mapping[str, Any] = {
            "area": area,
            "annotations": {of: sha256 for of, (_, sha256) in found.items()},
        }
        self.about: Mapping[str, Any] = {
            "title": "Visual Wake Words, arXiv 1906.05721, of COCO 2017",
            "license": "annotations CC BY 4.0; images under Flickr's terms",
            "labelled": f"person where one takes more than {area:.2%} of the image, by COCO's annotations",
            "split_by": "COCO: nine tenths of train2017, one tenth of it, val2017",
        }

    def units(self, split: Split, seed: int) -> Iterator[str]:
        """Blocks in drawn order. See :class:`Records`."""
        names = sorted(self._blocks[split])
        rng = np.random.default_rng([seed, list(Split).index(split)])
        for number in rng.permutation(len(names)).tolist():
            yield names[number]

    def read(self, split: Split, unit: str) -> Iterator[Record]:
        """The images of a block. See :class:`Records`."""
        of = unit.partition(".")[0]
        pictures = self._blocks[split][unit]
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            contents = list(pool.map(lambda one: self._place.image(of, one.file_name), pictures))
        for picture, content in zip(pictures, contents, strict=True):
            yield Record(picture.file_name, int(picture.person > self._area), content)


def _blocks(found: Mapping[str, tuple[list[_Picture], str]]) -> dict[Split, dict[str, list[_Picture]]]:
    """The images of each split in blocks: by the hash of their names, which has nothing to do with what they show."""
    made: dict[Split, dict[str, list[_Picture]]] = {split: {} for split in Split}
    for of, (pictures, _) in found.items():
        order = sorted(pictures, key=lambda one: hashlib.sha256(one.file_name.encode()).digest())
        parts = {Split.TEST: order}
        if of == _SETS[0]:
            tenth = len(order) // _VALIDATION_OF
            parts = {Split.VALIDATION: order[:tenth], Split.TRAIN: order[tenth:]}
        for split, part in parts.items():
            for start in range(0, len(part), _BLOCK):
                made[split][f"{of}.{split.value}.{start // _BLOCK:05d}"] = part[start : start + _BLOCK]
    return made


def _pictures(content: bytes, of: str, cache: Cache) -> tuple[list[_Picture], str]:
    """What is needed of the annotations, and their SHA-256; kept, since reading all of them takes half a minute.

    Raises:
        UsageError: ``bad-annotations``.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    kept = f"sources/coco/v{_VERSION}/{sha256[:32]}.json"
    try:
        rows = json.loads(cache.path(kept).read_bytes())
        return [_Picture(str(name), float(person)) for name, person in rows], sha256
    except (OSError, ValueError, TypeError):
        pass
    try:
        found = _read(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError) as error:
        raise UsageError(
            "bad-annotations",
            f"instances_{of}.json is not COCO's",
            why=printable(f"{type(error).__name__}: {error}", 200),
            next="Unpack COCO's annotations_trainval2017.zip again.",
        ) from error
    cache.store(kept, json.dumps([[one.file_name, one.person] for one in found]).encode())
    return found, sha256


def _read(annotations: dict[str, Any]) -> list[_Picture]:
    people = {category["id"] for category in annotations["categories"] if category["name"] == "person"}
    if not people:
        raise ValueError("there is no category person")
    areas = {image["id"]: image["height"] * image["width"] for image in annotations["images"]}
    largest = dict.fromkeys(areas, 0.0)
    for annotation in annotations["annotations"]:
        if annotation["category_id"] in people and annotation["image_id"] in areas:
            image = annotation["image_id"]
            largest[image] = max(largest[image], float(annotation["area"]) / areas[image])
    found = []
    for image in annotations["images"]:
        name = str(image["file_name"])
        if not _FILE_NAME.match(name):  # it becomes a part of a path and of an address
            raise ValueError(f"{name!r} is no name of an image of COCO")
        found.append(_Picture(name, largest[image["id"]]))
    return found


def _get(address: str, known_hash: str | None = None) -> bytes:
    try:
        return downloads.get(address, known_hash)
    except (OSError, ValueError) as error:
        raise UnreachableError(f"{address}: {error}") from error
