"""A guess at a design's fitness from its genes, learned from what was evaluated so far.

Ridge regression on a handful of features: what the images have, how deep and wide the network is, and the squares of
these, since more of anything helps less and less. It costs a few milliseconds a proposal and no training. Whether it
saves evaluations is measured by benchmarks/predictor.py (docs/search.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.genotype import Genotype, architecture

#: Fewer candidates than this say nothing.
LEAST = 10
_PENALTY = 1.0


def features(genotype: Genotype) -> NDArray[np.float64]:
    """What a design is to the predictor: twelve numbers, of about the same size."""
    blocks = architecture(genotype)
    channels = sum(block.hidden for block in blocks)
    weights = sum(block.hidden * (block.inputs + block.outputs + block.kernel**2) for block in blocks)
    side, work = genotype.data.resolution / 2, 0.0
    for block in blocks:
        side /= block.stride
        work += side**2 * block.hidden * (block.inputs + block.outputs + block.kernel**2)
    found = np.array(
        [
            math.log2(genotype.data.resolution) - 6,
            float(genotype.data.channels == 3),
            len(blocks) / 8 - 1,
            math.log2(channels) / 4 - 2.5,
            math.log2(weights) / 4 - 4,
            math.log2(work) / 4 - 5,
        ]
    )
    return np.concatenate([found, found**2])


class Predictor:
    """Ridge regression, fitted once.

    Args:
        genotypes: What was evaluated; at least two.
        fitness: Of each.
    """

    def __init__(self, genotypes: Sequence[Genotype], fitness: Sequence[float]) -> None:
        known = np.stack([features(genotype) for genotype in genotypes])
        values = np.asarray(fitness, np.float64)
        self._mean, self._level = known.mean(axis=0), float(values.mean())
        spread = known.std(axis=0)
        self._spread = np.where(spread > 1e-9, spread, np.inf)  # what never varied says nothing
        scaled = (known - self._mean) / self._spread
        normal = scaled.T @ scaled + _PENALTY * np.eye(scaled.shape[1])
        self._weights = np.linalg.solve(normal, scaled.T @ (values - self._level))

    def __call__(self, genotype: Genotype) -> float:
        """The fitness that is expected of a design."""
        return self._level + float((features(genotype) - self._mean) / self._spread @ self._weights)
