"""The feeder gives the batches' own batches, in order, and never outlives its block."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from search_toy import MONO, RGB, ToySource

from pipeline.datasets import Split
from pipeline.genotype import DataConfig
from pipeline.search.batches import Batches
from pipeline.search.feeding import Batch, Feeder, default_threads


def _batches() -> Batches:
    source = ToySource()
    labels = source.view(Split.TRAIN, MONO).labels
    return Batches({data: source.view(Split.TRAIN, data).images for data in (MONO, RGB)}, labels, 2, 8, (4,))


def _plan(step: int) -> Sequence[DataConfig]:
    return (MONO,) if step % 2 else (MONO, RGB)


def _alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("feeder")]


class _Recorder:
    """Counts what is made, and fails at one step."""

    def __init__(self, fails_at: int = -1) -> None:
        self.made: list[int] = []
        self.fails_at = fails_at
        self.several = threading.Event()

    def __call__(self, step: int, datas: Sequence[DataConfig]) -> Batch:
        if step == self.fails_at:
            raise OSError("no such image")
        self.made.append(step)
        if len(self.made) == 3:
            self.several.set()
        return {data: np.full((1, *data.shape), step, np.uint8) for data in datas}, np.zeros((1, 2), np.float32)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("first", [0, 5])
def test_gives_what_the_batches_give(first: int, depth: int, threads: int) -> None:
    batches = _batches()
    with Feeder(batches, _plan, first=first, steps=12, depth=depth, threads=threads) as feeder:
        for step in range(first, 12):
            images, targets = feeder(step)
            wanted, wanted_targets = batches(step, _plan(step))
            assert list(images) == list(wanted)
            assert all(np.array_equal(images[data], wanted[data]) for data in wanted)
            assert np.array_equal(targets, wanted_targets)
    assert not _alive()


def test_prepares_ahead_but_not_without_bound() -> None:
    maker = _Recorder()
    with Feeder(maker, _plan, depth=3, threads=1) as feeder:
        assert maker.several.wait(30)  # nobody has asked for one yet
        assert maker.made == [0, 1, 2]
        feeder(0)
    assert len(maker.made) <= 4
    assert not _alive()


def test_no_step_is_made_past_the_last() -> None:
    maker = _Recorder()
    with Feeder(maker, _plan, steps=3, depth=8) as feeder:
        for step in range(3):
            feeder(step)
        with pytest.raises(ValueError, match="past the 3"):
            feeder(3)
    assert sorted(maker.made) == [0, 1, 2]


def test_an_error_of_the_thread_is_raised_where_its_batch_is_asked_for() -> None:
    with Feeder(_Recorder(fails_at=2), _plan) as feeder:
        feeder(0)
        feeder(1)
        for _ in range(2):
            with pytest.raises(OSError, match="no such image"):
                feeder(2)
    assert not _alive()


def test_an_error_of_the_plan_is_raised_too() -> None:
    def plan(step: int) -> Sequence[DataConfig]:
        raise LookupError(step)

    with Feeder(_Recorder(), plan) as feeder, pytest.raises(LookupError):
        feeder(0)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_thread_ends_when_its_consumer_fails(error: type[BaseException]) -> None:
    with pytest.raises(error), Feeder(_Recorder(), _plan, depth=1) as feeder:
        feeder(0)
        raise error
    assert not _alive()


def test_steps_are_taken_in_order_and_within_the_block() -> None:
    feeder = Feeder(_Recorder(), _plan)
    with pytest.raises(RuntimeError):
        feeder(0)
    with feeder:
        with pytest.raises(ValueError, match="0 is next"):
            feeder(1)
        feeder(0)
    with pytest.raises(RuntimeError):
        feeder(1)


def test_waiting_is_told_and_stands_still_afterwards() -> None:
    release = threading.Event()

    class Slow(_Recorder):
        def __call__(self, step: int, datas: Sequence[DataConfig]) -> Batch:
            assert release.wait(30)
            return super().__call__(step, datas)

    feeder = Feeder(Slow(), _plan, steps=1)
    assert feeder.waiting == 0
    with feeder:
        threading.Timer(0.05, release.set).start()
        feeder(0)
    assert 0 < feeder.waited <= feeder.elapsed
    assert 0 < feeder.waiting <= 1
    assert feeder.elapsed == feeder.elapsed


def test_threads_work_side_by_side() -> None:
    together = threading.Barrier(3)

    class Meeting(_Recorder):
        def __call__(self, step: int, datas: Sequence[DataConfig]) -> Batch:
            together.wait(30)  # raises, if the three never come together
            return super().__call__(step, datas)

    with Feeder(Meeting(), _plan, steps=3, threads=3) as feeder:
        for step in range(3):
            images, _ = feeder(step)
            assert all((values == step).all() for values in images.values())
    assert not _alive()


def test_a_few_cores_are_the_trainers() -> None:
    assert 1 <= default_threads() <= 4
    with pytest.raises(ValueError, match="at least 1"):
        Feeder(_Recorder(), _plan, threads=0)
