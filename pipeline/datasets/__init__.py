"""Labelled images for the search: where they come from, how they are split, and what a DataConfig sees of them."""

from __future__ import annotations

from pathlib import Path

from pipeline.datasets import quality, video
from pipeline.datasets.cache import Cache
from pipeline.datasets.folder import FolderSource
from pipeline.datasets.sample import SampleSource
from pipeline.datasets.values import LEAST_TRAINING_IMAGES, DatasetSource, Split, View
from pipeline.errors import UsageError, printable

__all__ = [
    "LEAST_TRAINING_IMAGES",
    "SOURCES",
    "DatasetSource",
    "FolderSource",
    "SampleSource",
    "Split",
    "View",
    "open_source",
]

#: What :func:`open_source` takes.
SOURCES = ("sample", "folder:PATH")


def open_source(spec: str, *, seed: int = 0, group_by: str | None = None, cache: Path | None = None) -> DatasetSource:
    """Open a source of images.

    Args:
        spec: ``sample``, a pedestrian scene for smoke tests, or ``folder:PATH``.
        seed: Draws splits, order and, for the sample, the crops.
        group_by: For folders: a regular expression that names each file's group; see :class:`FolderSource`.
        cache: Folder for prepared images; by default ``$DANAS_CACHE`` or the user's cache folder.

    Raises:
        UsageError: ``unknown-data-source``, and what the source raises.
        EnvironmentProblem: ``missing-extra``, ``sample-not-available``, ``disk-full``, ``cache-not-writable``.
    """
    source = _opened(spec, seed, group_by, Cache(cache))
    quality.demand(source)
    return source


def _opened(spec: str, seed: int, group_by: str | None, kept: Cache) -> DatasetSource:
    kind, _, rest = spec.partition(":")
    if spec == "sample":
        if group_by is not None:
            raise UsageError(
                "bad-group-by",
                "the sample has groups of its own",
                why="It is grouped by the second of its video.",
                next="Leave --group-by out, or use --data folder:PATH.",
            )
        return SampleSource(
            lambda: video.vtest(kept),
            video_fingerprint=video.SHA256,
            seed=seed,
            cache=kept,
            title="pedestrians on a campus, OpenCV's vtest.avi",
        )
    if kind == "folder" and rest:
        return FolderSource(Path(rest).expanduser(), seed=seed, group_by=group_by, cache=kept)
    raise UsageError(
        "unknown-data-source",
        f"there is no data source {printable(spec)!r}",
        why=f"Possible are {' and '.join(SOURCES)}.",
        next="Use --data sample or --data folder:PATH.",
    )
