"""How far before a dying input an output may begin."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.estimate.overlap import Geometry, distance

Chain = list[tuple[int, int, int]]


def _run(rows: int, chain: Chain) -> tuple[Geometry, ...]:
    run = []
    for kernel, stride, pad in chain:
        rows = max(1, (rows + 2 * pad - kernel) // stride + 1)
        run.append((rows, ((1, kernel, stride, pad),)))
    return tuple(run)


def _by_running(run: tuple[Geometry, ...], rows: int, row_bytes: int, output_row_bytes: int) -> int:
    """The same, by taking each step as late as it can be."""
    done = [0] * len(run)
    worst = 0

    def make(stage: int) -> None:
        nonlocal worst
        _, ((_, kernel, stride, pad),) = run[stage]
        if stage > 0:
            while done[stage - 1] < min(run[stage - 1][0], done[stage] * stride - pad + kernel):
                make(stage - 1)
        if stage == len(run) - 1:
            steps, ((_, _, first_stride, first_pad),) = run[0]
            low = rows if done[0] >= steps else min(rows, max(0, done[0] * first_stride - first_pad))
            worst = max(worst, (done[stage] + 1) * output_row_bytes - low * row_bytes)
        done[stage] += 1

    for _ in range(run[-1][0]):
        make(len(run) - 1)
    return worst


windows = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2)).filter(
    lambda window: window[2] < window[0]
)


@given(st.integers(5, 30), st.lists(windows, min_size=1, max_size=4), st.integers(1, 50), st.integers(1, 50))
def test_a_chain_is_as_far_apart_as_its_steps_say(rows: int, chain: Chain, row_bytes: int, output: int) -> None:
    run = _run(rows, chain)
    found = distance(run, (len(run) - 1,), ((0, 0),), rows=rows, row_bytes=row_bytes, output_row_bytes=output)
    assert found == _by_running(run, rows, row_bytes, output)


def test_a_3x3_convolution_of_the_same_size_keeps_two_rows_apart() -> None:
    run = ((8, ((1, 3, 1, 1),)),)
    assert distance(run, (0,), ((0, 0),), rows=8, row_bytes=10, output_row_bytes=10) == 20


def test_an_output_that_is_added_to_counts_what_the_row_before_needed() -> None:
    # Stage 0 makes the skip from the input, stage 1 the rest from the skip, stage 2 adds both over stage 1's output.
    run = ((8, ((1, 1, 1, 0),)), (8, ((1, 3, 1, 1),)), (8, ((1, 1, 1, 0), (2, 1, 1, 0))))
    # When row y of stage 1 is made, rows up to y + 1 of the input are done with.
    assert distance(run, (1, 2), ((0, 0),), rows=8, row_bytes=10, output_row_bytes=10) == 0
