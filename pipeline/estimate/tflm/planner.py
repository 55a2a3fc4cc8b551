"""TFLM's greedy planner: large buffers first, each at the lowest place that is free while it lives.

Written after its description (greedy_memory_planner.h and the documents beside it). What decides the bytes is how ties
are broken: buffers of one size are placed by falling number, and among what is placed already those at one offset keep
their order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.estimate.areas import ALIGNMENT
from pipeline.estimate.tflm.structures import aligned


@dataclass(slots=True)
class Buffer:
    """A buffer to be placed: ``size`` bytes that live in the scopes [first, last]; ``tensor`` is −1 for scratch."""

    tensor: int
    size: int
    first: int
    last: int
    offset: int = 0

    @property
    def end(self) -> int:
        """First byte behind it."""
        return self.offset + aligned(self.size, ALIGNMENT)


def place(buffers: Sequence[Buffer]) -> int:
    """Give each buffer its offset; the bytes that all of them take."""
    order = sorted(range(len(buffers)), key=lambda number: (-aligned(buffers[number].size, ALIGNMENT), -number))
    placed: list[Buffer] = []  # by rising offset
    for number in order:
        one = buffers[number]
        size, offset = aligned(one.size, ALIGNMENT), 0
        for other in placed:
            if other.first > one.last or other.last < one.first:
                continue
            if other.offset - offset >= size:
                break
            offset = max(offset, other.end)
        one.offset = offset
        placed.insert(bisect_right(placed, offset, key=lambda item: item.offset), one)
    return max((buffer.end for buffer in buffers), default=0)
