"""Scores of a classifier and the fitness that the search maximises.

Source: arXiv 2502.12690: F = w1·accuracy + w2·precision + w3·recall + w4·(1 − RAM overshoot) + w5·(1 − flash
overshoot), each overshoot relative to its limit and zero below it; all weights 1 there. Precision and recall here are
proper ones: per class, then the mean over the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.estimate.model import Estimate, Limits


@dataclass(frozen=True)
class Scores:
    """Quality on a split: accuracy, macro precision and macro recall, each 0..1."""

    accuracy: float
    precision: float
    recall: float

    @property
    def by_class(self) -> Scores:
        """With balanced accuracy, which is the macro recall, in place of accuracy: what counts where classes do not.

        >>> Scores(accuracy=0.96, precision=0.5, recall=0.5).by_class.accuracy
        0.5
        """
        return replace(self, accuracy=self.recall)


def scores(predicted: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> Scores:
    """Accuracy, and precision and recall per class averaged over the classes.

    A class that is never predicted has precision 0; a class without a single image is left out of both means.

    >>> scores(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), 2)
    Scores(accuracy=0.75, precision=0.75, recall=0.8333333333333333)
    """
    precisions: list[float] = []
    recalls: list[float] = []
    for number in range(classes):
        actual = labels == number
        if not actual.any():
            continue
        claimed = predicted == number
        hits = float(np.sum(actual & claimed))
        precisions.append(hits / float(claimed.sum()) if claimed.any() else 0.0)
        recalls.append(hits / float(actual.sum()))
    return Scores(
        float(np.mean(predicted == labels)),
        sum(precisions) / len(precisions),
        sum(recalls) / len(recalls),
    )


@dataclass(frozen=True, kw_only=True)
class Fitness:
    """The weights of the sum; called with scores, estimate and limits it gives F."""

    accuracy: float = 1.0
    precision: float = 1.0
    recall: float = 1.0
    ram: float = 1.0
    flash: float = 1.0

    @classmethod
    def of(cls, weights: Sequence[float]) -> Fitness:
        """With the weights w1 … w5, in the order of the sum."""
        accuracy, precision, recall, ram, flash = weights
        return cls(accuracy=accuracy, precision=precision, recall=recall, ram=ram, flash=flash)

    def __call__(self, scored: Scores, estimate: Estimate, limits: Limits) -> float:
        """F, at most the sum of the weights; higher is better."""
        return (
            self.accuracy * scored.accuracy
            + self.precision * scored.precision
            + self.recall * scored.recall
            + self.ram * (1 - overshoot(estimate.ram_bytes, limits.ram_bytes))
            + self.flash * (1 - overshoot(estimate.flash_bytes, limits.flash_bytes))
        )


def overshoot(needed: int, limit: int) -> float:
    """How far beyond the limit, relative to it; 0 within.

    >>> overshoot(150, 100), overshoot(50, 100)
    (0.5, 0.0)
    """
    return max(0, needed - limit) / limit
