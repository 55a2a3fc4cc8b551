"""What experiments conclude from: intervals by bootstrap, paired differences, and hypervolume.

Sources: the percentile bootstrap and resampling of whole clusters (Davison and Hinkley, 1997, "Bootstrap Methods and
their Application", sections 5.3 and 3.8); hypervolume (Zitzler and Thiele, 1999).

Images of one group (a frame, a drive) are not independent, so that groups are drawn, never single images; where several
seeds were run, seeds are drawn as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Drawn samples, and the share of them that an interval holds.
REPLICATES = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate and where the true value is expected; ``low`` and ``high`` are None where nothing can be said."""

    value: float
    low: float | None
    high: float | None

    @property
    def above_zero(self) -> bool:
        """Whether all of the interval is."""
        return self.low is not None and self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether all of the interval is."""
        return self.high is not None and self.high < 0

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"value": self.value, "low": self.low, "high": self.high, "level": LEVEL}


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))


def mean(values: Sequence[float], *, seed: int = 0) -> Interval:
    """The mean over runs with different seeds; without an interval where there are fewer than two.

    >>> mean([2.0, 2.0, 2.0])
    Interval(value=2.0, low=2.0, high=2.0)
    """
    found = np.asarray(values, np.float64)
    value = float(found.mean())
    if len(found) < 2:
        return Interval(value, None, None)
    chosen = np.random.default_rng([seed, 1]).integers(len(found), size=(REPLICATES, len(found)))
    return _interval(value, found[chosen].mean(axis=1))


def accuracy(correct: ArrayLike, groups: ArrayLike, *, seed: int = 0) -> Interval:
    """Mean accuracy of one network a seed on the same images, over groups and seeds.

    Args:
        correct: Whether each network is right about each image, [seeds, images].
        groups: The group of each image, [images].
        seed: Of the bootstrap.
    """
    return _clustered(np.atleast_2d(np.asarray(correct, np.float64)), groups, seed)


def difference(one: ArrayLike, other: ArrayLike, groups: ArrayLike, *, seed: int = 0) -> Interval:
    """Mean accuracy of ``one`` minus that of ``other``, paired by seed and by image; see :func:`accuracy`."""
    mine, theirs = (np.atleast_2d(np.asarray(values, np.float64)) for values in (one, other))
    return _clustered(mine - theirs, groups, seed)


def _clustered(values: NDArray[np.float64], groups: ArrayLike, seed: int) -> Interval:
    """The mean of values [seeds, images] with an interval over groups and over seeds."""
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if values.shape[1] != len(member):
        raise ValueError(f"{values.shape[1]} images, but the groups of {len(member)}")
    sums = np.stack([np.bincount(member, row, len(names)) for row in values])
    counts = np.bincount(member, minlength=len(names)).astype(np.float64)
    value = float(values.mean())
    seeds = len(values)
    if len(names) < 2 and seeds < 2:
        return Interval(value, None, None)
    rng = np.random.default_rng([seed, 2])
    weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=REPLICATES).astype(np.float64)
    means = (weights @ sums.T) / (weights @ counts)[:, None]
    chosen = rng.integers(seeds, size=(REPLICATES, seeds))
    return _interval(value, np.take_along_axis(means, chosen, axis=1).mean(axis=1))


def hypervolume(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """What the points dominate of the box that ends in the reference; each axis is better the smaller it is.

    >>> hypervolume([(1, 2), (2, 1), (3, 3)], (3, 3))
    3.0
    """
    inside = sorted({tuple(point) for point in points if all(a < b for a, b in zip(point, reference, strict=True))})
    return _volume(inside, tuple(reference))


def _volume(points: Sequence[tuple[float, ...]], reference: tuple[float, ...]) -> float:
    """By slices along the first axis; ``points`` are sorted by it."""
    if not points:
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - points[0][0])
    total = 0.0
    for number, point in enumerate(points):
        end = points[number + 1][0] if number + 1 < len(points) else reference[0]
        if end > point[0]:
            below = sorted({other[1:] for other in points[: number + 1]})
            total += (end - point[0]) * _volume(below, reference[1:])
    return total
