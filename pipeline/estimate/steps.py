"""From cuts to steps: what a cut makes, keeps and lets die, as placing.py wants to know it, within a limit.

As all else that is found out about cuts, it is found out once for the Graphs with the same trunk: the steps of the
fewest instructions within a limit are a chain that begins with the trunk's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.estimate.layouts import Layouts, Link
from pipeline.estimate.placing import Step
from pipeline.estimate.runs import Cut, Overlap, Way
from pipeline.estimate.segments import Cutter

#: Keys of scratch and sums beside the numbers of Stores.
SCRATCH, SUMS = -1, -2
#: Limits for which steps are remembered.
_LIMITS = 16


@dataclass(frozen=True)
class Taken:
    """A cut's Stores that are rings, how its stages run, and the bytes of their sums.

    Not the cut itself, which has its steps: what is no longer needed shall be free without a search for cycles.
    """

    flat: bool
    rings: tuple[int, ...]
    ways: tuple[Way, ...]
    sums: int

    @property
    def scratch(self) -> int:
        """Bytes of scratch that the stages share."""
        return max([way.scratch for way in self.ways])


@dataclass(slots=True)
class _Along:
    """For each number of first stages the chain of the cuts with the fewest instructions, and their highest peak.

    None where nobody has asked yet.
    """

    links: list[Link | None]
    peaks: list[int] = field(default_factory=list)


class Steps:
    """The steps that a model's cuts are."""

    def __init__(
        self, cutter: Cutter, layouts: Layouts, *, align: Callable[[int], int], trunk: Steps | None = None
    ) -> None:
        """Steps of cuts.

        Args:
            cutter: The cuts.
            layouts: Where chains of steps are remembered.
            align: Rounds sizes up.
            trunk: The steps of the first stages, which are a trunk's.
        """
        self.cutter, self.layouts, self._align, self._trunk = cutter, layouts, align, trunk
        self.runs = cutter.runs
        self._along: dict[tuple[int, bool], _Along] = {}
        self._ends: dict[int, list[tuple[Step, ...]]] = {}

    def fewest_instructions(self, limit: int, *, sparing: bool) -> tuple[Link, int]:
        """The steps with the fewest instructions within a limit, and their peak.

        Raises:
            ValueError: No cuts have such a peak.
        """
        along = self._known(limit, sparing=sparing)
        chosen = self.cutter.chosen(limit)
        cuts: list[Cut] = []
        end = len(chosen) - 1
        while (link := along.links[end]) is None:
            cut = chosen[end]
            if cut is None:
                raise ValueError(f"no cuts have a peak of at most {limit} bytes")
            cuts.append(cut)
            end = cut.first
        peak = along.peaks[end]
        for cut in reversed(cuts):
            link = self.layouts.linked(link, self.step(cut, limit, sparing=sparing))
            peak = max(peak, cut.peak if cut.peak <= limit else self._peak(cut, limit))
            along.links[cut.end], along.peaks[cut.end] = link, peak
        return link, peak

    def _known(self, limit: int, *, sparing: bool) -> _Along:
        known = self._along.get((limit, sparing))
        if known is not None:
            return known
        count = len(self.runs.stages)
        if self._trunk is None:
            known = _Along([self.layouts.root, *(None for _ in range(count))], [0] * (count + 1))
        else:
            begun = self._trunk._known(limit, sparing=sparing)
            more = count + 1 - len(begun.links)
            known = _Along(begun.links + [None] * more, begun.peaks + [0] * more)
        if len(self._along) == _LIMITS:
            self._along.clear()
        self._along[limit, sparing] = known
        return known

    def within(self, limit: int) -> list[tuple[Step, ...]]:
        """For each stage the steps that may end with it within a limit, those that begin first before others."""
        known = self._ends.get(limit)
        if known is None:
            known = [] if self._trunk is None else list(self._trunk.within(limit))
            for cuts in self.cutter.cuts(limit)[len(known) :]:
                known.append(tuple([self.step(cut, limit) for cut in cuts]))
            if len(self._ends) == _LIMITS:
                self._ends.clear()
            self._ends[limit] = known
        return known

    def _peak(self, cut: Cut, limit: int) -> int:
        """The peak of a cut as it is cheapest within a limit that it can be within."""
        found = self.cutter.within(cut, limit)
        return cut.peak if found is None else found[1]

    def step(self, cut: Cut, limit: int, *, sparing: bool = False) -> Step:
        """A cut as a Step; ``sparing``: with an overlap only where it is needed.

        Raises:
            ValueError: It needs more than the limit.
        """
        if cut.usual is not None and cut.peak <= limit and (sparing or cut.peak <= limit // 2):
            return cut.usual
        found = self.cutter.within(cut, limit)
        if found is None:
            raise ValueError(f"stages {cut.first} to {cut.end} need more than {limit} bytes")
        cost, peak, needed = found
        overlap = self.runs.overlap(cut) if needed or (not sparing and peak > limit // 2) else None
        ways = self.cutter.blocks(cut, limit - (cut.base - (overlap.saved if needed and overlap else 0)))
        if overlap is None and cut.peak <= limit:
            if cut.usual is None:
                cut.usual = self._step(cut, cost, overlap, ways)
            return cut.usual
        known = (overlap is not None, *(way.block for way in ways))
        if cut.others is None:
            cut.others = {}
        if known not in cut.others:
            cut.others[known] = self._step(cut, cost, overlap, ways)
        return cut.others[known]

    def _step(self, cut: Cut, cost: int, overlap: Overlap | None, ways: Sequence[Way]) -> Step:
        runs, stores = self.runs, self.runs.stores
        taken = Taken(cut.flat, tuple(runs.in_rings(cut)), tuple(ways), sum(runs.sums[cut.first : cut.end]))
        dying = {number for number in runs.standing[cut.first] if stores[number].last < cut.end}
        kept: list[int] = []
        for made in runs.made[cut.first : cut.end]:
            kept += [number for number in made if stores[number].last >= cut.end]
        local = [(number, runs.rings[number]) for number in runs.in_rings(cut)]
        for number in runs.made[cut.end - 1]:
            if stores[number].last < cut.end:
                local.append((number, runs.full[number]))
        for key, size in ((SCRATCH, taken.scratch), (SUMS, taken.sums)):
            if size:
                local.append((key, self._align(size)))
        first = overlap.output if overlap is not None else None
        kept.sort(key=lambda number: (number != first, -stores[number].nbytes))
        local.sort(key=lambda item: -item[1])
        return Step(
            cut.first,
            cut.end,
            cost,
            tuple([(number, runs.full[number]) for number in kept]),
            tuple(local),
            frozenset(dying),
            (overlap.input, overlap.distance) if overlap is not None else None,
            taken,
        )
