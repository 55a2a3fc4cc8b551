"""All runs of stages that can be a segment, and the bytes that are alive while each runs.

They follow from the Stores (storage.py): those that live through a run in whole, those that it makes for later, rings
of the rest, sums and scratch. While the last stage of a run is fixed, each stage before it adds to what the run needs,
so that runs grow backwards until one can't be a segment. What is said of the stages of a Graph's trunk holds for the
Graph: it is worked out once, and added to.
"""

# The innermost loop of every estimate: calls would take longer than the rest of it.
# ruff: noqa: PLR0912

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.estimate.overlap import Geometry, distance
from pipeline.estimate.stages import Stage, StageKind
from pipeline.estimate.storage import Store

if TYPE_CHECKING:
    from pipeline.estimate.placing import Step

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
    """``output`` may begin ``distance`` bytes before ``input``, not later; ``saved`` bytes fewer are alive.

    Both are numbers of Stores.
    """

    output: int
    input: int
    distance: int
    saved: int


@dataclass(slots=True, eq=False)
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
        peak: Bytes that are alive, scratch with the largest blocks among them; ``least_peak`` with the smallest ones.
        sink: The number of the Store that its last stage is the last to write, where the segment makes it and it is
            needed later.
        overlap: How the sink is best written over an input; True: not yet looked for, see :meth:`Runs.overlap`.
        usual: What the planner has made of it with the largest blocks and without an overlap; ``others`` by how it runs
            and which way it is.
    """

    first: int
    end: int
    flat: bool
    instructions: int
    base: int
    scratch: int
    least_scratch: int
    peak: int
    least_peak: int
    sink: int | None
    overlap: Overlap | bool | None
    usual: Step | None = None
    others: dict[tuple[int, ...], Step] | None = None


class Runs:
    """The runs of a model's stages. Stores go by their numbers.

    Attributes:
        stores: All Stores.
        full: For each Store its bytes in whole, rounded up; ``rings`` those of its ring.
        made: For each stage the Stores that it makes.
        standing: For each stage the Stores that were there before it and are still needed; ``alive`` are their bytes.
        store_of: For each stage the Store of its first output.
        stream: The input, where it need not be kept in whole.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        stores: Sequence[Store],
        sums: Sequence[int],
        ways: Sequence[Sequence[Way]],
        *,
        align: Callable[[int], int],
        streamed_input: bool = False,
        trunk: Runs | None = None,
    ) -> None:
        """Work out what is made, read and alive where.

        Args:
            stages: All of them, in order.
            stores: Their Stores.
            sums: Bytes that each stage keeps from its first to its last step.
            ways: How each stage may run, with the largest blocks first.
            align: Rounds sizes up.
            streamed_input: The input is not kept in whole; its Store can be a ring.
            trunk: The runs of the first stages, which are a trunk's.
        """
        self.stages, self.stores, self.sums, self.ways, self._align = stages, stores, sums, ways, align
        count = len(stages)
        done = 0 if trunk is None else len(trunk.stages)
        new = stages[done:]
        #: The first Store that the trunk does not have as it is, and for each activation the number of its Store.
        again = (
            0
            if trunk is None
            else next(n for n, (a, b) in enumerate(zip(stores, trunk.stores, strict=False)) if a is not b)
        )
        self._number_of: dict[int, int] = {} if trunk is None else dict(trunk._number_of)
        self.full: list[int] = [] if trunk is None else trunk.full[:again]
        self.rings: list[int] = [] if trunk is None else trunk.rings[:again]
        for number, store in enumerate(stores[again:], again):
            self.full.append(align(store.nbytes))
            self.rings.append(align(store.ring_bytes))
            for tensor in store.tensors:
                self._number_of[tensor] = number
        number_of = self._number_of
        #: Bytes of all Stores.
        self.everything = sum(self.full)
        #: By activation the stage that writes it.
        self._writer: dict[int, int] = {} if trunk is None else dict(trunk._writer)
        self._writer.update((output, stage.index) for stage in new for output in stage.outputs)
        self.made: list[list[int]] = [[] for _ in stages] if trunk is None else [*trunk.made, *([] for _ in new)]
        for number in range(0 if trunk is None else len(trunk.stores), len(stores)):
            if stores[number].first >= 0:
                self.made[stores[number].first].append(number)
        self.standing: list[list[int]] = [] if trunk is None else list(trunk.standing)
        there = self._there(done)
        for position in range(done, count):
            self.standing.append(there)
            there = [number for number in (*there, *self.made[position]) if stores[number].last > position]
        self.alive: list[int] = [] if trunk is None else list(trunk.alive)
        self.alive += [sum([self.full[number] for number in there]) for there in self.standing[done:]]
        given = (number for number, store in enumerate(stores) if store.first < 0 and store.ring)
        self.stream = next(given, None) if streamed_input else None
        #: Bytes that the input does not take as a ring.
        self._spared = 0 if self.stream is None else self.full[self.stream] - self.rings[self.stream]
        self._geometry: list[Geometry] = [] if trunk is None else list(trunk._geometry)
        #: For each Store (stage, number of its feed) of all that read it.
        self._reads: list[tuple[tuple[int, int], ...]] = [] if trunk is None else list(trunk._reads)
        self._reads += [()] * (len(stores) - len(self._reads))
        self.store_of: list[int] = [] if trunk is None else list(trunk.store_of)
        #: For each stage (stage, whether it reads all the rows) of those that read its outputs.
        self._readers: list[tuple[tuple[int, bool], ...]] = [] if trunk is None else list(trunk._readers)
        for stage in new:
            self._readers.append(())
            self.store_of.append(number_of[stage.outputs[0]])
            readings = []
            for place, feed in enumerate(stage.feeds):
                self._reads[number_of[feed.tensor]] += ((stage.index, place),)
                writer = self._writer.get(feed.tensor, -1)
                readings.append((stage.index - writer, feed.kernel, feed.stride, feed.pad))
                if writer >= 0:
                    whole = feed.end(stage.steps - 1, stages[writer].steps) == stages[writer].steps
                    self._readers[writer] += ((stage.index, whole),)
            self._geometry.append((stage.steps, tuple(readings)))

    def _there(self, position: int) -> list[int]:
        """The Stores that were there before a stage and are still needed."""
        return [number for number, store in enumerate(self.stores) if store.first < position <= store.last]

    def ending(self, end: int) -> list[Cut]:
        """The cuts that end before stage ``end``, shortest first."""
        alone = self._alone(end)
        found = [alone]
        stages = self.stages
        if stages[end - 1].kind is StageKind.WHOLE:
            return found
        own, sink = self._own(end - 1), alone.sink
        way = self.ways[end - 1]
        total, scratch, least = way[0].rows, alone.scratch, alone.least_scratch
        room, least_room = alone.peak - alone.base, alone.least_peak - alone.base
        whole = {end - 1}  # Stages that have made all their rows when the last one ends.
        target = self.store_of[end - 1]
        stores, ways, store_of, alive, readers = self.stores, self.ways, self.store_of, self.alive, self._readers
        for first in range(end - 2, max(-1, end - 1 - _LONGEST), -1):
            used = False
            for reader, all_rows in readers[first]:
                if reader < end:
                    used = True
                    if all_rows and reader in whole:
                        whole.add(first)  # It ends with them.
            number = store_of[first]
            store = stores[number]
            if not used or not store.streams or stages[first].kind is not StageKind.ROWS:
                break
            if store.last >= end:
                if first not in whole:
                    break
                if store.first == first:
                    own += self.full[number]
                    if number == target:
                        sink = number
            elif store.first == first:
                if not store.ring or store.joined >= end:
                    break
                own += self.rings[number]
            way = ways[first]
            usual = way[0]
            total += usual.rows
            if usual.scratch > scratch:
                scratch = usual.scratch
                room = self._align(scratch)
            if way[-1].scratch > least:
                least = way[-1].scratch
                least_room = self._align(least)
            base = alive[first] + own
            if first == 0:
                base -= self._spared_by(first, end)
            peak, least_peak = base + room, base + least_room
            found.append(Cut(first, end, False, total, base, scratch, least, peak, least_peak, sink, sink is not None))
        return found

    def _own(self, position: int) -> int:
        """Bytes that a stage needs as the last one of a segment, besides scratch."""
        return self._align(self.sums[position]) + sum([self.full[number] for number in self.made[position]])

    def _alone(self, end: int) -> Cut:
        """The stage before ``end`` as a segment."""
        last, way, made = self.stages[end - 1], self.ways[end - 1], self.made[end - 1]
        kept = len(made) == 1 and last.kind is StageKind.ROWS and self.stores[made[0]].last >= end
        base = self.alive[end - 1] + self._own(end - 1) - self._spared_by(end - 1, end)
        flat = last.pointwise and not self._streams(end - 1, end) and way[0].flat <= way[0].rows
        cost = way[0].flat if flat else way[0].rows
        return Cut(
            end - 1,
            end,
            flat,
            cost,
            base,
            way[0].scratch,
            way[-1].scratch,
            base + self._align(way[0].scratch),
            base + self._align(way[-1].scratch),
            made[0] if kept else None,
            True if kept else None,
        )

    def _spared_by(self, first: int, end: int) -> int:
        """Bytes that a streamed input does not take because it is a ring; of what cannot be, less than any room."""
        if first != 0 or self.stream is None:
            return 0
        return self._spared if self._streams(first, end) else -IMPOSSIBLE

    def _streams(self, first: int, end: int) -> bool:
        """Whether the input is a ring while these stages run."""
        if first != 0 or self.stream is None:
            return False
        store = self.stores[self.stream]
        return store.last < end > store.joined

    def in_rings(self, cut: Cut) -> Iterator[int]:
        """The Stores that are rings in a cut."""
        if self.stream is not None and self._streams(cut.first, cut.end):
            yield self.stream
        for made in self.made[cut.first : cut.end - 1]:
            for number in made:
                if self.stores[number].last < cut.end:
                    yield number

    def hope(self, cut: Cut) -> int:
        """Bytes that writing an output over an input can save at most, as far as is known."""
        if cut.overlap is True and cut.sink is not None:
            return min(self.full[cut.sink], self.alive[cut.first])
        return cut.overlap.saved if isinstance(cut.overlap, Overlap) else 0

    def overlap(self, cut: Cut) -> Overlap | None:
        """The output that is best written over an input that dies, looked for once."""
        if cut.overlap is True:
            cut.overlap = max(self._overlaps(cut), key=lambda overlap: overlap.saved, default=None)
        return cut.overlap or None

    def _overlaps(self, cut: Cut) -> Iterator[Overlap]:
        first, end = cut.first, cut.end
        if cut.sink is None or not self.stores[cut.sink].uniform:
            return
        sink = self.stores[cut.sink]
        last = self.stages[end - 1]
        chain = tuple(at - first for tensor in sink.tensors if (at := self._writer.get(tensor, end)) < end)
        run = tuple(self._geometry[first:end])
        for number in self.standing[first]:
            store = self.stores[number]
            if store.last >= end or not store.uniform:
                continue
            if number == self.stream and first == 0 and store.joined < end:
                continue
            readers = tuple((at - first, place) for at, place in self._reads[number] if first <= at < end)
            if len(readers) == 1 and readers[0][0] == chain[0] == len(run) - 1 and last.pointwise and last.reads_ahead:
                apart = max(0, sink.nbytes - store.nbytes)
            else:
                apart = distance(
                    run, chain, readers,
                    rows=store.rows, row_bytes=store.row_bytes, output_row_bytes=sink.row_bytes,
                )  # fmt: skip
            apart = self._align(apart)
            full, made = self.full[number], self.full[cut.sink]
            saved = full + made - max(apart + full, made)
            if saved > 0:
                yield Overlap(cut.sink, number, apart, saved)
