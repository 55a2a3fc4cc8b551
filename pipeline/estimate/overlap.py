"""An output that is written over an input which dies: how far apart the two must begin.

While the last stage of a segment writes row y of its output, of an input that was there before the segment only the
rows from L(y) on are still needed. So the output may begin D bytes before the input, with

    D = max over y of (y + 1) · output row bytes − L(y) · input row bytes

and both need D + input bytes together (at least the output's) instead of the sum. A convolution without neighbours
that reads the input itself has taken a block of pixels before it writes any of them: then D is what the output is
larger by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.estimate.stages import Feed, Stage, StageKind
from pipeline.estimate.storage import Store


@dataclass(frozen=True)
class Overlap:
    """``output`` may begin ``distance`` bytes before ``input``, not later; ``saved`` bytes fewer are alive."""

    output: Store
    input: Store
    distance: int
    saved: int


def overlaps(
    segment: Sequence[Stage], stores: Sequence[Store], end: int, *, align: Callable[[int], int]
) -> Iterator[Overlap]:
    """The overlaps of a segment's last output with inputs that die in it; ``end`` is the stage behind it."""
    last = segment[-1]
    first = end - len(segment)
    output = next((store for store in stores if store.first == end - 1), None)
    if output is None or last.kind is not StageKind.ROWS or output.tensors[0] not in last.outputs:
        return
    for store in stores:
        if store.first >= first or not first <= store.last < end or store.rows < 1:
            continue
        readers = [(stage, feed) for stage in segment for feed in stage.feeds if feed.tensor in store.tensors]
        if any(
            feed.end(stage.steps - 1, store.rows) > store.rows or stage.kind is StageKind.WHOLE
            for stage, feed in readers
        ):
            continue
        distance = _distance(segment, store, output, readers)
        together = max(align(distance) + align(store.nbytes), align(output.nbytes))
        yield Overlap(output, store, align(distance), align(store.nbytes) + align(output.nbytes) - together)


def _distance(segment: Sequence[Stage], store: Store, output: Store, readers: Sequence[tuple[Stage, Feed]]) -> int:
    last = segment[-1]
    if len(readers) == 1 and readers[0][0] is last and last.reads_ahead and last.pointwise:
        return max(0, output.nbytes - store.nbytes)
    needed = _needed(segment, [(stage.index, feed) for stage, feed in readers], store.rows)
    most = max((y + 1) * output.row_bytes - low * store.row_bytes for y, low in enumerate(needed))
    return max(0, most, output.nbytes - store.nbytes)


def _needed(segment: Sequence[Stage], readers: list[tuple[int, Feed]], rows: int) -> list[int]:
    """For each step of the last stage the first row of an input that is needed in it or later."""
    last = segment[-1]
    made: dict[int, list[int]] = {}  # rows that a stage has made when the last one takes a step
    for stage in reversed(segment):
        if stage is last:
            made[stage.index] = list(range(last.steps))  # Its own row is being made.
            wanted = [y + 1 for y in range(last.steps)]
        else:
            if stage.index not in made:
                continue
            wanted = made[stage.index]
        for feed in stage.feeds:
            source = next((other for other in segment if feed.tensor in other.outputs), None)
            if source is None:
                continue
            ends = [max(0, feed.end(count - 1, source.steps)) if count else 0 for count in wanted]
            known = made.get(source.index)
            made[source.index] = ends if known is None else list(map(max, known, ends))
    steps = {stage.index: stage.steps for stage in segment}
    needed = [rows] * last.steps
    for index, feed in readers:
        for y, count in enumerate(made.get(index, [])):
            low = feed.first(count) if count < steps[index] else rows
            needed[y] = min(needed[y], low)
    return needed
