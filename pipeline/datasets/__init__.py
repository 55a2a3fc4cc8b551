"""Labelled images for the search: where they come from, how they are split, and what a DataConfig sees of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.datasets import quality, specs, video
from pipeline.datasets.cache import Cache
from pipeline.datasets.folder import FolderSource
from pipeline.datasets.prepared import DEFAULT_IMAGES, PreparedSource, Records
from pipeline.datasets.sample import SampleSource
from pipeline.datasets.values import LEAST_TRAINING_IMAGES, DatasetSource, Split, View
from pipeline.errors import UsageError, printable

__all__ = [
    "LEAST_TRAINING_IMAGES",
    "SOURCES",
    "DatasetSource",
    "FolderSource",
    "PreparedSource",
    "SampleSource",
    "Split",
    "View",
    "open_source",
]

#: What :func:`open_source` takes.
SOURCES = ("sample", "drawn", "folder:PATH", "wake-vision", "wake-vision-tfds:folder=PATH", "visual-wake-words")


def open_source(spec: str, *, seed: int = 0, group_by: str | None = None, cache: Path | None = None) -> DatasetSource:
    """Open a source of images.

    Args:
        spec: ``sample``, a pedestrian scene for smoke tests, ``drawn``, pictures that the program draws itself,
            ``folder:PATH``, or a subset of a public data set (docs/data.md): ``wake-vision``, ``wake-vision-tfds`` or
            ``visual-wake-words`` with their options.
        seed: Draws splits, order, subsets and, for the sample, the crops.
        group_by: For folders: a regular expression that names each file's group; see :class:`FolderSource`.
        cache: Folder for prepared images; by default ``$DANAS_CACHE`` or the user's cache folder.

    Raises:
        UsageError: ``unknown-data-source``, ``bad-data-option``, and what the source raises.
        EnvironmentProblem: ``missing-extra``, ``sample-not-available``, ``download-failed``, ``disk-full``,
            ``cache-not-writable``.
    """
    source = _opened(spec, seed, group_by, Cache(cache))
    quality.demand(source)
    return source


def _opened(spec: str, seed: int, group_by: str | None, kept: Cache) -> DatasetSource:
    kind, _, rest = spec.partition(":")
    if kind == "folder" and rest:
        return FolderSource(Path(rest).expanduser(), seed=seed, group_by=group_by, cache=kept)
    if (spec == "sample" or kind in _SUBSETS) and group_by is not None:
        raise UsageError(
            "bad-group-by",
            f"{kind} has groups of its own",
            why="The sample is grouped by the second of its video; in a subset each image is a group.",
            next="Leave --group-by out, or use --data folder:PATH.",
        )
    if spec == "sample":
        return SampleSource(
            lambda: video.vtest(kept),
            video_fingerprint=video.SHA256,
            seed=seed,
            cache=kept,
            title="pedestrians on a campus, OpenCV's vtest.avi",
        )
    if kind in _SUBSETS:
        records, images = _SUBSETS[kind](rest, kept)
        return PreparedSource(records, training_images=images, seed=seed, cache=kept)
    raise UsageError(
        "unknown-data-source",
        f"there is no data source {printable(spec)!r}",
        why=f"Possible are {', '.join(SOURCES)}.",
        next="Use --data sample or --data folder:PATH.",
    )


_IMAGES: dict[str, Callable[[str], Any]] = {"images": specs.count}


def _wake_vision(text: str, _: Cache) -> tuple[Records, int]:
    from pipeline.datasets import wake_vision

    given = specs.options("wake-vision", text, _IMAGES | {"folder": Path})
    files = wake_vision.Folder(given["folder"].expanduser()) if "folder" in given else wake_vision.Hub()
    return wake_vision.WakeVision(files), given.get("images", DEFAULT_IMAGES)


def _wake_vision_tfds(text: str, _: Cache) -> tuple[Records, int]:
    from pipeline.datasets import wake_vision_tfds

    known = _IMAGES | {"train": specs.one_of(*wake_vision_tfds.TRAINING), "folder": Path}
    given = specs.options("wake-vision-tfds", text, known)
    folder = given.get("folder", Path("~/tensorflow_datasets")).expanduser()
    made = wake_vision_tfds.WakeVisionTfds(folder, training=given.get("train", wake_vision_tfds.TRAINING[0]))
    return made, given.get("images", DEFAULT_IMAGES)


def _visual_wake_words(text: str, kept: Cache) -> tuple[Records, int]:
    from pipeline.datasets import coco

    given = specs.options("visual-wake-words", text, _IMAGES | {"area": specs.share, "folder": Path})
    place = coco.Folder(given["folder"].expanduser()) if "folder" in given else coco.Download(kept)
    made = coco.VisualWakeWords(place, area=given.get("area", coco.AREA), cache=kept)
    return made, given.get("images", DEFAULT_IMAGES)


def _drawn(text: str, _: Cache) -> tuple[Records, int]:
    from pipeline.datasets import drawn

    return drawn.Drawn(), specs.options("drawn", text, _IMAGES).get("images", DEFAULT_IMAGES)


#: Subsets of what is large, or without end, by their names: their records and how many training images are wanted.
_SUBSETS: dict[str, Callable[[str, Cache], tuple[Records, int]]] = {
    "drawn": _drawn,
    "wake-vision": _wake_vision,
    "wake-vision-tfds": _wake_vision_tfds,
    "visual-wake-words": _visual_wake_words,
}
