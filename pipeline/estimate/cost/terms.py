"""Terms of the cost model: how often each part of a kernel runs.

A term is named after the part, ``multiply.4.pair`` for the innermost loop over blocks of four pixels, and counts its
runs; a table (table.py) has the price of each. The loops are those of ``firmware_templates/runtime/aot``.
"""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """How a layer's sums become int8; requantize.h, Form."""

    RELU = "relu"
    LINEAR = "linear"
    PLAIN = "plain"


class Terms(dict[str, int]):
    """Runs by the name of the term; what is not counted is not in it."""

    def count(self, name: str, runs: int) -> None:
        """Add runs of a part."""
        if runs:
            self[name] = self.get(name, 0) + runs
