"""All runs of stages that can be a segment, and the bytes that are alive while each runs.

They follow from the Stores (storage.py): those that live through a run in whole, those that it makes for later, rings
of the rest, sums and scratch. While the last stage of a run is fixed, each stage before it adds to what the run needs,
so that runs grow backwards until one can't be a segment, or is too large to be of use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.estimate.overlap import Geometry, distance
from pipeline.estimate.stages import Stage, StageKind
from pipeline.estimate.storage import Store

#: More than any arena: added to what a cut needs that would have to keep a streamed input in whole.
IMPOSSIBLE = 1 << 50
#: Stages that a segment may have: the schedule says in a byte how many stages back an image is made.
_LONGEST = 250


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


@dataclass(slots=True)
class Cut:
    """Stages [first, end) run as one segment.

    Attributes:
        first: Its first stage.
        end: The stage behind its last.
        flat: The only stage takes the whole image for one long row.
        instructions: With the largest blocks.
        base: Bytes that are alive while it runs, without scratch, no output written over an input.
        scratch: Bytes of scratch with the largest blocks.
        least_scratch: The same with the smallest ones that are of use.
        sink: The Store that its last stage is the last to write, where the segment makes it and it is needed later.
        overlap: How the sink is best written over an input; True: not yet looked for, see :meth:`Runs.overlap`.
    """

    first: int
    end: int
    flat: bool
    instructions: int
    base: int
    scratch: int
    least_scratch: int
    sink: Store | None
    overlap: Overlap | bool | None


class Runs:
    """The runs of a model's stages.

    Attributes:
        stores: All Stores.
        made: For each stage the Stores that it makes.
        stream: The input, where it need not be kept in whole.
        alive: For each stage the bytes that were there before it and are still needed.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        stores: Sequence[Store],
        sums: Sequence[int],
        ways: Sequence[Way],
        *,
        align: Callable[[int], int],
        streamed_input: bool = False,
    ) -> None:
        """Work out what is made, read and alive where.

        Args:
            stages: All of them, in order.
            stores: Their Stores.
            sums: Bytes that each stage keeps from its first to its last step.
            ways: How each stage runs with the largest blocks.
            align: Rounds sizes up.
            streamed_input: The input is not kept in whole; its Store can be a ring.
        """
        self._stages, self.stores, self._align, self.ways = stages, stores, align, ways
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
        self.alive = alive
        self.stream = next((s for s in stores if s.first < 0 and s.ring), None) if streamed_input else None
        self._ring = {id(store): align(store.ring_bytes) for store in stores}
        #: Bytes that the input does not take as a ring.
        self._spared = self._full[id(self.stream)] - self._ring[id(self.stream)] if self.stream is not None else 0
        self._of = {tensor: store for store in stores for tensor in store.tensors}
        self._writer = {output: stage.index for stage in stages for output in stage.outputs}
        self._geometry: list[Geometry] = [
            (
                stage.steps,
                tuple((stage.index - self._writer.get(f.tensor, -1), f.kernel, f.stride, f.pad) for f in stage.feeds),
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
        #: Bytes above which a run is of no use.
        self.limit = 1 << 60

    def ending(self, end: int) -> Iterator[Cut]:
        """The cuts that end before stage ``end``, shortest first, as long as they are of use."""
        alone = self._alone(end)
        yield alone
        last = self._stages[end - 1]
        if last.kind is StageKind.WHOLE:
            return
        own, sink = self._own(end - 1), alone.sink
        total, scratch = self.ways[end - 1].rows, alone.scratch
        whole = {end - 1}  # Stages that have made all their rows when the last one ends.
        target = self._store_of[end - 1]
        for first in range(end - 2, max(-1, end - 1 - _LONGEST), -1):
            store = self._store_of[first]
            if not self._joins(first, end, whole):
                return
            if store.first == first:
                if store.last < end:
                    own += self._ring[id(store)]
                else:
                    own += self._full[id(store)]
                    sink = store if store is target else sink
            if own > self.limit:
                return
            way = self.ways[first]
            total += way.rows
            scratch = max(scratch, way.scratch)
            base = self.alive[first] + own - self._spared_by(first, end)
            if base - (0 if sink is None else self._full[id(sink)]) <= self.limit:
                yield Cut(first, end, False, total, base, scratch, scratch, sink, sink is not None)

    def _own(self, position: int) -> int:
        """Bytes that a stage needs as the last one of a segment, besides scratch."""
        return self._sums[position] + sum(self._full[id(store)] for store in self.made[position])

    def _alone(self, end: int) -> Cut:
        """The stage before ``end`` as a segment."""
        last, way, made = self._stages[end - 1], self.ways[end - 1], self.made[end - 1]
        sink = made[0] if len(made) == 1 and last.kind is StageKind.ROWS and made[0].last >= end else None
        streams = self._streams(end - 1, end)
        base = self.alive[end - 1] + self._own(end - 1) - self._spared_by(end - 1, end)
        flat = last.pointwise and not streams and way.flat <= way.rows
        cost = way.flat if flat else way.rows
        return Cut(end - 1, end, flat, cost, base, way.scratch, way.scratch, sink, sink is not None)

    def _joins(self, first: int, end: int, whole: set[int]) -> bool:
        """Whether a stage can run with those behind it, up to ``end``; it joins ``whole`` if it ends with them."""
        used = False
        for reader, all_rows in self._readers[first]:
            if reader < end:
                used = True
                if all_rows and reader in whole:
                    whole.add(first)
        store = self._store_of[first]
        if not used or not store.streams or self._stages[first].kind is not StageKind.ROWS:
            return False
        if store.last >= end:
            return first in whole
        return store.first != first or (store.ring > 0 and store.joined < end)

    def _spared_by(self, first: int, end: int) -> int:
        """Bytes that a streamed input does not take because it is a ring; of what cannot be, less than any room."""
        stream = self.stream
        if first != 0 or stream is None:
            return 0
        return self._spared if stream.last < end > stream.joined else -IMPOSSIBLE

    def _streams(self, first: int, end: int) -> bool:
        """Whether the input is a ring while these stages run."""
        return first == 0 and self.stream is not None and self.stream.last < end > self.stream.joined

    def rings(self, cut: Cut) -> Iterator[Store]:
        """The Stores that are rings in a cut."""
        if self.stream is not None and self._streams(cut.first, cut.end):
            yield self.stream
        if cut.end - cut.first > 1:
            for made in self.made[cut.first : cut.end - 1]:
                yield from (store for store in made if store.last < cut.end)

    def standing(self, cut: Cut) -> Sequence[Store]:
        """The Stores that were there before a cut and are still needed."""
        return self._standing[cut.first]

    def hope(self, cut: Cut) -> int:
        """Bytes that writing an output over an input can save at most, as far as is known."""
        if cut.overlap is True and cut.sink is not None:
            return min(self._full[id(cut.sink)], self.alive[cut.first])
        return cut.overlap.saved if isinstance(cut.overlap, Overlap) else 0

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
