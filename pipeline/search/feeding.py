"""Batches prepared ahead, in threads of their own, so that whoever trains need not wait for images.

What comes out is what the batches themselves would give: the threads change when a batch is made, never what is in it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.genotype import DataConfig

Batch = tuple[dict[DataConfig, NDArray[np.uint8]], NDArray[np.float32]]
Plan = Callable[[int], Sequence[DataConfig]]

#: Batches in the making or ready for each thread; more would only cost memory.
DEPTH = 4
#: Threads at most. Pillow lets them run side by side; on a few cores one must do, the others are the trainer's.
MOST_THREADS = 4
#: Where waiting is more than this share of the time, training is held up by its images.
MOST_WAITING = 0.20


class _Maker(Protocol):
    def __call__(self, step: int, datas: Sequence[DataConfig], /) -> Batch: ...


class Feeder:
    """Hands out the batches of consecutive steps; a context manager, whose end stops the threads whatever happened.

    Args:
        batches: Makes the batch of a step at some data configurations; see :class:`pipeline.search.batches.Batches`.
        plan: The data configurations that a step needs. Called in the threads, so it must not change anything.
        first: The step to begin with.
        steps: Steps are prepared up to here, exclusive; None for no end.
        depth: How many batches are kept ready for each thread.
        threads: How many threads; None: :func:`default_threads`.

    Attributes:
        waited: Seconds that the consumer has spent waiting for a batch.
    """

    def __init__(
        self,
        batches: _Maker,
        plan: Plan,
        *,
        first: int = 0,
        steps: int | None = None,
        depth: int = DEPTH,
        threads: int | None = None,
    ) -> None:
        self._threads = default_threads() if threads is None else threads
        if depth < 1 or first < 0 or self._threads < 1:
            raise ValueError("depth and threads are at least 1, and the first step not negative")
        self.waited = 0.0
        self._batches = batches
        self._plan = plan
        self._next = first
        self._steps = steps
        self._depth = depth * self._threads
        self._ahead: deque[Future[Batch]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._began: float | None = None
        self._ended: float | None = None

    def __enter__(self) -> Feeder:
        self._began = time.monotonic()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="feeder")
        self._fill(self._pool)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended = time.monotonic()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def elapsed(self) -> float:
        """Seconds since the feeder was entered, until it was left."""
        if self._began is None:
            return 0.0
        return (time.monotonic() if self._ended is None else self._ended) - self._began

    @property
    def waiting(self) -> float:
        """Share of the time that the consumer has waited, 0..1."""
        elapsed = self.elapsed
        return min(1.0, self.waited / elapsed) if elapsed > 0 else 0.0

    def __call__(self, step: int) -> Batch:
        """The batch of a step: its images by data configuration, and its targets.

        Raises:
            ValueError: Not the step that is next.
            RuntimeError: The feeder is not entered, or has been left.
            Exception: Whatever happened while it was made; every further call raises it again.
        """
        if step != self._next:
            raise ValueError(f"step {step} was asked for, {self._next} is next")
        if self._pool is None or self._ended is not None:
            raise RuntimeError("a feeder hands out batches within its `with` block alone")
        if self._steps is not None and step >= self._steps:
            raise ValueError(f"step {step} is past the {self._steps} planned")
        began = time.monotonic()
        try:
            found = self._ahead[0].result()  # one that failed stays where it is: it is raised each time
        finally:
            self.waited += time.monotonic() - began
        self._ahead.popleft()
        self._next += 1
        self._fill(self._pool)
        return found

    def _fill(self, pool: ThreadPoolExecutor) -> None:
        while len(self._ahead) < self._depth:
            step = self._next + len(self._ahead)
            if self._steps is not None and step >= self._steps:
                return
            self._ahead.append(pool.submit(self._make, step))

    def _make(self, step: int) -> Batch:
        return self._batches(step, self._plan(step))


def default_threads() -> int:
    """How many threads make batches: a quarter of the processor's cores, 1 to :data:`MOST_THREADS`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, cores // 4))
