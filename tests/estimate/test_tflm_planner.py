"""TFLM's greedy planner: what it places nowhere twice, and how it breaks ties."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.estimate.tflm.planner import Buffer, place


@st.composite
def buffers(draw: st.DrawFn) -> list[Buffer]:
    made = []
    for tensor in range(draw(st.integers(0, 14))):
        first = draw(st.integers(0, 8))
        size = draw(st.one_of(st.integers(1, 500), st.sampled_from([32, 48, 64])))
        made.append(Buffer(tensor, size, first, draw(st.integers(first, 9))))
    return made


def _meet(one: Buffer, other: Buffer) -> bool:
    return one.first <= other.last and other.first <= one.last


@settings(max_examples=60)
@given(buffers())
def test_what_lives_at_one_time_shares_no_byte(made: list[Buffer]) -> None:
    total = place(made)
    assert total == max((buffer.end for buffer in made), default=0)
    assert all(buffer.offset % 16 == 0 for buffer in made)
    for one, other in itertools.combinations(made, 2):
        assert not _meet(one, other) or one.end <= other.offset or other.end <= one.offset


@settings(max_examples=40)
@given(buffers())
def test_each_lies_at_zero_or_right_behind_one_that_was_placed_before(made: list[Buffer]) -> None:
    place(made)
    order = sorted(made, key=lambda buffer: (-((buffer.size + 15) // 16), -buffer.tensor))
    for number, buffer in enumerate(order):
        before = [other for other in order[:number] if _meet(buffer, other)]
        assert buffer.offset in {0, *(other.end for other in before)}
        # It is the lowest place that was free.
        for offset in (0, *(other.end for other in before)):
            end = offset + buffer.end - buffer.offset
            if offset < buffer.offset:
                assert any(offset < other.end and other.offset < end for other in before)


def test_of_one_size_the_last_is_placed_first() -> None:
    made = [Buffer(number, 32, 0, 3) for number in range(4)]
    assert place(made) == 128
    assert [buffer.offset for buffer in made] == [96, 64, 32, 0]


def test_sizes_are_compared_as_they_are_taken() -> None:
    """40 and 33 bytes take 48 each: a tie, which the later one wins."""
    made = [Buffer(0, 40, 0, 1), Buffer(1, 33, 0, 1)]
    place(made)
    assert [buffer.offset for buffer in made] == [48, 0]


def test_a_gap_is_taken_where_it_is_wide_enough() -> None:
    made = [Buffer(0, 64, 0, 2), Buffer(1, 48, 0, 0), Buffer(2, 32, 0, 2), Buffer(3, 16, 1, 2)]
    assert place(made) == 144
    assert [buffer.offset for buffer in made] == [0, 64, 112, 64]
