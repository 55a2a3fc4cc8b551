"""What programs differ in, as sums: the bytes of a call by its kernel, and those of a piece by what is compiled in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Bytes by which a piece may miss its sum before another feature is made to account for it.
_CLOSE = 2


@dataclass(frozen=True)
class Calls:
    """Bytes of the runtime: ``base`` in every program, and what each call adds.

    Attributes:
        base: So large that no program that was built has more than the sum.
        kernels: By the function that is called.
        rows: Of an operand that is found row by row.
    """

    base: int
    kernels: dict[str, float]
    rows: float


def calls(programs: Sequence[tuple[int, tuple[str, ...], int]]) -> Calls:
    """The least squares over programs: (bytes of the runtime, function of each stage, operands by rows)."""
    names = sorted({name for _, kernels, _ in programs for name in kernels})
    counts = np.array([[1, rows, *(kernels.count(name) for name in names)] for _, kernels, rows in programs], float)
    sizes = np.array([size for size, _, _ in programs], float)
    found = np.maximum(np.linalg.lstsq(counts, sizes, rcond=None)[0], 0.0)
    base = math.ceil(found[0] + float(np.max(sizes - counts @ found)))
    return Calls(base, {name: float(value) for name, value in zip(names, found[2:], strict=True)}, float(found[1]))


def sizes(
    programs: Sequence[tuple[frozenset[str], Mapping[str, int]]],
) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """(bytes of each piece, bytes that features add to those that differ), never less than in any program.

    Args:
        programs: Kernels and features of each, and its pieces.
    """
    pieces: dict[str, int] = {}
    growth: dict[str, dict[str, int]] = {}
    for piece in sorted({name for _, found in programs for name in found}):
        seen = [(names, found[piece]) for names, found in programs if piece in found]
        base, grown = _grown([names for names, _ in seen], np.array([size for _, size in seen], float))
        pieces[piece] = base
        if grown:
            growth[piece] = grown
    return pieces, growth


def _grown(users: list[frozenset[str]], seen: NDArray[np.float64]) -> tuple[int, dict[str, int]]:
    """A base and what features add: as few of these as it takes, the one that explains most first."""
    candidates = sorted(frozenset.union(*users) - frozenset.intersection(*users))
    chosen: list[str] = []
    found, missed = _fitted(users, seen, chosen)
    while np.max(np.abs(missed)) > _CLOSE and len(chosen) < len(candidates):
        trials = {name: _fitted(users, seen, [*chosen, name]) for name in candidates if name not in chosen}
        best = min(trials, key=lambda name: (round(float(np.sum(trials[name][1] ** 2)), 3), name))
        if np.sum(trials[best][1] ** 2) > 0.95 * np.sum(missed**2):
            break
        chosen.append(best)
        found, missed = trials[best]
    grown = {name: round(float(value)) for name, value in zip(chosen, found[1:], strict=True)}
    bases = [size - sum(grown.get(name, 0) for name in names) for names, size in zip(users, seen, strict=True)]
    return max(0, math.ceil(max(bases))), {name: size for name, size in sorted(grown.items()) if size}


def _fitted(
    users: list[frozenset[str]], seen: NDArray[np.float64], chosen: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    columns = np.array([[1.0, *(float(name in names) for name in chosen)] for names in users])
    found = np.linalg.lstsq(columns, seen, rcond=None)[0]
    return found, seen - columns @ found
