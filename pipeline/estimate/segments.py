"""Where to cut a model's stages into segments: within one, rows flow from stage to stage and only rings are kept.

For each run of stages [i, j) the bytes that are alive while it runs are known from its Stores: those that live through
it in whole, those that it makes for later, rings of the rest, and scratch. The cuts are found by dynamic programming
over j: first the least peak that any cuts can have, then, among the cuts whose peak is within a limit, those that
execute the fewest instructions.

A cut whose peak is too high has two ways to lower it: its output may be written over an input that dies (overlap.py),
which costs nothing, and its convolutions may work on fewer pixels at a time, which costs instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from pipeline.estimate.overlap import Geometry, distance
from pipeline.estimate.stages import Stage, StageKind
from pipeline.estimate.storage import Store

_NEVER = 1 << 60
#: More than any arena: added to what a cut needs that would have to keep a streamed input in whole.
IMPOSSIBLE = 1 << 50
#: Stages that a segment may have: the schedule says in a byte how many stages back an image is made.
_LONGEST = 250
#: Stages of the runs that are looked at first.
_SHORT = 7


@dataclass(frozen=True)
class Way:
    """How a stage may run: scratch and instructions, by rows and as one long row, with blocks of so many pixels."""

    block: int
    scratch: int
    rows: int
    flat: int


@dataclass(frozen=True)
class Overlap:
    """``output`` may begin ``distance`` bytes before ``input``, not later; ``saved`` bytes fewer are alive."""

    output: Store
    input: Store
    distance: int
    saved: int


class Cut:
    """Stages [first, end) run as one segment.

    Attributes:
        flat: The only stage takes the whole image for one long row.
        instructions: With the largest blocks.
        base: Bytes that are alive while it runs, without scratch, no output written over an input.
        scratch: Bytes of scratch with the largest blocks.
        least_scratch: The same with the smallest ones that are of use.
        sink: The Store that its last stage is the last to write, where the segment makes it and it is needed later.
    """

    __slots__ = ("base", "end", "first", "flat", "instructions", "least_scratch", "overlap", "scratch", "sink")

    def __init__(
        self,
        first: int,
        end: int,
        flat: bool,
        instructions: int,
        base: int,
        scratch: int,
        least_scratch: int,
        sink: Store | None,
    ) -> None:
        self.first, self.end, self.flat, self.instructions = first, end, flat, instructions
        self.base, self.scratch, self.least_scratch, self.sink = base, scratch, least_scratch, sink
        #: Looked for when it is asked for: see :meth:`Cutter.overlap`.
        self.overlap: Overlap | bool | None = sink is not None


class Cutter:
    """All cuts of a model's stages, and the best of them."""

    def __init__(
        self,
        stages: Sequence[Stage],
        stores: Sequence[Store],
        sums: Sequence[int],
        ways: Sequence[Sequence[Way]],
        *,
        align: Callable[[int], int],
        streamed_input: bool = False,
        useful: Callable[[int], int] = lambda peak: _NEVER,
    ) -> None:
        """Find the cuts.

        Args:
            stages: All of them, in order.
            stores: Their Stores.
            sums: Bytes that each stage keeps from its first to its last step.
            ways: How each stage may run, the largest blocks first.
            align: Rounds sizes up.
            streamed_input: The input is not kept in whole; its Store can be a ring.
            useful: The peak above which no cut is of use, by a peak that can be had.
        """
        self._stages, self.stores, self._align, self._ways = stages, stores, align, ways
        self._sums = [align(size) for size in sums]
        count = len(stages)
        self._full = {id(store): align(store.nbytes) for store in stores}
        self.made: list[list[Store]] = [[] for _ in stages]
        alive = [0] * (count + 2)
        for store in stores:
            if store.first >= 0:
                self.made[store.first].append(store)
            alive[store.first + 1] += self._full[id(store)]
            alive[store.last + 1 if store.last < count else count + 1] -= self._full[id(store)]
        for position in range(1, count + 2):
            alive[position] += alive[position - 1]
        self._alive = alive
        self.stream = next((s for s in stores if s.first < 0 and s.ring), None) if streamed_input else None
        self._ring = {id(store): align(store.ring_bytes) for store in stores}
        #: Bytes that the input does not take as a ring.
        self._spared = self._full[id(self.stream)] - self._ring[id(self.stream)] if self.stream is not None else 0
        self._of = {tensor: store for store in stores for tensor in store.tensors}
        self._writer = {output: stage.index for stage in stages for output in stage.outputs}
        self._geometry: list[Geometry] = [
            (
                stage.steps,
                tuple(
                    (stage.index - self._writer.get(f.tensor, -1), f.kernel, f.stride, f.pad) for f in stage.feeds
                ),
            )
            for stage in stages
        ]
        self._standing: list[list[Store]] = [
            [store for store in stores if store.first < position <= store.last] for position in range(count)
        ]
        self._reads: dict[int, list[tuple[int, int]]] = {id(store): [] for store in stores}
        for stage in stages:
            for number, feed in enumerate(stage.feeds):
                self._reads[id(self._of[feed.tensor])].append((stage.index, number))
        self._store_of = [self._of[stage.outputs[0]] for stage in stages]
        self._readers: list[list[tuple[int, bool]]] = [[] for _ in stages]
        for stage in stages:
            for feed in stage.feeds:
                writer = self._writer.get(feed.tensor, -1)
                if writer >= 0:
                    whole = feed.end(stage.steps - 1, stages[writer].steps) == stages[writer].steps
                    self._readers[writer].append((stage.index, whole))
        # Short runs first: they say what the least peak is at most, and so where longer ones can stop.
        self._limit = _NEVER
        growing = [self._ending(end) for end in range(1, count + 1)]
        self._by_end = [list(islice(cuts, _SHORT)) for cuts in growing]
        self._limit = useful(self._least()[-1][0])
        for end, rest in enumerate(growing):
            self._by_end[end] += rest

    def _ending(self, end: int) -> Iterator[Cut]:
        """The cuts that end before stage ``end``, shortest first, as long as they are of use."""
        last = self._stages[end - 1]
        way, least_scratch = self._ways[end - 1][0], self._ways[end - 1][-1].scratch
        made = self.made[end - 1]
        sink = made[0] if len(made) == 1 and last.kind is StageKind.ROWS and made[0].last >= end else None
        own = self._sums[end - 1] + sum(self._full[id(store)] for store in made)
        base = self._alive[end - 1] + own
        streams = end == 1 and self.stream is not None
        if streams:
            base += self._streaming(end)
        if last.pointwise and not streams and way.flat <= way.rows:
            yield Cut(end - 1, end, True, way.flat, base, way.scratch, least_scratch, sink)
        else:
            yield Cut(end - 1, end, False, way.rows, base, way.scratch, least_scratch, sink)
        if last.kind is StageKind.WHOLE:
            return
        total, scratch = way.rows, way.scratch
        whole = {end - 1}  # Stages that have made all their rows when the last one ends.
        target = self._store_of[end - 1]
        for first in range(end - 2, max(-1, end - 1 - _LONGEST), -1):
            if self._stages[first].kind is not StageKind.ROWS:
                return
            used = False
            for reader, all_rows in self._readers[first]:
                if reader < end:
                    used = True
                    if all_rows and reader in whole:
                        whole.add(first)
            store = self._store_of[first]
            if not used or not store.streams or (store.last >= end and first not in whole):
                return
            if store.first == first:
                if store.last >= end:
                    own += self._full[id(store)]
                    if store is target:
                        sink = store
                elif store.ring and store.joined < end:
                    own += self._ring[id(store)]
                else:
                    return
            if own > self._limit:
                return
            ways = self._ways[first]
            total += ways[0].rows
            scratch = max(scratch, ways[0].scratch)
            least_scratch = max(least_scratch, ways[-1].scratch)
            base = self._alive[first] + own
            if first == 0 and self.stream is not None:
                base += self._streaming(end)
            yield Cut(first, end, False, total, base, scratch, least_scratch, sink)

    def _streaming(self, end: int) -> int:
        """What a streamed input adds to the bytes of the first cut: less than nothing, or all that there is."""
        fits = self.stream is not None and self.stream.last < end > self.stream.joined
        return -self._spared if fits else IMPOSSIBLE

    def allow(self, ways: Sequence[Sequence[Way]]) -> None:
        """Take other ways to run the stages; the first of each is the same as before."""
        self._ways = ways
        for cuts in self._by_end:
            position, least = cuts[0].end, 0
            for cut in cuts:
                if cut.first < position:
                    position = cut.first
                    least = max(least, ways[position][-1].scratch)
                cut.least_scratch = least

    def rings(self, cut: Cut) -> Iterator[Store]:
        """The Stores that are rings in a cut."""
        if cut.first == 0 and self.stream is not None and self.stream.last < cut.end > self.stream.joined:
            yield self.stream
        if cut.end - cut.first > 1:
            for made in self.made[cut.first : cut.end - 1]:
                yield from (store for store in made if store.last < cut.end)

    def overlap(self, cut: Cut) -> Overlap | None:
        """The output that is best written over an input that dies, looked for once."""
        if cut.overlap is True:
            cut.overlap = max(self._overlaps(cut), key=lambda overlap: overlap.saved, default=None)
        return cut.overlap or None

    def _overlaps(self, cut: Cut) -> Iterator[Overlap]:
        first, end, sink = cut.first, cut.end, cut.sink
        last = self._stages[end - 1]
        if sink is None or not sink.uniform:
            return
        chain = tuple(self._writer[tensor] - first for tensor in sink.tensors if self._writer[tensor] < end)
        run = tuple(self._geometry[first:end])
        for store in self._standing[first]:
            if store.last >= end or not store.uniform:
                continue
            if store is self.stream and first == 0 and store.joined < end:
                continue
            readers = tuple((at - first, number) for at, number in self._reads[id(store)] if first <= at < end)
            if len(readers) == 1 and readers[0][0] == chain[0] == len(run) - 1 and last.pointwise and last.reads_ahead:
                apart = max(0, sink.nbytes - store.nbytes)
            else:
                apart = distance(
                    run, chain, readers,
                    rows=store.rows, row_bytes=store.row_bytes, output_row_bytes=sink.row_bytes,
                )  # fmt: skip
            apart = self._align(apart)
            full, made = self._full[id(store)], self._full[id(sink)]
            saved = full + made - max(apart + full, made)
            if saved > 0:
                yield Overlap(sink, store, apart, saved)

    def standing(self, cut: Cut) -> Sequence[Store]:
        """The Stores that were there before a cut and are still needed."""
        return self._standing[cut.first]

    def lowest(self, cut: Cut) -> int:
        """The lowest peak of a cut."""
        overlap = self.overlap(cut)
        return cut.base + self._align(cut.least_scratch) - (overlap.saved if overlap is not None else 0)

    def _hope(self, cut: Cut) -> int:
        """No overlap brings the peak below this."""
        peak = cut.base + self._align(cut.least_scratch)
        if cut.overlap is True and cut.sink is not None:
            return peak - min(self._full[id(cut.sink)], self._alive[cut.first])
        return peak - (cut.overlap.saved if isinstance(cut.overlap, Overlap) else 0)

    def least_peak(self) -> tuple[int, list[Cut]]:
        """The smallest peak that any cuts have, and such cuts."""
        best = self._least()
        chosen: list[Cut] = []
        end = len(self._stages)
        while end > 0:
            cut = best[end][1]
            if cut is None:
                raise ValueError("no cuts")
            chosen.append(cut)
            end = cut.first
        return best[-1][0], chosen[::-1]

    def _least(self) -> list[tuple[int, Cut | None]]:
        """For each number of first stages the smallest peak, and the cut that ends there."""
        best: list[tuple[int, Cut | None]] = [(0, None)]
        # No cuts can be better than this, so no cut needs to be.
        floor = 0 if self.stream is not None else self._alive[0]
        for cuts in self._by_end:
            least, way, hopes = _NEVER, None, []
            for cut in cuts:
                before = best[cut.first][0]
                peak = cut.base + self._align(cut.least_scratch)
                if (before if before > peak else peak) < least:
                    least, way = max(before, peak), cut
                if cut.sink is not None and cut.overlap is not None and before < least:
                    hopes.append((before, peak, cut))
            for before, peak, cut in hopes:
                if least <= floor:
                    break
                if before < least and self._hope(cut) < least:
                    overlap = self.overlap(cut)
                    if overlap is not None and max(before, peak - overlap.saved) < least:
                        least, way = max(before, peak - overlap.saved), cut
            best.append((least, way))
        return best

    def within(self, cut: Cut, limit: int) -> tuple[int, int, bool] | None:
        """(instructions, peak, whether with the overlap) of a cut as it is cheapest within a limit; None: it cannot."""
        peak = cut.base + self._align(cut.scratch)
        if peak <= limit:
            return cut.instructions, peak, False
        if self._hope(cut) > limit:
            return None
        overlap = self.overlap(cut)
        base = cut.base - (overlap.saved if overlap is not None else 0)
        peak = base + self._align(cut.scratch)
        if peak <= limit:
            return cut.instructions, peak, True
        peak = base + self._align(cut.least_scratch)
        if peak > limit:
            return None
        blocks = self.blocks(cut, limit - base)
        scratch = max(way.scratch for way in blocks)
        normal = (ways[0] for ways in self._ways[cut.first : cut.end])
        more = sum(
            (way.flat - usual.flat) if cut.flat else (way.rows - usual.rows)
            for way, usual in zip(blocks, normal, strict=True)
        )
        return cut.instructions + more, base + self._align(scratch), overlap is not None

    def blocks(self, cut: Cut, room: int) -> list[Way]:
        """For each stage of a cut the largest blocks whose scratch has room, else the smallest."""
        return [
            next((way for way in ways if self._align(way.scratch) <= room), ways[-1])
            for ways in self._ways[cut.first : cut.end]
        ]

    def fewest_instructions(self, limit: int) -> list[Cut]:
        """The cuts with the fewest instructions whose peak is at most ``limit``.

        Raises:
            ValueError: No cuts have such a peak.
        """
        best: list[tuple[int, int]] = [(0, 0)]
        chosen: list[Cut | None] = [None]
        for cuts in self._by_end:
            value: tuple[int, int] = (_NEVER, 0)
            way = None
            for cut in cuts:
                before = best[cut.first]
                if before[0] + cut.instructions > value[0]:
                    continue
                found = self.within(cut, limit)
                if found is not None:
                    candidate = (before[0] + found[0], before[1] + found[1])
                    if candidate < value:
                        value, way = candidate, cut
            best.append(value)
            chosen.append(way)
        made: list[Cut] = []
        end = len(self._stages)
        while end > 0:
            way = chosen[end]
            if way is None:
                raise ValueError(f"no cuts have a peak of at most {limit} bytes")
            made.append(way)
            end = way.first
        return made[::-1]

    def cuts(self, limit: int) -> list[list[Cut]]:
        """By first stage: the cuts that can be within a limit, without those that are never better than others."""
        found: list[list[Cut]] = [[] for _ in self._stages]
        large = [0]  # How many of the stages before have a peak near the limit, each as a segment.
        for cuts in self._by_end:
            alone = cuts[0]
            large.append(large[-1] + (alone.base + self._align(alone.scratch) > limit - limit // 4))
            for cut in cuts:
                fused = cut.end - cut.first > 1
                if fused and large[cut.end] == large[cut.first]:
                    continue  # Its stages run as well one by one.
                if (fused or cut is alone) and self.within(cut, limit) is not None:
                    found[cut.first].append(cut)
        return found
