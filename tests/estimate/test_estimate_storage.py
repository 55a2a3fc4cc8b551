"""Stores and rings: how many rows are alive between what makes them and what reads them."""

from __future__ import annotations

import plan_graphs
import pytest

from pipeline.estimate.stages import stages
from pipeline.estimate.storage import Store, rows_alive, stores
from pipeline.graph.model import Graph, NoOptions, OpCode, Padding


def _stores(graph: Graph) -> dict[int, Store]:
    return {tensor: store for store in stores(graph) for tensor in store.tensors}


@pytest.mark.parametrize(
    ("kernel", "stride", "rows"), [(1, 1, 1), (3, 1, 3), (3, 2, 3), (5, 3, 5), (1, 3, 1), (7, 1, 6)]
)
def test_a_ring_holds_the_kernel_or_the_image(kernel: int, stride: int, rows: int) -> None:
    sketch = plan_graphs.Sketch((1, 6, 6, 2))
    x = sketch.pointwise(0, 4)
    y = sketch.window(OpCode.CONV_2D, x, 3, (kernel, kernel), (stride, stride), Padding.SAME)
    found = _stores(sketch.finish(y))
    assert (found[x].ring, found[x].joined, found[x].ring_bytes) == (rows, 1, rows * 24)


def test_a_skip_waits_in_the_ring_for_the_branch_that_takes_longer() -> None:
    sketch = plan_graphs.Sketch((1, 12, 12, 2))
    x = sketch.pointwise(0, 4)
    y = sketch.window(OpCode.CONV_2D, x, 4, (3, 3), (1, 1), Padding.SAME)
    z = sketch.window(OpCode.CONV_2D, y, 4, (5, 5), (1, 1), Padding.SAME)
    graph = sketch.finish(sketch.pointwise(sketch.add(x, z), 2))
    found = _stores(graph)
    # Row r of the sum needs row r + 2 of y and row r + 3 of x; row r of x has waited for it.
    assert found[x].ring == 4 and found[x].joined == 3 and found[y].ring == 5
    assert rows_alive(stages(graph))[x] == 4


def test_what_is_written_over_an_input_shares_its_store() -> None:
    sketch = plan_graphs.Sketch((1, 6, 6, 2))
    x = sketch.pointwise(0, 4)
    relu = sketch.operator(OpCode.RELU, (x,), (1, 6, 6, 4), NoOptions())
    y = sketch.window(OpCode.CONV_2D, relu, 3, (3, 3), (1, 1), Padding.SAME)
    found = _stores(sketch.finish(y))
    assert found[x] is found[relu] and found[x].tensors == (x, relu)
    assert (found[x].first, found[x].last, found[x].ring) == (0, 2, 3)


def test_what_is_read_with_other_rows_does_not_stream() -> None:
    sketch = plan_graphs.Sketch((1, 6, 6, 2))
    x = sketch.pointwise(0, 4)
    y = sketch.pointwise(sketch.reshape(x, (1, 4, 9, 4)), 2)
    found = _stores(sketch.finish(y))
    assert not found[x].uniform and not found[x].streams and found[x].ring == 0


def test_what_is_given_out_lives_to_the_end_and_what_nobody_reads_dies_at_once() -> None:
    sketch = plan_graphs.Sketch((1, 6, 6, 2))
    x, dead = sketch.pointwise(0, 4), sketch.pointwise(0, 4)
    found = _stores(sketch.finish(x))
    assert (found[x].last, found[dead].first, found[dead].last) == (2, 1, 1)
    assert (found[0].first, found[0].last) == (-1, 1)


def test_a_branch_that_ends_in_nothing_has_no_ring_to_share() -> None:
    sketch = plan_graphs.Sketch((1, 6, 6, 2))
    x = sketch.pointwise(0, 4)
    y = sketch.pointwise(x, 4)
    sketch.pointwise(x, 4)
    assert _stores(sketch.finish(sketch.pointwise(y, 2)))[x].ring in (0, 6)
