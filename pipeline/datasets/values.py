"""What every source of images gives: splits, views and the DatasetSource protocol."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.genotype import DataConfig

#: A training split must fill one batch of this many images.
LEAST_TRAINING_IMAGES = 32


class Split(StrEnum):
    """What an image is for: fitting weights, choosing among candidates, or the one final score.

    In a run the last is reached through :class:`pipeline.datasets.guard.Guarded` alone.
    """

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class View:
    """One split as a DataConfig sees it.

    Attributes:
        images: uint8, [images, height, width, channels]; a read-only memory map of the cache or an array.
        labels: int64, [images]; indices into ``class_names``.
        ids: Names the images within their source; stable, and printable as they are.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


@runtime_checkable
class DatasetSource(Protocol):
    """Labelled images in two or three splits.

    The order of the images within a split is fixed by the seed and mixes the classes, so that the first N images of a
    split are a fair sample of it. Images of one group (the same frame, drive or person) are not independent: intervals
    are bootstrapped over groups, and no source tears a group between splits that it makes itself.
    """

    @property
    def name(self) -> str:
        """Short and printable: ``sample`` or the folder's name."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Two or more; the label of an image is an index into them."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 (64 hexadecimal digits) over contents, labels, splits, order and parameters."""
        ...

    @property
    def splits(self) -> frozenset[Split]:
        """TRAIN and VALIDATION always; TEST where there is one."""
        ...

    def groups(self, split: Split) -> NDArray[np.int64]:
        """The group of each image, [images], in the order of the view; numbers are unique over all splits.

        Raises:
            UsageError: ``no-such-split``.
        """
        ...

    def view(self, split: Split, data: DataConfig) -> View:
        """The split's images at this resolution and colour: decoded and resized once, then cached on disk.

        Raises:
            UsageError: ``no-such-split``, ``unreadable-image``, ``folder-changed``.
            EnvironmentProblem: ``disk-full``, ``cache-not-writable``.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Plain values for JSON: source, classes, counts per split and class, how labelled, what is missing and why.

        A source that knows the sizes of its images has ``smaller`` as well (:mod:`pipeline.datasets.quality`).
        """
        ...
