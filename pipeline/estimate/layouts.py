"""From step to step: the layouts of steps that are given one behind the other, or of the best of many that may be.

Networks that begin with the same steps begin with the same layouts. What is behind a :class:`Chain` of steps is kept
with it, and chains that begin alike share their beginnings; of steps that may be chosen a tree remembers the ways that
have been gone. Nothing in either refers back from what comes first to what comes later and back, so that what is
dropped is free without a search for cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.estimate.placing import Layout, State, Step, beginnings, behind, best, is_tight, looked_at, traced

#: Layouts that are remembered by a tree.
_MOST = 4_000

#: (key, bytes) of the buffers that are there at the beginning.
Given = tuple[tuple[int, int], ...]


@dataclass(slots=True, eq=False)
class Chain:
    """Steps one behind the other: those of ``before``, and one more; none where there is no step."""

    step: Step | None = None
    before: Chain | None = None
    #: The ways to lay out what is alive behind them, by (what is given, limit, width) and whether no step follows.
    states: dict[tuple[Given, int, int, bool], list[State]] = field(default_factory=dict)

    @property
    def steps(self) -> list[Step]:
        """All of them, the first one first."""
        found: list[Step] = []
        chain: Chain | None = self
        while chain is not None and chain.step is not None:
            found.append(chain.step)
            chain = chain.before
        return found[::-1]


@dataclass(slots=True, eq=False)
class Link:
    """A chain, and the longer ones that begin with it by the step that follows."""

    chain: Chain
    then: dict[Step, Link] = field(default_factory=dict)


@dataclass(slots=True)
class _Reached:
    """The ways behind some stages, and what is reached from there.

    By the steps that end with a later stage, whether each begins where there is little room, and whether none follows.
    """

    states: list[State]
    then: dict[tuple[tuple[Step, ...], tuple[bool, ...], bool], _Reached] = field(default_factory=dict)


class Layouts:
    """Lays out steps, and remembers the layouts of what they begin with."""

    def __init__(self) -> None:
        self.root = Link(Chain())
        self._starts: dict[tuple[Given, int, int], _Reached] = {}
        self._count = 0

    def _remember(self) -> None:
        if self._count > _MOST:
            self.root = Link(Chain())
            self._starts.clear()
            self._count = 0
        self._count += 1

    def linked(self, link: Link, step: Step) -> Link:
        """The chain with one more step."""
        known = link.then.get(step)
        if known is None:
            self._remember()
            known = link.then[step] = Link(Chain(step, link.chain))
        return known

    def chain(self, steps: Sequence[Step]) -> Chain:
        """The chain of steps."""
        link = self.root
        for step in steps:
            link = self.linked(link, step)
        return link.chain

    def along(self, chain: Chain, given: Given, limit: int, *, width: int) -> Layout | None:
        """The cheapest layout of a chain of steps that was found within a limit; None where none was.

        Args:
            chain: The steps of a whole model, at least one.
            given: The buffers that are there at the beginning.
            limit: Bytes of the arena.
            width: Ways to lay out what is alive that are carried from step to step.
        """
        if chain.step is None or chain.before is None:
            return None
        states = self.behind(chain.before, given, limit, width=width)
        if not states:
            return None
        last = (given, limit, width, True)
        if last not in chain.states:
            chain.states[last] = _one_behind(chain.step, states, limit, width, last=True)
        final = best(chain.states[last])
        return None if final is None else traced(final)

    def behind(self, chain: Chain, given: Given, limit: int, *, width: int) -> list[State]:
        """The ways to lay out what is alive behind a chain that other steps follow; none where it does not fit."""
        key = (given, limit, width, False)
        new = []
        at: Chain | None = chain
        while at is not None and key not in at.states:
            new.append(at)
            at = at.before
        states = list(beginnings(given, limit)) if at is None else at.states[key]
        for link in reversed(new):
            if link.step is not None:
                states = _one_behind(link.step, states, limit, width, last=False)
            link.states[key] = states
        return states

    def lay_out(self, ends: Sequence[tuple[Step, ...]], given: Given, limit: int, *, width: int) -> Layout | None:
        """The cheapest layout that was found within a limit; None where none was.

        Args:
            ends: For each stage the segments that may end with it, those that begin first before others.
            given: The buffers that are there at the beginning.
            limit: Bytes of the arena.
            width: Ways to lay out what is alive that are carried from stage to stage.
        """
        final = best(self.behind_each(ends, given, limit, width=width, last=True)[-1][0])
        return None if final is None else traced(final)

    def behind_each(
        self, ends: Sequence[tuple[Step, ...]], given: Given, limit: int, *, width: int, last: bool
    ) -> list[tuple[list[State], bool]]:
        """For each number of first stages the ways to lay out what is alive behind them, and whether room is short.

        ``last``: no other stages follow all of them.
        """
        reached = self._starts.get((given, limit, width))
        if reached is None:
            reached = self._starts[given, limit, width] = _Reached(list(beginnings(given, limit)))
        need = [0] * (len(ends) + 1)
        for steps in ends:
            for step in steps:
                need[step.first] = max(need[step.first], step.size)
        #: The ways behind so many stages, and whether there is little room there.
        ways: list[list[State]] = [[] for _ in need]
        tight = [False] * len(need)
        ways[0] = reached.states
        tight[0] = bool(ways[0]) and is_tight(ways[0], need[0], limit)
        for count, steps in enumerate(ends, 1):
            if not steps:
                continue
            key = (steps, tuple([tight[step.first] for step in steps]), last and count == len(ends))
            known = reached.then.get(key)
            if known is None:
                self._remember()
                tries = [(step, looked_at(ways[step.first], width, tight=tight[step.first])) for step in steps]
                known = reached.then[key] = _Reached(behind(tries, limit, width, last=key[2]))
            reached = known
            ways[count] = known.states
            tight[count] = bool(known.states) and is_tight(known.states, need[count], limit)
        return list(zip(ways, tight, strict=True))


def _one_behind(step: Step, states: list[State], limit: int, width: int, *, last: bool) -> list[State]:
    if not states:
        return []
    looked = looked_at(states, width, tight=is_tight(states, step.size, limit))
    return behind([(step, looked)], limit, width, last=last)
