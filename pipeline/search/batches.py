"""Training batches as a function of (seed, step): nothing to save, nothing to restore.

A batch can be asked for at several data configurations at once: the same images, each cut, mirrored and brightened in
the same way, at every resolution and in every colour. Subnets of different resolutions then learn from, and are
distilled on, one and the same picture.

Pillow resamples: its bilinear filter takes a box with fractions, works in integers (the same bits on every machine) and
leaves Python's lock free, so that a background thread can prepare batches while another trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.quality import MOST_TO_ONE
from pipeline.genotype import DataConfig

_ORDER, _CHANGE = 1, 2
#: Share of an image's area that a crop keeps, drawn evenly.
CROP_AREA = (0.6, 1.0)
#: Factor on all values of an image, drawn evenly.
BRIGHTNESS = (0.8, 1.2)


@dataclass(frozen=True)
class Changes:
    """What is done to each image of a batch; the first axis of every array is the image.

    Attributes:
        side: Side of the square crop as a share of the image's, [images].
        top: Upper edge of the crop as a share of the image's height, [images].
        left: Left edge, as a share of its width, [images].
        mirrored: Whether left and right are exchanged, [images].
        brightness: Factor on all values, [images].
    """

    side: NDArray[np.float64]
    top: NDArray[np.float64]
    left: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    brightness: NDArray[np.float64]

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator) -> Changes:
        """Changes for ``count`` images."""
        side = np.sqrt(rng.uniform(*CROP_AREA, count))
        room = 1 - side
        return cls(
            side=side,
            top=room * rng.random(count),
            left=room * rng.random(count),
            mirrored=rng.random(count) < 0.5,
            brightness=rng.uniform(*BRIGHTNESS, count),
        )


@dataclass(frozen=True)
class Batches:
    """Endless augmented batches of a set of labelled images; every epoch in a new order, the last batch kept full.

    Where one class is so rare that balanced accuracy counts (:data:`pipeline.datasets.quality.MOST_TO_ONE`), the
    classes take turns, each in epochs of its own: otherwise a network learns to name the frequent one, and no more.

    Args:
        views: The same images as each data configuration sees them: uint8 [N, H, W, C].
        labels: int64 [N].
        classes: Number of classes.
        size: Images a batch.
        seed: Words of the random seed.
    """

    views: Mapping[DataConfig, NDArray[np.uint8]]
    labels: NDArray[np.int64]
    classes: int
    size: int
    seed: Sequence[int]

    def __post_init__(self) -> None:
        if not self.views or self.size < 1 or not len(self.labels):
            raise ValueError("batches need images and a size")
        for data, images in self.views.items():
            if images.shape != (len(self.labels), *data.shape):
                raise ValueError(f"images of {data.id} are {images.shape}, not {(len(self.labels), *data.shape)}")

    def indices(self, step: int) -> NDArray[np.int64]:
        """Which images batch ``step`` has: a walk through permutation after permutation."""
        first = step * self.size
        if self._in_turn is not None:
            return self._turns(np.arange(first, first + self.size), self._in_turn)
        count = len(self.labels)
        found: list[NDArray[np.int64]] = []
        position = first
        while position < first + self.size:
            epoch, start = divmod(position, count)
            order = np.random.default_rng([*self.seed, _ORDER, epoch]).permutation(count)
            part = order[start : start + first + self.size - position]
            found.append(part)
            position += len(part)
        return np.concatenate(found)

    @cached_property
    def _in_turn(self) -> tuple[NDArray[np.int64], ...] | None:
        """The images of each class, where classes take turns."""
        of_class = [np.flatnonzero(self.labels == label) for label in np.unique(self.labels)]
        counts = [len(one) for one in of_class]
        return tuple(of_class) if max(counts) > MOST_TO_ONE * min(counts) else None

    def _turns(self, places: NDArray[np.int64], in_turn: tuple[NDArray[np.int64], ...]) -> NDArray[np.int64]:
        """The images at some places of the walk on which classes take turns."""
        found = np.empty_like(places)
        turns, numbers = np.divmod(places, len(in_turn))
        for number, images in enumerate(in_turn):
            epochs, within = np.divmod(turns, len(images))
            for epoch in np.unique(epochs[numbers == number]):
                order = np.random.default_rng([*self.seed, _ORDER, epoch, 1 + number]).permutation(len(images))
                here = (numbers == number) & (epochs == epoch)
                found[here] = images[order[within[here]]]
        return found

    def __call__(
        self, step: int, datas: Sequence[DataConfig]
    ) -> tuple[dict[DataConfig, NDArray[np.uint8]], NDArray[np.float32]]:
        """A step's images at each of ``datas``, uint8 [size, H, W, C], and its one-hot targets [size, classes].

        Raises:
            KeyError: A data configuration that there is no view of.
        """
        chosen = self.indices(step)
        changes = Changes.draw(self.size, np.random.default_rng([*self.seed, _CHANGE, step]))
        targets = np.zeros((self.size, self.classes), np.float32)
        targets[np.arange(self.size), self.labels[chosen]] = 1
        return {data: augment(self.views[data][chosen], changes) for data in dict.fromkeys(datas)}, targets

    def of(self, data: DataConfig) -> SingleBatches:
        """The same batches at one data configuration."""
        return SingleBatches(self, data)


@dataclass(frozen=True)
class SingleBatches:
    """:class:`Batches` at one data configuration alone: step -> images and targets."""

    batches: Batches
    data: DataConfig

    def __call__(self, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Images uint8 [size, H, W, C] and one-hot targets [size, classes] of a step."""
        images, targets = self.batches(step, (self.data,))
        return images[self.data], targets


def augment(images: NDArray[np.uint8], changes: Changes) -> NDArray[np.uint8]:
    """Each image cut to its square and brought back to its size, mirrored or not, and brightened or darkened.

    Args:
        images: uint8 [N, H, W, C], C 1 or 3.
        changes: One of each for every image.

    Returns:
        uint8 [N, H, W, C].
    """
    count, height, width, channels = images.shape
    levels = np.arange(256) * changes.brightness[:, None]
    tables = np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
    changed = np.empty_like(images)
    for number in range(count):
        picture = Image.fromarray(images[number, :, :, 0] if channels == 1 else images[number])
        top, left, side = changes.top[number], changes.left[number], changes.side[number]
        # A sum of shares may pass 1 by its last bit, which Pillow would refuse.
        box = (left * width, top * height, min(left + side, 1.0) * width, min(top + side, 1.0) * height)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR, box=box)
        picture = picture.point(tables[number].tolist() * channels)
        seen = np.asarray(picture)[:, ::-1] if changes.mirrored[number] else np.asarray(picture)
        changed[number] = seen.reshape(height, width, channels)
    return changed
