"""Which part of a trace is an inference, and the energy in it: the integral of power over time, by trapezoids."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.device.power.reading import Sample
from pipeline.errors import UsageError


@dataclass(frozen=True)
class Window:
    """A part of a trace, seconds ``begin``…``end``; ``coulombs`` is None where the trace has no current."""

    begin: float
    end: float
    joules: float
    coulombs: float | None


class Rule(Protocol):
    """Says which parts of a trace count."""

    @property
    def text(self) -> str:
        """In words, for the record."""

    def windows(self, samples: Iterable[Sample]) -> Iterator[Window]:
        """The parts that are whole in the trace, in order of time; each sample is looked at once."""


class _Sum:
    """A window as it grows."""

    def __init__(self, begin: float) -> None:
        self.begin = begin
        self.joules = 0.0
        self.coulombs: float | None = 0.0

    def add(self, seconds: float, one: Sample, other: Sample) -> None:
        self.joules += seconds * (one.power + other.power) / 2
        if one.current is None or other.current is None or self.coulombs is None:
            self.coulombs = None
        else:
            self.coulombs += seconds * (one.current + other.current) / 2

    def end(self, at: float) -> Window:
        return Window(self.begin, at, self.joules, self.coulombs)


@dataclass(frozen=True)
class Between:
    """One window between two times, in seconds from the trace's first sample."""

    start: float
    stop: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise UsageError(
                "no-window",
                f"--from {self.start:g} --to {self.stop:g} is no part of a trace",
                why="Times are seconds from the first sample, the first before the second.",
                next="For example --from 0.5 --to 0.62.",
            )

    @property
    def text(self) -> str:
        """See :class:`Rule`."""
        return f"from {self.start:g} s to {self.stop:g} s"

    def windows(self, samples: Iterable[Sample]) -> Iterator[Window]:
        """See :class:`Rule`; the ends are interpolated between samples."""
        found: _Sum | None = None
        before: Sample | None = None
        zero = 0.0
        for sample in samples:
            if before is None:
                zero = sample.time
            start, stop = zero + self.start, zero + self.stop
            if before is not None and sample.time > start and before.time < stop:
                left, right = _at(before, sample, max(start, before.time)), _at(before, sample, min(stop, sample.time))
                found = found or _Sum(start)
                found.add(right.time - left.time, left, right)
            # A time in another unit may be rounded to just before the one that the user means.
            if found is not None and sample.time >= stop - 4 * math.ulp(stop):
                yield found.end(stop)
                return
            before = sample


@dataclass(frozen=True)
class High:
    """Windows in which each sample fulfils a condition; a sample holds until the next one.

    One that is under way when the trace begins or ends is none: nobody knows how long it took.

    Attributes:
        condition: The condition in words.
        holds: The same as a function.
        least: Seconds; what is shorter does not count.
    """

    condition: str
    holds: Callable[[Sample], bool]
    least: float = 0.0

    @property
    def text(self) -> str:
        """See :class:`Rule`."""
        return f"while {self.condition}" + (f", at least {1000 * self.least:g} ms long" if self.least else "")

    def windows(self, samples: Iterable[Sample]) -> Iterator[Window]:
        """See :class:`Rule`."""
        found: _Sum | None = None
        before: Sample | None = None
        was_low = False
        for sample in samples:
            if found is not None and before is not None:
                found.add(sample.time - before.time, before, sample)
            if not self.holds(sample):
                if found is not None and sample.time - found.begin >= self.least:
                    yield found.end(sample.time)
                found, was_low = None, True
            elif found is None and was_low:
                found = _Sum(sample.time)
            before = sample


def marked(channel: str, least: float = 0.0) -> High:
    """While the marker channel, which is the trace's (:class:`~pipeline.device.power.reading.Options`), is high."""
    return High(f"{channel} is high", lambda sample: sample.level, least)


def above(amperes: float, least: float = 0.0) -> High:
    """While the current is at least so many amperes; raises ``no-window`` for a trace that has power alone."""

    def holds(sample: Sample) -> bool:
        if sample.current is None:
            raise UsageError(
                "no-window",
                "--threshold is a current, and the trace has none",
                why="It has power alone.",
                next="Take --marker, or --from and --to.",
            )
        return sample.current >= amperes

    return High(f"the current is at least {1000 * amperes:g} mA", holds, least)


def _at(one: Sample, other: Sample, time: float) -> Sample:
    """What lies between two samples, on a straight line."""
    span = other.time - one.time
    share = (time - one.time) / span if span else 0.0
    current = None
    if one.current is not None and other.current is not None:
        current = one.current + share * (other.current - one.current)
    return Sample(time, one.power + share * (other.power - one.power), current, one.level)
