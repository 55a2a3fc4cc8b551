"""Cuts: the least peak and the fewest instructions are those of trying all of them."""

from __future__ import annotations

from collections.abc import Iterator

import plan_graphs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.estimate.kernels import stage_needs
from pipeline.estimate.model import Prefer
from pipeline.estimate.planner import Planner, align, plan
from pipeline.estimate.runs import Cut
from pipeline.estimate.segments import Cutter
from pipeline.estimate.stages import stages
from pipeline.graph.model import ConcatenationOptions, Graph, MeanOptions, OpCode, Padding


def _planner(graph: Graph, *, streamed: bool = False) -> Planner:
    return Planner(graph, streamed_input=streamed)


def _ways(cutter: Cutter, count: int, first: int = 0) -> Iterator[list[Cut]]:
    """All sequences of cuts."""
    if first == count:
        yield []
    for end in range(first + 1, count + 1):
        cut = cutter.cut(first, end)
        if cut is not None:
            for rest in _ways(cutter, count, end):
                yield [cut, *rest]


@given(plan_graphs.graphs(most=6), st.booleans(), st.integers(0, 2000))
@settings(max_examples=40)
def test_the_best_cuts_are_those_of_trying_all(graph: Graph, streamed: bool, more: int) -> None:
    made = stages(graph)
    if not 0 < len(made) < 10:
        return
    planner = _planner(graph, streamed=streamed)
    cutter = planner.cutter
    every = list(_ways(cutter, len(made)))
    assert planner.least == min(max(cutter.lowest(cut) for cut in cuts) for cuts in every)
    limit = planner.least + more
    costs = [[cutter.within(cut, limit) for cut in cuts] for cuts in every]
    fewest = min(sum(way[0] for way in way_of if way) for way_of in costs if None not in way_of)
    chosen = [cutter.within(cut, limit) for cut in cutter.fewest_instructions(limit)]
    assert sum(way[0] for way in chosen if way) == fewest and None not in chosen
    with pytest.raises(ValueError, match="at most"):
        cutter.fewest_instructions(planner.least - 1)


def test_a_stage_alone_needs_its_input_its_output_and_its_scratch() -> None:
    sketch = plan_graphs.Sketch((1, 8, 8, 3))
    graph = sketch.finish(sketch.window(OpCode.CONV_2D, 0, 16, (3, 3), (1, 1), Padding.SAME))
    (stage,) = stages(graph)
    cut = _planner(graph).cutter.cut(0, 1)
    assert cut is not None and cut.base == 8 * 8 * 3 + 8 * 8 * 16
    assert cut.scratch == stage_needs(graph, stage).scratch


def test_an_expanded_image_is_a_ring_and_its_output_lies_over_the_input() -> None:
    sketch = plan_graphs.Sketch((1, 16, 16, 8))
    wide = sketch.pointwise(0, 48)
    graph = sketch.finish(sketch.separable(wide, 8, 3, 1))
    planner = _planner(graph)
    cut = planner.cutter.cut(0, 2)
    assert cut is not None
    overlap = planner.runs.overlap(cut)
    image, row = 16 * 16 * 8, 16 * 8
    # Row y is written when row y + 1 of the input has been read: nothing is between the two but what is being read.
    assert overlap is not None and overlap.distance == 0 and overlap.saved == image
    assert cut.base == 2 * image + 3 * 16 * 48 and row < image
    assert planner.least == align(image + 3 * 16 * 48 + align(cut.least_scratch))


def test_rows_that_the_last_stage_leaves_out_are_made_by_a_segment_of_their_own() -> None:
    """What is needed in whole later can't stop where a VALID window stops."""
    sketch = plan_graphs.Sketch((1, 9, 4, 4))
    x = sketch.pointwise(0, 4)
    y = sketch.window(OpCode.MAX_POOL_2D, x, 4, (2, 1), (2, 1), Padding.VALID)
    wide = sketch.window(OpCode.CONV_2D, y, 4, (1, 1), (1, 1), Padding.SAME)
    flat = sketch.reshape(x, (1, 144))
    end = sketch.operator(
        OpCode.CONCATENATION, (flat, sketch.reshape(wide, (1, 64))), (1, 208), ConcatenationOptions(1)
    )
    cutter = _planner(sketch.finish(end)).cutter
    assert cutter.cut(0, 2) is None and cutter.cut(1, 3) is not None


def test_published_networks_reach_their_peaks() -> None:
    """A MobileNetV2 0.35 of 96×96×1 in under 24,500 bytes, which a plan of whole tensors exceeds many times."""
    sketch = plan_graphs.Sketch((1, 96, 96, 1))
    x = sketch.window(OpCode.CONV_2D, 0, 16, (3, 3), (2, 2), Padding.SAME)
    x = sketch.separable(x, 8, 3, 1)
    for channels, count, stride in ((8, 2, 2), (16, 3, 2), (24, 4, 2), (32, 3, 1), (56, 3, 2), (112, 1, 1)):
        for number in range(count):
            inner = sketch.pointwise(x, 6 * sketch.shape(x)[3])
            inner = sketch.separable(inner, channels, 3, stride if number == 0 else 1)
            x = sketch.add(x, inner) if number else inner
    x = sketch.pointwise(x, 1280)
    graph = sketch.finish(sketch.operator(OpCode.MEAN, (x,), (1, 1280), MeanOptions((1, 2))))
    assert plan(graph, prefer=Prefer.RAM).arena_bytes <= 23_328
    assert plan(graph, prefer=Prefer.RAM, streamed_input=True).arena_bytes <= 16_500
