"""One deadline for a wait that is made of many small waits, on the monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


class Deadline:
    """A moment after which a wait is over.

    Args:
        seconds: From now.
        clock: Seconds on a clock that never goes back; another one only in tests.

    >>> Deadline(0).expired
    True
    """

    def __init__(self, seconds: float, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds
        self.seconds = seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._end - self._clock())

    @property
    def expired(self) -> bool:
        """Whether nothing is left."""
        return self._clock() >= self._end

    def within(self, seconds: float) -> Deadline:
        """A deadline ``seconds`` from now, or this one where it comes first."""
        return Deadline(min(seconds, self.remaining), clock=self._clock)


class ManualClock:
    """A clock that stands still until it is told to go on: waits cost no time in tests."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._now += seconds
