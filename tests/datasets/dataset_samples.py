"""Small made-up data for the data sets' tests: a folder of images and a video with figures whose places are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.scene import Parameters

#: Suits :class:`Walkers`.
PARAMETERS = Parameters(
    train=((0.0, 5.0),),
    validation=((6.0, 8.0),),
    test=((9.0, 11.0),),
    train_crops=80,
    validation_crops=24,
    test_crops=24,
    sides=(80, 140),
    windows_per_person=3,
)


@dataclass(frozen=True)
class Walkers:
    """Dark upright figures that walk over a fixed, textured ground; every other second the ground is empty.

    Attributes:
        count: Frames, at ten a second.
    """

    count: int = 110
    height: int = 200
    width: int = 320
    figure: tuple[int, int] = (20, 54)  # width, height

    @property
    def fingerprint(self) -> str:
        return f"walkers-{self.count}"

    def places(self, frame: int) -> list[tuple[int, int]]:
        """Upper left corners of the figures."""
        if frame // 10 % 2:
            return []
        return [(10 + 7 * frame % 280, 30), (10 + 5 * frame % 280, 110)]

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        generator = np.random.default_rng(5)
        ground = generator.integers(120, 180, (self.height, self.width, 3)).astype(np.uint8)
        for number in range(self.count):
            frame = ground + generator.integers(0, 6, ground.shape).astype(np.uint8)
            for x, y in self.places(number):
                frame[y : y + self.figure[1], x : x + self.figure[0]] = 20
            yield frame


def write_image(path: Path, *, shade: int, seed: int, size: tuple[int, int] = (24, 20)) -> None:
    """A noisy image around a shade; no two seeds give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-20, 20, (size[1], size[0], 3))
    Image.fromarray(np.clip(noise + shade, 0, 255).astype(np.uint8)).save(path)


def write_folder(
    root: Path,
    *,
    classes: Sequence[str] = ("cat", "dog"),
    splits: Sequence[str] = ("",),
    groups: int = 12,
    per_group: int = 3,
    suffix: str = ".png",
) -> Path:
    """A folder of images named ``gGROUP_INDEX``, the same groups in every class.

    Args:
        splits: Folder names between root and classes; ``""`` for none.
    """
    seed = 0
    for split in splits:
        for label, name in enumerate(classes):
            for group in range(groups):
                for index in range(per_group):
                    seed += 1
                    path = root / split / name / f"g{split[:2]}{group:02d}_{index}{suffix}"
                    write_image(path, shade=60 + 40 * label, seed=seed)
    return root
