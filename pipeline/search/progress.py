"""What a search tells while it runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.search.candidate import Candidate
from pipeline.search.health import Event


class Phase(StrEnum):
    """What is going on."""

    SUPERNET = "supernet"
    CANDIDATE = "candidate"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A moment of the search.

    Attributes:
        phase: Training a supernet, scoring a candidate, or finished.
        subject: Data configuration or genotype id.
        step: Training steps done of ``steps``; 0 of 0 outside training.
        steps: See ``step``.
        loss: What is trained has this loss on its latest batch, None outside training.
        accuracy: Likewise its accuracy on the augmented batch; says little about any candidate.
        waiting: Share of its training time that it stood still for want of images, None outside training.
        evaluations: Candidates evaluated, of ``evaluations_of`` (None without such a budget).
        evaluations_of: See ``evaluations``.
        best: The best feasible candidate so far.
        elapsed: Seconds since the search (this process's part of it) began.
        left: Estimated seconds left, None while nothing can be said.
        events: What the user should know of, oldest first.
    """

    phase: Phase
    subject: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    accuracy: float | None = None
    waiting: float | None = None
    evaluations: int
    evaluations_of: int | None
    best: Candidate | None
    elapsed: float
    left: float | None
    events: tuple[Event, ...] = ()


Listener = Callable[[Progress], None]
Clock = Callable[[], float]

#: Evaluations from which a pace can be told.
_ENOUGH = 3


class Budget:
    """Evaluations and seconds, whichever ends first.

    Args:
        evaluations: How many, None for any number.
        seconds: How long, None for any time.
        spent: Seconds spent by earlier processes on the same search.
        clock: Monotonic seconds.
    """

    def __init__(
        self, evaluations: int | None, seconds: float | None, *, spent: float = 0.0, clock: Clock = time.monotonic
    ) -> None:
        self.evaluations = evaluations
        self._seconds = seconds
        self._spent = spent
        self._clock = clock
        self._began = clock()

    @property
    def elapsed(self) -> float:
        """Seconds of this process."""
        return self._clock() - self._began

    @property
    def time_is_left(self) -> bool:
        """False once the seconds are spent."""
        return self._seconds is None or self._spent + self.elapsed < self._seconds

    def allows(self, evaluated: int) -> bool:
        """Whether one more evaluation may begin."""
        return self.time_is_left and (self.evaluations is None or evaluated < self.evaluations)

    def left(self, evaluated: int, took: Sequence[float], workers: int = 1) -> float | None:
        """Seconds left; None while nothing can be said.

        Args:
            evaluated: Candidates evaluated.
            took: Seconds of each that this process has evaluated. The median counts: a few trained what all others use.
            workers: Processes that evaluate at once.
        """
        guesses = []
        if self._seconds is not None:
            guesses.append(max(0.0, self._seconds - self._spent - self.elapsed))
        if self.evaluations is not None and len(took) >= _ENOUGH:
            guesses.append(max(0, self.evaluations - evaluated) * statistics.median(took) / workers)
        return min(guesses, default=None)
