"""Where to cut a model's stages into segments: within one, rows flow from stage to stage and only rings are kept.

The cuts are found by dynamic programming over the runs of stages (runs.py): first the least peak that any cuts can
have, then, among the cuts whose peak is within a limit, those that execute the fewest instructions.

A cut whose peak is too high has two ways to lower it: its output may be written over an input that dies (overlap.py),
which costs nothing, and its convolutions may work on fewer pixels at a time, which costs instructions.

All of it goes from the first stage to the last and looks only back, so that what was found for a Graph's trunk is the
beginning of what is found for the Graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.estimate.runs import Cut, Runs, Way

#: Instructions or bytes of what cannot be.
NEVER = 1 << 60
#: Limits for which the cuts are remembered.
_LIMITS = 8

#: For each number of first stages (instructions, sum of the peaks) of the best cuts, and the cut that ends there.
_Fastest = tuple[list[tuple[int, int]], list[Cut | None]]


def much(limit: int) -> int:
    """What is alive while a stage runs that is looked at together with others, at least: near the limit."""
    return limit - limit // 4


class Cutter:
    """The best cuts of a model's stages."""

    def __init__(self, runs: Runs, *, align: Callable[[int], int], trunk: Cutter | None = None) -> None:
        """Find the cuts.

        Args:
            runs: The runs of the stages.
            align: Rounds sizes up.
            trunk: The cuts of the first stages, which are a trunk's.
        """
        self.runs, self._align, self._trunk = runs, align, trunk
        count, done = len(runs.stages), 0 if trunk is None else len(trunk.by_end)
        #: For each stage the cuts that end with it, shortest first.
        self.by_end: list[list[Cut]] = [] if trunk is None else list(trunk.by_end)
        self.by_end += [runs.ending(end) for end in range(done + 1, count + 1)]
        #: For each number of first stages the smallest peak, and the cut that ends there.
        self._least: list[tuple[int, Cut | None]] = [(0, None)] if trunk is None else list(trunk._least)
        self._find_least(self.by_end[done:])
        self._fastest: dict[int, _Fastest] = {}
        self._admitted: dict[int, tuple[list[int], list[list[Cut]]]] = {}

    def cut(self, first: int, end: int) -> Cut | None:
        """The cut of these stages, None where they can't be a segment."""
        return next((cut for cut in self.by_end[end - 1] if cut.first == first), None)

    def lowest(self, cut: Cut) -> int:
        """The lowest peak of a cut."""
        overlap = self.runs.overlap(cut)
        return cut.least_peak - (overlap.saved if overlap is not None else 0)

    def least_peak(self) -> tuple[int, list[Cut]]:
        """The smallest peak that any cuts have, and such cuts."""
        chosen: list[Cut] = []
        end = len(self.by_end)
        while end > 0:
            cut = self._least[end][1]
            if cut is None:
                raise ValueError("no cuts")
            chosen.append(cut)
            end = cut.first
        return self._least[-1][0], chosen[::-1]

    @property
    def least_peaks(self) -> list[int]:
        """For each number of first stages the smallest peak that any cuts have."""
        return [peak for peak, _ in self._least]

    def _find_least(self, new: Sequence[Sequence[Cut]]) -> None:
        best = self._least
        # No cuts can be better than this, so no cut needs to be.
        floor = 0 if self.runs.stream is not None or not self.runs.alive else self.runs.alive[0]
        for cuts in new:
            least, way, hopes = NEVER, None, []
            for cut in cuts:
                before = best[cut.first][0]
                peak = cut.least_peak
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

    def within(self, cut: Cut, limit: int) -> tuple[int, int, bool] | None:
        """(instructions, peak, whether with the overlap) of a cut as it is cheapest within a limit; None: it cannot."""
        if cut.peak <= limit:
            return cut.instructions, cut.peak, False
        if cut.least_peak - self.runs.hope(cut) > limit:
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
        normal = (ways[0] for ways in self.runs.ways[cut.first : cut.end])
        more = sum(
            (way.flat - usual.flat) if cut.flat else (way.rows - usual.rows)
            for way, usual in zip(blocks, normal, strict=True)
        )
        return cut.instructions + more, base + self._align(scratch), overlap is not None

    def blocks(self, cut: Cut, room: int) -> list[Way]:
        """For each stage of a cut the largest blocks whose scratch has room, else the smallest."""
        if self._align(cut.scratch) <= room:
            return [ways[0] for ways in self.runs.ways[cut.first : cut.end]]
        return [
            next((way for way in ways if self._align(way.scratch) <= room), ways[-1])
            for ways in self.runs.ways[cut.first : cut.end]
        ]

    def fewest_instructions(self, limit: int) -> list[Cut]:
        """The cuts with the fewest instructions whose peak is at most ``limit``.

        Raises:
            ValueError: No cuts have such a peak.
        """
        chosen = self.chosen(limit)
        made: list[Cut] = []
        end = len(self.by_end)
        while end > 0:
            way = chosen[end]
            if way is None:
                raise ValueError(f"no cuts have a peak of at most {limit} bytes")
            made.append(way)
            end = way.first
        return made[::-1]

    def chosen(self, limit: int) -> list[Cut | None]:
        """For each number of first stages the last of the cuts with the fewest instructions within a limit."""
        return self._fastest_within(limit)[1]

    def fewest(self, limit: int) -> list[int]:
        """For each number of first stages the fewest instructions within a limit."""
        return [instructions for instructions, _ in self._fastest_within(limit)[0]]

    def _fastest_within(self, limit: int) -> _Fastest:
        known = self._fastest.get(limit)
        if known is not None:
            return known
        best: list[tuple[int, int]] = [(0, 0)]
        chosen: list[Cut | None] = [None]
        if self._trunk is not None:
            begun = self._trunk._fastest_within(limit)
            best, chosen = list(begun[0]), list(begun[1])
        for cuts in self.by_end[len(best) - 1 :]:
            value: tuple[int, int] = (NEVER, 0)
            way = None
            for cut in cuts:
                before = best[cut.first]
                if before[0] + cut.instructions > value[0]:
                    continue
                found = (cut.instructions, cut.peak, False) if cut.peak <= limit else self.within(cut, limit)
                if found is not None:
                    candidate = (before[0] + found[0], before[1] + found[1])
                    if candidate < value:
                        value, way = candidate, cut
            best.append(value)
            chosen.append(way)
        if len(self._fastest) == _LIMITS:
            self._fastest.clear()
        self._fastest[limit] = best, chosen
        return best, chosen

    def cuts(self, limit: int) -> list[list[Cut]]:
        """For each stage the cuts that end with it and can be within a limit, without those never better than others.

        Those that begin first come first.
        """
        return self._admitted_within(limit)[1]

    def _admitted_within(self, limit: int) -> tuple[list[int], list[list[Cut]]]:
        known = self._admitted.get(limit)
        if known is not None:
            return known
        large = [0]  # How many of the stages before have a peak near the limit, each as a segment.
        found: list[list[Cut]] = []
        if self._trunk is not None:
            begun = self._trunk._admitted_within(limit)
            large, found = list(begun[0]), list(begun[1])
        for cuts in self.by_end[len(found) :]:
            alone = cuts[0]
            large.append(large[-1] + (alone.peak > much(limit)))
            # Stages that run as well one by one need not run together.
            fused = [cut for cut in cuts if cut is alone or large[cut.end] != large[cut.first]]
            found.append([cut for cut in reversed(fused) if self.within(cut, limit) is not None])
        if len(self._admitted) == _LIMITS:
            self._admitted.clear()
        self._admitted[limit] = large, found
        return large, found
