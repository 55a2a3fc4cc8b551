"""Where to cut a model's stages into segments: within one, rows flow from stage to stage and only rings are kept.

For each run of stages [i, j) the bytes that are alive while it runs are known from its Stores: those that live through
it in whole, those that it makes for later, rings of the rest, and scratch. The cuts are found by dynamic programming
over j: first the least peak that any cuts can have, then, among the cuts whose peak is within a limit, those that
execute the fewest instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.estimate.overlap import Overlap, overlaps
from pipeline.estimate.stages import Needs, Stage, StageKind
from pipeline.estimate.storage import Store

_NEVER = 1 << 60


class Cut:
    """Stages [first, end) run as one segment.

    Attributes:
        flat: The only stage takes the whole image for one long row.
        rings: Stores that are rings in it.
        instructions: Instructions that depend on how it is cut, by the model of ``instructions.py``.
        peak: Bytes that are alive while it runs, no output written over an input.
        hope: No overlap can bring the peak below this.
    """

    __slots__ = ("_find", "_overlap", "end", "first", "flat", "hope", "instructions", "peak", "rings")

    def __init__(
        self,
        first: int,
        end: int,
        *,
        flat: bool,
        rings: tuple[Store, ...],
        instructions: int,
        peak: int,
        hope: int,
        find: Callable[[int, int], Overlap | None],
    ) -> None:
        self.first, self.end, self.flat, self.rings = first, end, flat, rings
        self.instructions, self.peak, self.hope = instructions, peak, hope
        self._find = find
        self._overlap: Overlap | None = None

    @property
    def overlap(self) -> Overlap | None:
        """The output that is best written over an input that dies; looked for when it is asked for."""
        if self.hope < self.peak and self._overlap is None:
            self._overlap = self._find(self.first, self.end)
            self.hope = self.peak - (self._overlap.saved if self._overlap is not None else 0)
        return self._overlap

    def lowered(self, limit: int) -> int:
        """The peak, with the overlap where it is above the limit without and may be within it with one."""
        if self.hope <= limit < self.peak:
            overlap = self.overlap
            return self.peak - (overlap.saved if overlap is not None else 0)
        return self.peak


class Cutter:
    """All cuts of a model's stages, and the best of them."""

    def __init__(
        self,
        stages: Sequence[Stage],
        stores: Sequence[Store],
        needs: Callable[[Stage], Needs],
        instructions: Callable[[Stage, bool], int],
        *,
        align: Callable[[int], int],
        streamed_input: bool = False,
    ) -> None:
        self._stages = stages
        self._stores = stores
        self._align = align
        self._needs = [needs(stage) for stage in stages]
        self._instructions = [(instructions(stage, False), instructions(stage, True)) for stage in stages]
        self._made_by: dict[int, Store] = {store.first: store for store in stores if store.first >= 0}
        self._full = {store.first: align(store.nbytes) for store in stores}
        self._dying: dict[int, list[Store]] = {}
        for store in stores:
            self._dying.setdefault(store.last, []).append(store)
        used: dict[int, int] = {}
        for stage in reversed(stages):
            used.update((feed.tensor, stage.index) for feed in stage.feeds)
        self._used_at = [min((used.get(output, _NEVER) for output in stage.outputs)) for stage in stages]
        self._through = [0] * (len(stages) + 1)
        for store in stores:
            for position in range(store.first + 1, min(store.last, len(stages) - 1) + 1):
                self._through[position] += self._full[store.first] if store.first >= 0 else align(store.nbytes)
        # The input, where it is not kept in whole.
        self._stream = next((s for s in stores if s.first < 0 and s.ring), None) if streamed_input else None
        self._by_end = [self._ending(end) for end in range(1, len(stages) + 1)]

    def _ending(self, end: int) -> list[Cut]:
        """The cuts that end before stage ``end``, shortest first."""
        last = self._stages[end - 1]
        needs = self._needs[end - 1]
        made_last = self._full.get(end - 1, 0)
        kept, scratch, sums = made_last, needs.scratch, self._align(needs.sums)
        rows, flat = self._instructions[end - 1]
        made = [self._cut(end - 1, end, kept + self._align(scratch) + sums, made_last, (), rows)]
        if last.pointwise and not made[0].rings:
            made.insert(0, self._cut(end - 1, end, kept + self._align(scratch) + sums, made_last, (), flat, flat=True))
        if last.kind is StageKind.WHOLE:
            return made
        rings: tuple[Store, ...] = ()
        for first in range(end - 2, -1, -1):
            stage = self._stages[first]
            if stage.kind is not StageKind.ROWS or self._used_at[first] >= end:
                break
            scratch = max(scratch, self._needs[first].scratch)
            rows += self._instructions[first][0]
            store = self._made_by.get(first)
            if store is not None:
                if store.last < end:
                    if not store.ring or store.joined >= end:
                        break
                    rings = (store, *rings)
                    kept += self._align(store.ring_bytes)
                elif self._completes(store, first, end):
                    kept += self._full[first]
                else:
                    break
            made.append(self._cut(first, end, kept + self._align(scratch) + sums, made_last, rings, rows))
        return made

    def _cut(
        self,
        first: int,
        end: int,
        own: int,
        made_last: int,
        rings: tuple[Store, ...],
        instructions: int,
        *,
        flat: bool = False,
    ) -> Cut:
        """A cut that needs ``own`` bytes besides what was there before it."""
        live = self._through[first]
        stream = self._stream
        if stream is not None and first == 0 and stream.last < end and stream.joined < end:
            live += self._align(stream.ring_bytes) - self._align(stream.nbytes)
            rings = (stream, *rings)
        elif stream is not None and first == 0:
            live += _NEVER  # The input would have to be there in whole.
        dying = max(
            (store.nbytes for at in range(first, end) for store in self._dying.get(at, ()) if store.first < first),
            default=0,
        )
        hope = live + own - self._align(min(dying, made_last))
        return Cut(
            first,
            end,
            flat=flat,
            rings=rings,
            instructions=instructions,
            peak=live + own,
            hope=hope,
            find=self._overlap,
        )

    def _overlap(self, first: int, end: int) -> Overlap | None:
        streams = first == 0 and self._stream is not None and self._stream.last < end
        stores = [store for store in self._stores if not (streams and store is self._stream)]
        found = overlaps(self._stages[first:end], stores, end, align=self._align)
        best = max(found, key=lambda overlap: overlap.saved, default=None)
        return best if best is not None and best.saved > 0 else None

    def _completes(self, store: Store, first: int, end: int) -> bool:
        """Whether the last stage's last step needs all rows of a Store that is also needed later."""
        demand = {end - 1: self._stages[end - 1].steps}
        for position in range(end - 1, first, -1):
            stage = self._stages[position]
            for feed in stage.feeds:
                source = next((s for s in range(first, position) if feed.tensor in self._stages[s].outputs), None)
                if source is not None and position in demand:
                    need = feed.end(demand[position] - 1, self._stages[source].steps)
                    demand[source] = max(demand.get(source, 0), need)
        return demand.get(first, 0) == self._stages[first].steps and store.rows == self._stages[first].steps

    def least_peak(self) -> int:
        """The smallest peak that any cuts have."""
        without = self._least(lambda cut: cut.peak)
        # No cut whose peak is at most this needs an overlap, and none that can't get below the other is of use.
        hoped = self._least(lambda cut: cut.hope)
        while hoped < without:
            found = self._least(lambda cut: cut.lowered(hoped))
            if found <= hoped:
                return hoped
            # Overlaps that were looked for have set the hopes right.
            hoped, before = self._least(lambda cut: cut.hope), hoped
            if hoped == before:
                return hoped
        return without

    def _least(self, peak: Callable[[Cut], int]) -> int:
        best = [0]
        for cuts in self._by_end:
            best.append(min(max(best[cut.first], peak(cut)) for cut in cuts))
        return best[-1]

    def fewest_instructions(self, limit: int) -> list[tuple[Cut, int]]:
        """The cuts with the fewest instructions whose peak is at most ``limit``, each with its peak."""
        best: list[tuple[int, int]] = [(0, 0)]
        chosen: list[tuple[Cut, int] | None] = [None]
        for cuts in self._by_end:
            ways = [(cut, cut.lowered(limit)) for cut in cuts]
            values = [
                ((best[cut.first][0] + cut.instructions, best[cut.first][1] + peak), (cut, peak))
                for cut, peak in ways
                if peak <= limit
            ]
            value, way = min(values, key=lambda item: item[0], default=((_NEVER, _NEVER), None))
            best.append(value)
            chosen.append(way)
        made: list[tuple[Cut, int]] = []
        end = len(self._stages)
        while end > 0:
            way = chosen[end]
            if way is None:
                raise ValueError(f"no cuts have a peak of at most {limit} bytes")
            made.append(way)
            end = way[0].first
        return made[::-1]
