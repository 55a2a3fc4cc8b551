"""Terms of the kernels without weights: pools, sums over an image, elementwise operators, and what moves elements.

Sources: the files of the same names in firmware_templates/runtime/aot; row_sums.h, broadcast.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pipeline.estimate.cost.blocks import rows_inside
from pipeline.estimate.cost.terms import Terms
from pipeline.graph.windows import Axis

#: Values whose sum fits 16 bits: row_sums.h and average_pool_2d.cpp, kMost.
_MOST = 255
_GROUP = 4
#: Bytes that memcpy moves one by one where they do not begin at words.
_FEW = 8


def pool(terms: Terms, kernel: str, rows: Axis, columns: Axis, channels: int, *, steps: int, clamped: bool) -> None:
    """The first ``steps`` rows of a pool: average_pool_2d or max_pool_2d."""
    terms.count(f"{kernel}.step", steps)
    heights = [rows_inside(rows, y) for y in range(steps)]
    for x in range(columns.output):
        width = rows_inside(columns, x)
        terms.count(f"{kernel}.pixel", steps)
        for height in heights:
            fits = kernel == "max_pool_2d" or height * width <= _MOST
            groups = channels // _GROUP if fits else 0
            single = channels - _GROUP * groups
            terms.count(f"{kernel}.group", groups)
            terms.count(f"{kernel}.group_row", groups * height)
            terms.count(f"{kernel}.group_tap", groups * height * width)
            terms.count(f"{kernel}.channel", single)
            terms.count(f"{kernel}.channel_row", single * height)
            terms.count(f"{kernel}.channel_tap", single * height * width)
    if clamped and kernel == "max_pool_2d":
        terms.count("clamp.call", steps)
        terms.count("clamp.byte", steps * columns.output * channels)


def sums(terms: Terms, kernel: str, width: int, channels: int, *, steps: int) -> None:
    """An image of ``steps`` rows, summed up row by row: mean_of_rows or average_of_rows."""
    terms.count(f"{kernel}.step", steps)
    terms.count(f"{kernel}.output", channels)
    for first in range(0, width, _MOST):
        pixels = min(_MOST, width - first)
        groups, single = divmod(channels, _GROUP)
        terms.count("row_sums.part", steps)
        terms.count("row_sums.group", steps * groups)
        terms.count("row_sums.group_pixel", steps * groups * pixels)
        terms.count("row_sums.channel", steps * single)
        terms.count("row_sums.channel_pixel", steps * single * pixels)


def add(terms: Terms, elements: int, *, steps: int, clamped: bool) -> None:
    """``steps`` calls of so many elements of equal shapes: add."""
    terms.count("add.step", steps)
    terms.count("add.four", steps * (elements // 4))
    terms.count("add.single", steps * (elements % 4))
    if clamped:
        terms.count("clamp.call", steps)
        terms.count("clamp.byte", steps * elements)


def broadcast(terms: Terms, kernel: str, rows: int, width: int, *, steps: int) -> None:
    """``steps`` walks over rows of pairs: add_broadcast, add_reference or mul."""
    terms.count(f"{kernel}.step", steps)
    terms.count(f"{kernel}.row", steps * rows)
    terms.count(f"{kernel}.element", steps * rows * width)


def elements(terms: Terms, kernel: str, count: int, *, steps: int) -> None:
    """``steps`` calls, each over ``count`` elements one by one: lookup, relu, quantize and the like."""
    terms.count(f"{kernel}.step", steps)
    terms.count(f"{kernel}.element", steps * count)


def softmax(terms: Terms, rows: int, depth: int) -> None:
    """softmax; of a row the largest element takes less than the others, whose work depends a little on their values."""
    terms.count("softmax.step", 1)
    terms.count("softmax.row", rows)
    terms.count("softmax.other", rows * (depth - 1))


def mean(terms: Terms, outputs: int, reduced: int) -> None:
    """mean of an activation that is no image."""
    terms.count("mean.step", 1)
    terms.count("mean.output", outputs)
    terms.count("mean.element", outputs * reduced)


def pad(terms: Terms, shape: Sequence[int], paddings: Sequence[tuple[int, int]]) -> None:
    """pad of an activation of up to four dimensions."""
    missing = 4 - len(shape)
    sizes = [1] * missing + list(shape)
    around = [(0, 0)] * missing + list(paddings)
    wholes = [size + before + after for size, (before, after) in zip(sizes, around, strict=True)]
    inside, rows = prod(sizes[:3]), prod(wholes[:3])
    terms.count("pad.step", 1)
    terms.count("pad.row", rows)
    _set(terms, wholes[3], rows - inside)
    before, after = around[3]
    _set(terms, before, inside)
    _set(terms, after, inside)
    for row in range(inside):
        _copy(terms, sizes[3], row * sizes[3], row * wholes[3] + before)


def copies(terms: Terms, kernel: str, widths: Sequence[int], rows: int) -> None:
    """``rows`` times a piece of each width is copied: concatenation from several rows to one, split the other way."""
    terms.count(f"{kernel}.step", 1)
    terms.count(f"{kernel}.row", rows)
    together = sum(widths)
    for number, width in enumerate(widths):
        before = sum(widths[:number])
        for row in range(rows):
            _copy(terms, width, row * width, row * together + before)


def _copy(terms: Terms, nbytes: int, first: int, second: int) -> None:
    """A call of memcpy between places so far from words: the C library copies 64 bytes a round, then 16, then 4."""
    terms.count("memcpy.call", 1)
    if first % 4 or second % 4:
        if nbytes < _FEW:
            terms.count("memcpy.byte", nbytes)
            return
        terms.count("memcpy.unaligned", 1)
    terms.count("memcpy.64", nbytes // 64)
    terms.count("memcpy.16", nbytes % 64 // 16)
    terms.count("memcpy.4", nbytes % 16 // 4)
    terms.count("memcpy.rest", min(1, nbytes % 4))


def _set(terms: Terms, nbytes: int, calls: int) -> None:
    """Calls of the C library's memset; 16 bytes a round."""
    terms.count("memset.call", calls)
    terms.count("memset.16", calls * (nbytes // 16))
    terms.count("memset.4", calls * (nbytes % 16 // 4))
    terms.count("memset.byte", calls * (nbytes % 4))


def strided_copy(terms: Terms, sizes: Sequence[int]) -> None:
    """A walk in up to four dimensions, the last one innermost."""
    terms.count("strided_copy.step", 1)
    terms.count("strided_copy.plane", prod(sizes[:-2]))
    terms.count("strided_copy.row", prod(sizes[:-1]))
    terms.count("strided_copy.element", prod(sizes))
