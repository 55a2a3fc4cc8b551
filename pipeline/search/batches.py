"""Training batches as a function of (seed, step): nothing to save, nothing to restore.

Augmentation is light and cheap, for small images on few cores: mirror, shift by up to a tenth, brightness and contrast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ORDER, _CHANGE = 1, 2
_SHIFT = 0.1
_CONTRAST = 0.2
_BRIGHTNESS = 20.0


@dataclass(frozen=True)
class Batches:
    """Endless augmented batches of a set of labelled images; every epoch in a new order, the last batch kept full.

    Args:
        images: uint8 [N, H, W, C].
        labels: int64 [N].
        classes: Number of classes.
        size: Images a batch.
        seed: Words of the random seed.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: int
    size: int
    seed: Sequence[int]

    def indices(self, step: int) -> NDArray[np.int64]:
        """Which images batch ``step`` has: a walk through permutation after permutation."""
        count = len(self.labels)
        first = step * self.size
        found: list[NDArray[np.int64]] = []
        position = first
        while position < first + self.size:
            epoch, start = divmod(position, count)
            order = np.random.default_rng([*self.seed, _ORDER, epoch]).permutation(count)
            part = order[start : start + first + self.size - position]
            found.append(part)
            position += len(part)
        return np.concatenate(found)

    def __call__(self, step: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Images uint8 [size, H, W, C] and one-hot targets [size, classes] of a step."""
        chosen = self.indices(step)
        rng = np.random.default_rng([*self.seed, _CHANGE, step])
        targets = np.zeros((self.size, self.classes), np.float32)
        targets[np.arange(self.size), self.labels[chosen]] = 1
        return augment(np.asarray(self.images[chosen]), rng), targets


def augment(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Each image mirrored or not, shifted (edges repeated), and changed in contrast and brightness."""
    count, height, width, _ = images.shape
    reach_y, reach_x = (max(1, round(side * _SHIFT)) for side in (height, width))
    rows = np.clip(np.arange(height) + rng.integers(-reach_y, reach_y + 1, (count, 1)), 0, height - 1)
    columns = np.clip(np.arange(width) + rng.integers(-reach_x, reach_x + 1, (count, 1)), 0, width - 1)
    mirrored = rng.random(count) < 0.5
    columns[mirrored] = width - 1 - columns[mirrored]
    moved = images[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]].astype(np.float32)
    contrast = rng.uniform(1 - _CONTRAST, 1 + _CONTRAST, (count, 1, 1, 1)).astype(np.float32)
    brightness = rng.uniform(-_BRIGHTNESS, _BRIGHTNESS, (count, 1, 1, 1)).astype(np.float32)
    moved -= 127.5
    moved *= contrast
    moved += brightness + 127.5
    changed: NDArray[np.uint8] = np.rint(np.clip(moved, 0, 255, out=moved), out=moved).astype(np.uint8)
    return changed
