"""Where to cut a model's stages into segments: within one, rows flow from stage to stage and only rings are kept.

The cuts are found by dynamic programming over the runs of stages (runs.py): first the least peak that any cuts can
have, then, among the cuts whose peak is within a limit, those that execute the fewest instructions.

A cut whose peak is too high has two ways to lower it: its output may be written over an input that dies (overlap.py),
which costs nothing, and its convolutions may work on fewer pixels at a time, which costs instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from pipeline.estimate.runs import Cut, Runs, Way

_NEVER = 1 << 60
#: Stages of the runs that are looked at first.
_SHORT = 7


class Cutter:
    """The best cuts of a model's stages."""

    def __init__(
        self, runs: Runs, *, align: Callable[[int], int], useful: Callable[[int], int] = lambda peak: _NEVER
    ) -> None:
        """Find the cuts.

        Args:
            runs: The runs of the stages.
            align: Rounds sizes up.
            useful: The peak above which no cut is of use, by a peak that can be had.
        """
        self.runs, self._align = runs, align
        #: How each stage may run, the largest blocks first.
        self.ways: Sequence[Sequence[Way]] = [[way] for way in runs.ways]
        # Short runs first: they say what the least peak is at most, and so where longer ones can stop.
        growing = [runs.ending(end) for end in range(1, len(runs.made) + 1)]
        self._by_end = [list(islice(cuts, _SHORT)) for cuts in growing]
        runs.limit = useful(self._least()[-1][0])
        for end, rest in enumerate(growing):
            self._by_end[end] += rest

    def allow(self, ways: Sequence[Sequence[Way]]) -> None:
        """Take other ways to run the stages; the first of each is the same as before."""
        self.ways = ways
        for cuts in self._by_end:
            position, least = cuts[0].end, 0
            for cut in cuts:
                if cut.first < position:
                    position = cut.first
                    least = max(least, ways[position][-1].scratch)
                cut.least_scratch = least

    def cut(self, first: int, end: int) -> Cut | None:
        """The cut of these stages, None where they can't be a segment."""
        return next((cut for cut in self._by_end[end - 1] if cut.first == first), None)

    def lowest(self, cut: Cut) -> int:
        """The lowest peak of a cut."""
        overlap = self.runs.overlap(cut)
        return cut.base + self._align(cut.least_scratch) - (overlap.saved if overlap is not None else 0)

    def least_peak(self) -> tuple[int, list[Cut]]:
        """The smallest peak that any cuts have, and such cuts."""
        best = self._least()
        chosen: list[Cut] = []
        end = len(self.runs.made)
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
        floor = 0 if self.runs.stream is not None else self.runs.alive[0]
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
                if before < least and peak - self.runs.hope(cut) < least:
                    overlap = self.runs.overlap(cut)
                    if overlap is not None and max(before, peak - overlap.saved) < least:
                        least, way = max(before, peak - overlap.saved), cut
            best.append((least, way))
        return best

    def within(self, cut: Cut, limit: int) -> tuple[int, int, bool] | None:
        """(instructions, peak, whether with the overlap) of a cut as it is cheapest within a limit; None: it cannot."""
        peak = cut.base + self._align(cut.scratch)
        if peak <= limit:
            return cut.instructions, peak, False
        if cut.base + self._align(cut.least_scratch) - self.runs.hope(cut) > limit:
            return None
        overlap = self.runs.overlap(cut)
        base = cut.base - (overlap.saved if overlap is not None else 0)
        peak = base + self._align(cut.scratch)
        if peak <= limit:
            return cut.instructions, peak, True
        peak = base + self._align(cut.least_scratch)
        if peak > limit:
            return None
        blocks = self.blocks(cut, limit - base)
        scratch = max(way.scratch for way in blocks)
        normal = (ways[0] for ways in self.ways[cut.first : cut.end])
        more = sum(
            (way.flat - usual.flat) if cut.flat else (way.rows - usual.rows)
            for way, usual in zip(blocks, normal, strict=True)
        )
        return cut.instructions + more, base + self._align(scratch), overlap is not None

    def blocks(self, cut: Cut, room: int) -> list[Way]:
        """For each stage of a cut the largest blocks whose scratch has room, else the smallest."""
        return [
            next((way for way in ways if self._align(way.scratch) <= room), ways[-1])
            for ways in self.ways[cut.first : cut.end]
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
        end = len(self.runs.made)
        while end > 0:
            way = chosen[end]
            if way is None:
                raise ValueError(f"no cuts have a peak of at most {limit} bytes")
            made.append(way)
            end = way.first
        return made[::-1]

    def cuts(self, limit: int) -> list[list[Cut]]:
        """By first stage: the cuts that can be within a limit, without those that are never better than others."""
        found: list[list[Cut]] = [[] for _ in self.runs.made]
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
