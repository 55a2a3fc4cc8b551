"""An output that is written over an input which dies: how far apart the two must begin.

While row y of an output is written, of an input that was there before the segment only the rows from L(y) on are
still needed. So the output may begin D bytes before the input, with

    D = max over y of (y + 1) · output row bytes − L(y) · input row bytes

and both need D + input bytes together (at least the output's) instead of the sum. A convolution without neighbours
that alone reads the input has taken a block of pixels before it writes any of them: then D is what the output is
larger by.

L follows from kernels, strides and pads alone, and is kept for the next network that has the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

#: A feed as (how many stages back its image is made; kernel; stride; pad), and a stage as (steps, feeds).
Reading = tuple[int, int, int, int]
Geometry = tuple[int, tuple[Reading, ...]]


def distance(
    run: tuple[Geometry, ...],
    chain: tuple[int, ...],
    readers: tuple[tuple[int, int], ...],
    *,
    rows: int,
    row_bytes: int,
    output_row_bytes: int,
) -> int:
    """Bytes before an input at which an output may begin, of a segment that is driven by its last stage.

    Args:
        run: The segment's stages. Images that are made further back than its first stage were there before.
        chain: Positions of the stages that write the output: the last stage, or one that makes it and those that
            write over it, up to the last stage.
        readers: (position, number of its feed) of all that read the input.
        rows: Rows of the input.
        row_bytes: Bytes of one of them.
        output_row_bytes: Bytes of a row of the output.
    """
    corners = _corners(run, chain, readers, rows)
    return max(0, *(made * output_row_bytes - low * row_bytes for made, low in corners))


@lru_cache(maxsize=1 << 14)
def _corners(
    run: tuple[Geometry, ...], chain: tuple[int, ...], readers: tuple[tuple[int, int], ...], rows: int
) -> tuple[tuple[int, int], ...]:
    """The points (y + 1, L(y)) that can be the largest of any a · (y + 1) − b · L(y)."""
    needed = _needed(run, chain, readers, rows)
    corners: list[tuple[int, int]] = []
    for y, low in enumerate(needed):
        point = (y + 1, low)
        if corners and corners[-1][1] == low:
            corners.pop()
        while len(corners) > 1 and _turn(corners[-2], corners[-1], point) >= 0:
            corners.pop()
        corners.append(point)
    return tuple(corners)


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    """Not negative where b is on or inside the hull of a and c."""
    return (c[0] - a[0]) * (b[1] - a[1]) - (b[0] - a[0]) * (c[1] - a[1])


def _needed(run: Sequence[Geometry], chain: Sequence[int], readers: Sequence[tuple[int, int]], rows: int) -> list[int]:
    """For each row of the output the first row of the input that is needed while it is made or later."""
    steps = run[-1][0]
    # The rows that each stage has made when the first of the chain makes a row: those of the chain, none of it yet.
    made: dict[int, list[int]] = {position: list(range(steps)) for position in chain}
    for position in range(len(run) - 1, -1, -1):
        counts = made.get(position)
        if counts is None:
            continue
        # What only the rest of the chain needs for this row may be made later.
        wanted = [count + 1 for count in counts] if position == chain[0] else counts
        for back, kernel, stride, pad in run[position][1]:
            source = position - back
            if back < 1 or source < 0 or source in chain:
                continue
            most, reach = run[source][0], kernel - pad - stride
            ends = [max(0, min(most, count * stride + reach)) if count else 0 for count in wanted]
            known = made.get(source)
            made[source] = ends if known is None else list(map(max, known, ends))
    needed = [rows] * steps
    for position, number in readers:
        all_steps, feeds = run[position]
        _, _, stride, pad = feeds[number]
        for y, count in enumerate(made.get(position, [])):
            if count < all_steps:
                needed[y] = min(needed[y], max(0, count * stride - pad))
    return needed
