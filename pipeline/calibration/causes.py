"""Why functions are in programs."""

from __future__ import annotations

from pipeline.errors import BuildError, printable
from pipeline.firmware.anatomy import Anatomy


class Causes:
    """Collects programs, and tells which functions each kernel and each feature brings.

    A program calls kernels and needs features of them (model_features.h). A function belongs to a kernel or a feature
    if all programs contain it that have that one; a program's functions must be those of its kernels and features
    together.
    """

    def __init__(self) -> None:
        self._programs: list[tuple[frozenset[str], frozenset[str]]] = []

    def add(self, names: frozenset[str], anatomy: Anatomy) -> None:
        """A program by its kernels and features, and what it is made of."""
        self._programs.append((names, frozenset(anatomy.pieces)))

    def owned(self) -> dict[str, frozenset[str]]:
        """The functions of each kernel and feature.

        Raises:
            BuildError: ``unexplained-function``: neither a program's kernels nor its features account for it.
        """
        found: dict[str, frozenset[str]] = {}
        for names, functions in self._programs:
            for name in names:
                found[name] = found.get(name, functions) & functions
        for names, functions in self._programs:
            left = functions.difference(*(found[name] for name in names))
            if left:
                raise BuildError(
                    "unexplained-function",
                    f"no kernel and none of {', '.join(sorted(names))} accounts for {printable(min(left))}",
                    why="A function belongs to a kernel if every program with that kernel has it.",
                    next="Add a probe whose model needs the function alone.",
                )
        return found
