"""Least squares with coefficients that are not negative: a price of each term from stages that have been measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Relative to the largest gradient at the begin: what is smaller is no reason to go on.
_TOLERANCE = 1e-10


def fit(matrix: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The x ≥ 0 for which the relative residuals of matrix · x against values have the least squares.

    The active-set method of C. L. Lawson and R. J. Hanson, Solving Least Squares Problems (1974), chapter 23, on
    columns scaled to one length, so that rare terms and frequent ones are treated alike.

    Args:
        matrix: [stages, terms], runs.
        values: [stages], what each stage took; above 0.
    """
    weighted = matrix / values[:, None]
    lengths = np.linalg.norm(weighted, axis=0)
    used = lengths > 0
    # The orthogonal factor changes no length, and what is left has as many rows as there are terms.
    whole = np.column_stack([weighted[:, used] / lengths[used], np.ones(len(values))])
    reduced: NDArray[np.float64] = np.asarray(np.linalg.qr(whole, mode="r"))
    found = np.zeros(matrix.shape[1])
    found[used] = _not_negative(reduced[:, :-1], reduced[:, -1]) / lengths[used]
    return found


def _not_negative(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    free = np.zeros(a.shape[1], bool)
    x = np.zeros(a.shape[1])
    gradient = a.T @ b
    least = _TOLERANCE * float(np.max(np.abs(gradient), initial=0.0))
    for _ in range(3 * a.shape[1]):
        if free.all() or float(np.max(gradient[~free])) <= least:
            break
        free[np.argmax(np.where(free, -np.inf, gradient))] = True
        while True:
            trial = np.zeros_like(x)
            trial[free] = np.linalg.lstsq(a[:, free], b, rcond=None)[0]
            below = free & (trial <= 0)
            if not below.any():
                break
            share = float(np.min(x[below] / (x[below] - trial[below])))
            x = x + share * (trial - x)
            free &= x > 1e-12
            x[~free] = 0.0
        x = trial
        gradient = a.T @ (b - a @ x)
    return x
