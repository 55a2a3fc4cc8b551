"""Several objectives at once: which designs nobody beats, how crowded they lie, and which one is the best compromise.

Sources: non-dominated sorting and crowding distance are those of NSGA-II (Deb, Pratap, Agarwal and Meyarivan, 2002,
"A fast and elitist multiobjective genetic algorithm"); the best compromise is the point nearest to the ideal one, each
objective scaled to the front's own range (Zeleny, 1973, "Compromise programming").

A point is a tuple of numbers, each of which is better the smaller it is. All functions are pure, and their results do
not depend on the points' order but where equal points are numbered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, ...]


def dominates(one: Point, other: Point) -> bool:
    """Whether ``one`` is nowhere worse than ``other``, and somewhere better.

    >>> dominates((1, 2), (1, 3)), dominates((1, 2), (2, 1)), dominates((1, 2), (1, 2))
    (True, False, False)
    """
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def ranks(points: Sequence[Point]) -> list[int]:
    """The front of each point: 0 where nobody dominates it, 1 where only points of front 0 do, and so on.

    >>> ranks([(1, 3), (3, 1), (3, 3), (4, 4)])
    [0, 0, 1, 2]
    """
    found = [-1] * len(points)
    left, front = set(range(len(points))), 0
    while left:
        free = {one for one in left if not any(dominates(points[other], points[one]) for other in left)}
        for one in free:
            found[one] = front
        left -= free
        front += 1
    return found


def crowding(points: Sequence[Point]) -> list[float]:
    """How far each point's neighbours are, summed over the objectives; infinite at either end of the front.

    Args:
        points: Those of one front.
    """
    found = [0.0] * len(points)
    for axis in range(len(points[0]) if points else 0):
        order = sorted(range(len(points)), key=lambda number: points[number][axis])
        least, most = points[order[0]][axis], points[order[-1]][axis]
        found[order[0]] = found[order[-1]] = math.inf
        if most > least:
            for before, number, after in zip(order, order[1:], order[2:], strict=False):
                found[number] += (points[after][axis] - points[before][axis]) / (most - least)
    return found


def distances(points: Sequence[Point], front: Sequence[Point]) -> list[float]:
    """How far each point is from the ideal one, which has the best that the front has of every objective.

    Args:
        points: Any; one that is better than the ideal somewhere is as far as if it were equal there.
        front: Those that nobody dominates; each objective is scaled to the range that it has among them.

    >>> front = [(0.0, 10.0), (5.0, 0.0), (1.0, 2.0)]
    >>> [round(one, 2) for one in distances(front, front)]
    [1.0, 1.0, 0.28]
    """
    lows = [min(axis) for axis in zip(*front, strict=True)]
    spans = [max(axis) - low for axis, low in zip(zip(*front, strict=True), lows, strict=True)]
    return [
        math.hypot(
            *(max(0.0, value - low) / span for value, low, span in zip(point, lows, spans, strict=True) if span > 0)
        )
        for point in points
    ]
