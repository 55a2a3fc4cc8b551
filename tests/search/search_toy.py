"""A tiny data set, a tiny space and a cheap estimate, for tests of the search."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import Split, View
from pipeline.estimate.model import Estimate, Item, Limits
from pipeline.genotype import Colour, DataConfig, Genotype, architecture
from pipeline.search import PaperSpace, ScoringSettings, SearchConfig, TrainingSettings

COUNTS = {Split.TRAIN: 96, Split.VALIDATION: 48}
MONO, RGB = DataConfig(32, Colour.MONO), DataConfig(32, Colour.RGB)
SPACE = PaperSpace(data=(MONO, RGB), depths=((0, 0, 0, 0, 0), (1, 0, 0, 0, 0), (2, 1, 0, 0, 0)), alphas=(0.1, 0.2))
WIDE = Limits(ram_bytes=10**9, flash_bytes=10**9)


def estimate(genotype: Genotype) -> Estimate:
    """Grows with every axis; the figures mean nothing."""
    weights = sum(block.hidden * (block.inputs + block.outputs + block.kernel**2) for block in architecture(genotype))
    pixels = genotype.data.resolution**2
    return Estimate(
        ram=(Item(name="arena", bytes=pixels * (8 + genotype.data.channels)),),
        flash=(Item(name="constants", bytes=weights),),
        stack_reserve=1024,
        macs=weights * pixels // 64,
    )


class ToySource:
    """Noise, brighter in the middle for class 1."""

    name = "toy"
    class_names = ("dark", "bright")
    fingerprint = "0" * 64
    splits = frozenset({Split.TRAIN, Split.VALIDATION})

    def groups(self, split: Split) -> NDArray[np.int64]:
        """Each image is its own group."""
        return np.arange(COUNTS[split])

    def view(self, split: Split, data: DataConfig) -> View:
        """Drawn, not read."""
        count = COUNTS[split]
        rng = np.random.default_rng([count, data.resolution, data.channels])
        labels = rng.integers(0, 2, count)
        images = rng.integers(0, 160, (count, *data.shape)).astype(np.uint8)
        middle = slice(data.resolution // 4, 3 * data.resolution // 4)
        images[labels == 1, middle, middle] += 80
        return View(images, labels, tuple(f"{split}-{number}" for number in range(count)))

    def describe(self) -> dict[str, Any]:
        """Nothing to say."""
        return {}


def config(**changes: Any) -> SearchConfig:
    """A search of seconds."""
    values: dict[str, Any] = {
        "space": SPACE,
        "limits": WIDE,
        "training": TrainingSettings(steps=12, batch=16, checkpoint_every=4),
        "scoring": ScoringSettings(calibration_images=32, fine_tuning_steps=2),
        "evaluations": 4,
        "seed": 3,
    }
    return SearchConfig(**{**values, **changes})
