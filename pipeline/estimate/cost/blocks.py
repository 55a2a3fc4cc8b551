"""Terms of what every convolution has: blocks of pixels that are gathered and multiplied by the filters.

Sources: block.cpp, block_armv7em.h and conv_2d.cpp in firmware_templates/runtime/aot.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pipeline.estimate.cost.terms import Form, Terms
from pipeline.estimate.stages import blocks
from pipeline.graph.windows import Axis

#: Pairs of elements that a round of the innermost loop takes, by the pixels of a block.
_ROUND = {4: 8, 3: 4, 2: 4, 1: 4}
#: In a block of four pixels these come before the first round.
_BEFORE = 2


@dataclass(frozen=True)
class Filters:
    """The filters of a layer: block.h, Filters.

    Attributes:
        pairs: Pairs of elements in a window, an even number.
        outputs: Channels.
        form: How sums become int8.
        clamped: Whether a fused activation is narrower than saturation.
    """

    pairs: int
    outputs: int
    form: Form
    clamped: bool = False


def multiply(terms: Terms, filters: Filters, pixels: int, calls: int) -> None:
    """``calls`` blocks of so many pixels: multiply_block."""
    terms.count(f"multiply.{pixels}.call", calls)
    if filters.clamped:
        terms.count("clamp.call", calls)
        terms.count("clamp.byte", calls * pixels * filters.outputs)
    if filters.form is Form.PLAIN:
        channels = calls * filters.outputs
        terms.count("plain.channel", channels)
        terms.count("plain.pixel", channels * pixels)
        terms.count("plain.word", channels * pixels * filters.pairs // 2)
        return
    odd = filters.outputs % 2
    couples = calls * (filters.outputs // 2 + odd)  # two channels at a time
    terms.count(f"multiply.{pixels}.odd", calls * odd)
    terms.count(f"multiply.{pixels}.{filters.form}", couples)
    terms.count(f"multiply.{pixels}.pair", couples * filters.pairs)
    looped = filters.pairs - (_BEFORE if pixels == 4 else 0)
    terms.count(f"multiply.{pixels}.round", couples * -(-looped // _ROUND[pixels]))


def convolution(
    terms: Terms, filters: Filters, rows: Axis, columns: Axis, channels: int, *, block: int, steps: int
) -> None:
    """The first ``steps`` rows of a convolution of an image with so many channels: conv_2d."""
    inside = sum(rows_inside(rows, y) for y in range(steps))
    outside = steps * rows.kernel - inside
    size, step = columns.size * channels, columns.stride * channels
    words = -(-columns.kernel * channels // 4)
    left = -columns.before * channels
    terms.count("conv_2d.step", steps)
    sizes = Counter[int]()
    for pixels in blocks(columns.output, block):
        sizes[pixels] += 1
        terms.count("conv_2d.row", steps * rows.kernel)
        if left >= 0 and left + (pixels - 1) * step + 4 * words <= size:
            terms.count(f"spread.{pixels}.call", inside)
            terms.count(f"spread.{pixels}.word", inside * words)
        else:
            for pixel in range(pixels):
                _edge(terms, left + pixel * step, size, words, inside)
        terms.count("edge.call", outside * pixels)
        terms.count("edge.outside", outside * pixels * words)
        left += pixels * step
    for pixels, count in sizes.items():
        multiply(terms, filters, pixels, count * steps)


def rows_inside(rows: Axis, y: int) -> int:
    """Rows of a kernel that lie in the image in step y."""
    top = y * rows.stride - rows.before
    return max(0, min(rows.kernel, rows.size - top) - max(0, -top))


def _edge(terms: Terms, begin: int, size: int, words: int, runs: int) -> None:
    """A pixel whose window lies partly outside a row of ``size`` bytes: spread_edge."""
    terms.count("edge.call", runs)
    running = False
    for place in range(begin, begin + 4 * words, 4):
        whole = place >= 0 and place + 4 <= size
        if whole:
            terms.count("edge.word", runs)
            if not running:
                terms.count("edge.run", runs)
        else:
            terms.count("edge.outside" if place <= -4 or place >= size else "edge.partial", runs)
        running = whole
