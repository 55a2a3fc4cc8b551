"""How often the parts of kernels run: against counts by hand, and against the executor's own rule."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_graphs import Sketch, graphs

from pipeline.estimate.cost import blocks, depthwise, others
from pipeline.estimate.cost.blocks import Filters
from pipeline.estimate.cost.counts import Detail, counts
from pipeline.estimate.cost.depthwise import Depthwise
from pipeline.estimate.cost.schedule import Run, runs
from pipeline.estimate.cost.terms import Form, Terms
from pipeline.estimate.model import Segment
from pipeline.estimate.planner import plan
from pipeline.estimate.stages import Stage, StageKind
from pipeline.genotype import Genotype
from pipeline.graph.model import Graph, OpCode, Padding
from pipeline.graph.skeleton import from_genotype
from pipeline.graph.windows import Axis

_NETWORK = "64-rgb-d21100-a03"


def _terms(graph: Graph, details: dict[int, Detail] | None = None) -> list[Terms]:
    found = plan(graph)
    return [counts(graph, run, details or {}) for segment in found.segments for run in runs(segment)]


def test_a_pointwise_convolution_as_one_long_row() -> None:
    terms = Terms()
    filters = Filters(4, 5, Form.LINEAR)
    blocks.convolution(terms, filters, Axis(1, 1, 1, 0, 1), Axis(9, 1, 1, 0, 9), 6, block=4, steps=1)
    # Nine pixels are three blocks of three; six channels are two words, or four pairs; five outputs three couples.
    assert terms == {
        "conv_2d.step": 1,
        "conv_2d.row": 3,
        # The second word of the last pixel of all would end behind the image.
        "spread.3.call": 2,
        "spread.3.word": 4,
        "edge.call": 3,
        "edge.word": 5,
        "edge.run": 3,
        "edge.partial": 1,
        "multiply.3.call": 3,
        "multiply.3.odd": 3,
        "multiply.3.linear": 9,
        "multiply.3.pair": 36,
        "multiply.3.round": 9,
    }


def test_a_convolution_with_a_border() -> None:
    terms = Terms()
    axis = Axis(4, 3, 1, 1, 4)
    blocks.convolution(terms, Filters(2 * 3 * 3, 2, Form.RELU), axis, axis, 4, block=4, steps=4)
    # One block of four pixels a row, of which the first and the last see one column outside each; a window has three
    # words in each of its rows. Two of the twelve rows lie outside: their every word does.
    assert terms == {
        "conv_2d.step": 4,
        "conv_2d.row": 12,
        "edge.call": 4 * 10 + 4 * 2,
        "edge.word": 10 * (2 + 3 + 3 + 2),
        "edge.run": 10 * 4,
        "edge.outside": 10 * 2 + 2 * 4 * 3,
        "multiply.4.call": 4,
        "multiply.4.relu": 4,
        "multiply.4.pair": 4 * 18,
        "multiply.4.round": 4 * 2,
    }


def test_the_form_plain_and_what_must_be_clamped() -> None:
    terms = Terms()
    blocks.multiply(terms, Filters(8, 5, Form.PLAIN, clamped=True), 2, 3)
    assert terms == {
        "multiply.2.call": 3,
        "clamp.call": 3,
        "clamp.byte": 30,
        "plain.channel": 15,
        "plain.pixel": 30,
        "plain.word": 120,
    }


def test_a_depthwise_convolution_under_a_3x3_kernel() -> None:
    terms = Terms()
    layer = Depthwise(Axis(5, 3, 1, 1, 5), Axis(6, 3, 1, 1, 6), 8, 8, Form.LINEAR)
    depthwise.depthwise(terms, layer, steps=5)
    # A block of six pixels, a run of four and one of two; its first and last column lie outside, and so does a row of
    # the first and of the last step.
    assert terms == {
        "depthwise_conv_2d.step": 5,
        "depthwise.block": 5,
        "depthwise.pad_word": 5 * 2 * 8,
        "depthwise.pad_call": 2 * 2,
        "depthwise.pad_row": 2 * 2,
        "depthwise.pad_value": 2 * 2 * 6,
        "depthwise.group": 10,
        "depthwise.column": 10 * 6,
        "depthwise.1.four": 40,
        "depthwise.1.two": 40,
        "depthwise.linear": 40 * 6,
    }


def test_a_separable_convolution_works_on_small_blocks() -> None:
    terms = Terms()
    layer = Depthwise(Axis(8, 3, 2, 0, 4), Axis(10, 3, 2, 0, 5), 4, 4, Form.RELU)
    depthwise.separable(terms, layer, Filters(2, 6, Form.LINEAR), block=4, steps=4)
    # Five pixels are a block of three and one of two. Of the eleven columns the last lies outside, and in the last
    # step a row does.
    assert terms == {
        "separable_conv_2d.step": 4,
        "depthwise.pairs": 8,
        "depthwise.pad_word": 4 * 8,
        "depthwise.pad_call": 2,
        "depthwise.pad_row": 2,
        "depthwise.pad_value": 7 + 4,
        "depthwise.group": 8,
        "depthwise.column": 4 * 7 + 4 * 4,
        "depthwise.2.four": 4 * 4,
        "depthwise.2.two": 4 * 4,
        "multiply.3.call": 4,
        "multiply.3.linear": 12,
        "multiply.3.pair": 24,
        "multiply.3.round": 12,
        "multiply.2.call": 4,
        "multiply.2.linear": 12,
        "multiply.2.pair": 24,
        "multiply.2.round": 12,
    }


def test_other_depthwise_kernels() -> None:
    terms = Terms()
    layer = Depthwise(Axis(5, 5, 1, 0, 1), Axis(9, 5, 1, 0, 5), 4, 4, Form.RELU)
    depthwise.depthwise(terms, layer, steps=1)
    assert terms == {
        "depthwise_conv_2d.step": 1,
        "depthwise_any.taps": 5,
        "depthwise_any.block": 1,
        "depthwise_any.group": 1,
        "depthwise_any.transpose": 3,
        "depthwise_any.column": 27,
        "depthwise_any.channel": 4,
        "depthwise_any.four": 8,
        "depthwise_any.row": 16,
        "depthwise_any.pair": 80,
        "depthwise_any.tail": 40,
        "depthwise_any.relu": 20,
    }


def test_the_plain_depthwise_kernel_skips_what_lies_outside() -> None:
    terms = Terms()
    layer = Depthwise(Axis(2, 3, 1, 1, 2), Axis(3, 3, 1, 1, 3), 3, 6, Form.PLAIN)
    depthwise.depthwise(terms, layer, steps=2)
    assert terms == {
        "depthwise_conv_2d.step": 2,
        "depthwise_plain.pixel": 6,
        "depthwise_plain.filter": 36,
        "depthwise_plain.row": 6 * 4 * 3,
        "depthwise_plain.tap": 6 * 4 * (2 + 3 + 2),
    }


@pytest.mark.parametrize(
    ("pixels", "expected"), [(1, (0, 1)), (2, (0, 1)), (3, (1, 0)), (4, (1, 0)), (5, (1, 1)), (7, (1, 2)), (16, (4, 0))]
)
def test_runs_of_pixels_under_a_3x3_kernel(pixels: int, expected: tuple[int, int]) -> None:
    assert depthwise.runs(pixels) == expected


def test_sums_of_wide_images_take_parts() -> None:
    terms = Terms()
    others.sums(terms, "mean_of_rows", 300, 6, steps=2)
    assert terms == {
        "mean_of_rows.step": 2,
        "mean_of_rows.output": 6,
        "row_sums.part": 4,
        "row_sums.group": 4,
        "row_sums.group_pixel": 600,
        "row_sums.channel": 8,
        "row_sums.channel_pixel": 1200,
    }


def test_pads_are_set_and_rows_copied() -> None:
    terms = Terms()
    others.pad(terms, (1, 2, 20), ((0, 0), (1, 0), (0, 4)))
    assert terms == {
        "pad.step": 1,
        "pad.row": 3,
        "memset.call": 1 + 2 + 2,
        "memset.16": 1,
        "memset.4": 2 + 2,
        "memcpy.call": 2,
        "memcpy.16": 2,
        "memcpy.4": 2,
    }


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(1, 4, 4, 8), (8,)], (16, 8)),
        ([(1, 4, 4, 8), (1, 4, 4, 1)], (16, 8)),
        ([(1, 4, 4, 8), (1, 1)], (1, 128)),
        ([(1, 4, 4, 8), (1, 4, 4, 8)], (1, 128)),
    ],
)
def test_a_walk_over_a_repeated_operand(shapes: list[tuple[int, ...]], expected: tuple[int, int]) -> None:
    sketch = Sketch(shapes[0])
    other = sketch.constant(shapes[1])
    graph = sketch.finish(sketch.add(0, other))
    terms = _terms(graph, {0: Detail(reference=True)})[0]
    assert (terms["add_reference.row"], terms["add_reference.element"] // terms["add_reference.row"]) == expected


def test_rows_that_nobody_needs_are_not_made() -> None:
    sketch = Sketch((1, 12, 12, 3))
    wide = sketch.window(OpCode.CONV_2D, 0, 4, (3, 3), (1, 1), Padding.SAME)
    narrow = sketch.window(OpCode.CONV_2D, wide, 4, (1, 1), (5, 5), Padding.VALID)
    (segment,) = plan(sketch.finish(narrow)).segments
    # Three steps of the second stage read the rows 0, 5 and 10 of the first.
    assert [(run.steps, run.hops, run.feeds) for run in runs(segment)] == [(11, 1, 0), (3, 0, 1)]


def _executed(segment: Segment) -> dict[int, tuple[int, int]]:
    """(steps, hops) of each stage, by the rule of pipeline.h."""
    stages = segment.stages
    writer = {output: position for position, stage in enumerate(stages) for output in stage.outputs}
    done, hops = [0] * len(stages), [0] * len(stages)

    def lacking(position: int) -> int:
        for feed in stages[position].feeds:
            source = writer.get(feed.tensor)
            if source is None:
                continue
            rows = stages[source].steps
            needed = rows if stages[source].kind is StageKind.SUMS else feed.end(done[position], rows)
            if done[source] < needed:
                return source
        return position

    while done[-1] < stages[-1].steps:
        position, walked = len(stages) - 1, 0
        while (source := lacking(position)) != position:
            position, walked = source, walked + 1
        done[position] += 1
        hops[position] += walked
    return {stage.index: (done[i], hops[i]) for i, stage in enumerate(stages)}


def _compared(graph: Graph) -> list[tuple[Stage, Run, tuple[int, int]]]:
    made = []
    for segment in plan(graph).segments:
        if segment.flat:
            continue
        found = _executed(segment)
        made += [(run.stage, run, found[run.stage.index]) for run in runs(segment)]
    return made


@pytest.mark.parametrize("name", [_NETWORK, "32-mono-d34331-a10", "96-rgb-d11111-a01"])
def test_networks_run_as_counted(name: str) -> None:
    for _, run, (steps, hops) in _compared(from_genotype(Genotype.parse(name), 2)):
        assert (run.steps, run.steps * run.hops) == (steps, hops)


@settings(max_examples=40)
@given(graphs())
def test_steps_are_those_that_the_executor_takes(graph: Graph) -> None:
    for _, run, (steps, hops) in _compared(graph):
        assert run.steps == steps
        assert run.steps * run.hops >= hops


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.integers(1, 9), st.sampled_from([1, 2, 4]))
def test_every_word_of_every_window_is_gathered_once(
    width: int, kernel: int, stride: int, channels: int, block: int
) -> None:
    output = -(-width // stride)
    before = max((output - 1) * stride + kernel - width, 0) // 2
    terms = Terms()
    rows, columns = Axis(6, 3, 1, 1, 6), Axis(width, kernel, stride, before, output)
    blocks.convolution(terms, Filters(2, 2, Form.RELU), rows, columns, channels, block=block, steps=6)
    words = sum(terms.get(f"edge.{kind}", 0) for kind in ("word", "partial", "outside"))
    words += sum(pixels * terms.get(f"spread.{pixels}.word", 0) for pixels in range(1, 5))
    assert words == 6 * 3 * output * -(-kernel * channels // 4)
