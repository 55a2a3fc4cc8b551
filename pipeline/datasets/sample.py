"""The sample source: person / no-person crops of a video, prepared once and kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import quality, scene
from pipeline.datasets.cache import Cache
from pipeline.datasets.values import Split, View
from pipeline.datasets.views import cached_images
from pipeline.errors import UsageError
from pipeline.genotype import DataConfig

_SCHEMA_VERSION = 1


class SampleSource:
    """Crops of one fixed camera's video. Use :func:`pipeline.datasets.open_source` to get OpenCV's scene.

    Args:
        video: The video; called only where the crops are not in the cache yet.
        video_fingerprint: What the video's ``fingerprint`` is, so that it need not be fetched to find its crops.
        seed: Chooses the crops.
        cache: Where crops and views are kept.
        parameters: How crops are found; the defaults suit vtest.avi.
        title: What the scene is, for :meth:`describe`.

    Raises:
        UsageError: ``bad-video``.
        EnvironmentProblem: ``missing-extra``, ``sample-not-available``, ``disk-full``, ``cache-not-writable``.
    """

    def __init__(
        self,
        video: Callable[[], scene.Video],
        *,
        video_fingerprint: str,
        seed: int,
        cache: Cache,
        parameters: scene.Parameters | None = None,
        title: str,
    ) -> None:
        self._cache = cache
        self._parameters = parameters or scene.Parameters()
        self._title = title
        self._seed = seed
        self._prepared = _prepare(video, video_fingerprint, seed, cache, self._parameters)

    @property
    def name(self) -> str:
        """``sample``."""
        return "sample"

    @property
    def class_names(self) -> tuple[str, ...]:
        """``no_person`` and ``person``."""
        return scene.CLASS_NAMES

    @property
    def fingerprint(self) -> str:
        """SHA-256 over crops, labels, splits and order."""
        return self._prepared.fingerprint

    @property
    def splits(self) -> frozenset[Split]:
        """All three."""
        return frozenset(self._prepared.crops)

    def groups(self, split: Split) -> NDArray[np.int64]:
        """The second of the video an image was taken in, [images]: crops of one second are nearly the same."""
        rate = self._parameters.frames_per_second
        return np.array([int(crop.frame / rate) for crop in self._of(split)], dtype=np.int64)

    def view(self, split: Split, data: DataConfig) -> View:
        """The split under a DataConfig; see :class:`DatasetSource`."""
        crops = self._of(split)

        def images() -> Iterator[NDArray[np.uint8]]:
            return (self._prepared.images[row] for row in self._prepared.rows[split])

        return View(
            images=cached_images(
                cache=self._cache,
                fingerprint=self.fingerprint,
                split=split,
                data=data,
                count=len(crops),
                images=images,
            ),
            labels=np.array([crop.label for crop in crops], dtype=np.int64),
            ids=tuple(crop.id for crop in crops),
        )

    def describe(self) -> dict[str, Any]:
        """Source, counts, how labelled; plain values."""
        parameters = self._parameters
        return {
            "source": "sample",
            "name": self.name,
            "title": self._title,
            "kind": "smoke-test scene, automatically labelled",
            "fingerprint": self.fingerprint,
            "seed": self._seed,
            "classes": list(self.class_names),
            "splits": {
                split.value: {
                    name: sum(crop.label == label for crop in crops) for label, name in enumerate(self.class_names)
                }
                for split, crops in self._prepared.crops.items()
            },
            "missing": {},
            "labelled": (
                "automatically, by difference to the median of the video over time; never checked by hand. One fixed "
                "camera and few people: a high accuracy here says that the pipeline works, not that the network "
                "recognizes people elsewhere."
            ),
            "split_by": "time, in seconds of the video, with gaps: "
            + "; ".join(
                f"{split.value} {', '.join(f'{first:g}-{last:g}' for first, last in parameters.seconds(split))}"
                for split in Split
            ),
            "grouped_by": "second of the video",
            "smaller": quality.smaller([scene.CROP_PIXELS]),
            "notes": ["Every person crop has a partner: the same window of another frame, empty."],
        }

    def _of(self, split: Split) -> list[scene.Crop]:
        try:
            return self._prepared.crops[split]
        except KeyError:
            raise UsageError("no-such-split", f"the sample has no {split} split") from None


class _Prepared:
    """The crops as they lie in the cache.

    On disk they are in the order of the video, because that is how they are cut; each split has an order of its own.
    """

    def __init__(self, crops: dict[Split, list[scene.Crop]], images: NDArray[np.uint8], fingerprint: str) -> None:
        self.crops = crops
        self.images = images
        self.fingerprint = fingerprint
        row_of = {crop: row for row, crop in enumerate(_in_video_order(crops))}
        self.rows = {split: [row_of[crop] for crop in of_split] for split, of_split in crops.items()}


def _in_video_order(crops: dict[Split, list[scene.Crop]]) -> list[scene.Crop]:
    return sorted(crop for of_split in crops.values() for crop in of_split)


def _prepare(
    video: Callable[[], scene.Video], video_fingerprint: str, seed: int, cache: Cache, parameters: scene.Parameters
) -> _Prepared:
    """Take the crops from the cache, or find and cut them: a few seconds."""
    question = json.dumps([_SCHEMA_VERSION, scene.VERSION, video_fingerprint, seed, parameters.as_dict()])
    folder = f"scenes/{hashlib.sha256(question.encode()).hexdigest()[:32]}"
    index = f"{folder}/index.json"
    found = _load(cache, folder, index)
    if found is not None:
        return found
    with cache.locked(index):
        found = _load(cache, folder, index)
        if found is not None:
            return found
        material = video()
        crops = scene.choose(scene.survey(material, parameters), parameters, seed)
        digest = hashlib.sha256(question.encode())
        digest.update(json.dumps(_as_plain(crops)).encode())

        def rows() -> Iterator[NDArray[np.uint8]]:
            for image in scene.cut(material, _in_video_order(crops)):
                digest.update(np.ascontiguousarray(image).data)
                yield image

        # The index is written last and says what the crops must be; without it they count as never written.
        cache.discard(f"{folder}/crops.npy")
        images = cache.array(f"{folder}/crops.npy", _shape(crops), rows)
        content = {"schema_version": _SCHEMA_VERSION, "fingerprint": digest.hexdigest(), "crops": _as_plain(crops)}
        cache.store(index, json.dumps(content).encode())
    return _Prepared(crops, images, digest.hexdigest())


def _load(cache: Cache, folder: str, index: str) -> _Prepared | None:
    """What the cache has, or None where it has nothing, or nothing sound."""
    try:
        content = json.loads(cache.path(index).read_bytes())
        if content["schema_version"] != _SCHEMA_VERSION:
            return None
        crops = {Split(name): [scene.Crop(*values) for values in rows] for name, rows in content["crops"].items()}
        fingerprint = str(content["fingerprint"])
        images: NDArray[np.uint8] = np.load(cache.path(f"{folder}/crops.npy"), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None
    sound = images.shape == _shape(crops) and images.dtype == np.uint8
    return _Prepared(crops, images, fingerprint) if sound else None


def _shape(crops: dict[Split, list[scene.Crop]]) -> tuple[int, ...]:
    return (sum(map(len, crops.values())), scene.CROP_PIXELS, scene.CROP_PIXELS, 3)


def _as_plain(crops: dict[Split, list[scene.Crop]]) -> dict[str, list[list[int]]]:
    return {
        split.value: [[crop.frame, crop.x, crop.y, crop.side, crop.label] for crop in of_split]
        for split, of_split in crops.items()
    }
