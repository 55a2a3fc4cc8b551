"""Batches prepared ahead, in a thread of its own, so that whoever trains need not wait for images.

What comes out is what the batches themselves would give: the thread changes when a batch is made, never what is in it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.genotype import DataConfig

Batch = tuple[dict[DataConfig, NDArray[np.uint8]], NDArray[np.float32]]
Plan = Callable[[int], Sequence[DataConfig]]

#: Batches kept ready; more would only cost memory, since one producer is either fast enough or not.
DEPTH = 4
#: Where waiting is more than this share of the time, training is held up by its images.
MOST_WAITING = 0.20
_POLL = 0.1


class _Maker(Protocol):
    def __call__(self, step: int, datas: Sequence[DataConfig], /) -> Batch: ...


class Feeder:
    """Hands out the batches of consecutive steps; a context manager, whose end stops the thread whatever happened.

    Args:
        batches: Makes the batch of a step at some data configurations; see :class:`pipeline.search.batches.Batches`.
        plan: The data configurations that a step needs. Called in the thread, so it must not change anything.
        first: The step to begin with.
        steps: Steps are prepared up to here, exclusive; None for no end.
        depth: How many batches are kept ready.

    Attributes:
        waited: Seconds that the consumer has spent waiting for a batch.
    """

    def __init__(
        self, batches: _Maker, plan: Plan, *, first: int = 0, steps: int | None = None, depth: int = DEPTH
    ) -> None:
        if depth < 1 or first < 0:
            raise ValueError("depth is at least 1, and the first step not negative")
        self.waited = 0.0
        self._batches = batches
        self._plan = plan
        self._next = first
        self._steps = steps
        self._ready: queue.Queue[Batch | BaseException] = queue.Queue(depth)
        self._stop = threading.Event()
        self._began: float | None = None
        self._ended: float | None = None
        self._thread = threading.Thread(target=self._produce, args=(first,), name="feeder", daemon=True)

    def __enter__(self) -> Feeder:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._ended = time.monotonic()
        self._thread.join()

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
            Exception: Whatever stopped the thread; every further call raises it again.
        """
        if step != self._next:
            raise ValueError(f"step {step} was asked for, {self._next} is next")
        if self._began is None or self._ended is not None:
            raise RuntimeError("a feeder hands out batches within its `with` block alone")
        if self._steps is not None and step >= self._steps:
            raise ValueError(f"step {step} is past the {self._steps} planned")
        began = time.monotonic()
        try:
            found = self._ready.get()
        finally:
            self.waited += time.monotonic() - began
        if isinstance(found, BaseException):
            self._ready.put(found)  # the thread has ended: there is room, and nobody else puts anything
            raise found
        self._next += 1
        return found

    def _produce(self, step: int) -> None:
        try:
            while not self._stop.is_set() and (self._steps is None or step < self._steps):
                self._put(self._batches(step, self._plan(step)))
                step += 1
        except BaseException as error:  # it is raised where the batch is asked for
            self._put(error)

    def _put(self, item: Batch | BaseException) -> None:
        """Wait for room, but not longer than the feeder lives."""
        while not self._stop.is_set():
            try:
                self._ready.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return
