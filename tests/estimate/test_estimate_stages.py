"""From operators to stages: what folds, what fuses, what is overwritten."""

from __future__ import annotations

import plan_graphs
import pytest

from pipeline.estimate.stages import Feed, StageKind, stages
from pipeline.graph.model import ActivationOptions, Graph, MeanOptions, NoOptions, OpCode, Padding, PadOptions


def _padded(pads: tuple[tuple[int, int], ...], kernel: tuple[int, int], value: int | None = None) -> Graph:
    sketch = plan_graphs.Sketch((1, 6, 5, 3))
    shape = tuple(size + sum(pad) for size, pad in zip((1, 6, 5, 3), pads, strict=True))
    x = sketch.operator(OpCode.PADV2, (0,), shape, PadOptions(pads, value))
    return sketch.finish(sketch.window(OpCode.CONV_2D, x, 4, kernel, (1, 1), Padding.VALID))


def test_a_pad_before_a_convolution_is_folded() -> None:
    (stage,) = stages(_padded(((0, 0), (1, 2), (0, 3), (0, 0)), (3, 3)))
    assert stage.feeds == (Feed(0, kernel=3, stride=1, pad=1),)
    assert (stage.steps, stage.kind) == (7, StageKind.ROWS)


@pytest.mark.parametrize(
    ("pads", "value"), [(((0, 0), (1, 1), (1, 1), (0, 2)), None), (((0, 0), (1, 1), (1, 1), (0, 0)), 5)]
)
def test_a_pad_of_channels_or_of_another_value_is_a_stage(pads: tuple[tuple[int, int], ...], value: int | None) -> None:
    assert [stage.name for stage in stages(_padded(pads, (3, 3), value))] == ["PADV2", "CONV_2D"]


def test_a_1x1_convolution_whose_pads_widen_the_image_is_not_pointwise() -> None:
    (wider,) = stages(_padded(((0, 0), (0, 0), (0, 1), (0, 0)), (1, 1)))
    (plain,) = stages(_padded(((0, 0), (0, 0), (0, 0), (0, 0)), (1, 1)))
    assert plain.pointwise and not wider.pointwise


def test_a_depthwise_and_the_1x1_convolution_that_alone_reads_it_are_one_stage() -> None:
    sketch = plan_graphs.Sketch((1, 8, 8, 4))
    (stage,) = stages(sketch.finish(sketch.separable(0, 6, 3, 2)))
    assert stage.name == "DEPTHWISE_CONV_2D+CONV_2D"
    assert stage.feeds == (Feed(0, 3, 2, 0),) and stage.steps == 4 and not stage.pointwise
    inner = sketch.operators[0].outputs[0]
    read_twice = sketch.add(inner, inner)
    assert len(stages(sketch.finish(read_twice))) == 3


def test_an_elementwise_stage_overwrites_only_what_nobody_else_reads() -> None:
    sketch = plan_graphs.Sketch((1, 4, 4, 2))
    first, second = sketch.pointwise(0, 2), sketch.pointwise(0, 2)
    joined = sketch.add(first, second)
    *_, add = stages(sketch.finish(joined))
    # What is made last is asked for first, and written over.
    assert add.overwrites == second and [feed.tensor for feed in add.feeds] == [second, first]
    again = sketch.add(joined, second)
    made = {stage.outputs[0]: stage for stage in stages(sketch.finish(again))}
    assert made[joined].overwrites == first and made[again].overwrites == joined
    # The output of the model stays, and so does what two stages read.
    given = {stage.outputs[0]: stage for stage in stages(sketch.finish(joined))}
    assert given[again].overwrites is None


def test_a_reader_under_another_name_counts() -> None:
    sketch = plan_graphs.Sketch((1, 4, 4, 2))
    x = sketch.pointwise(0, 2)
    relu = sketch.operator(OpCode.RELU, (x,), (1, 4, 4, 2), NoOptions())
    flat = sketch.reshape(x, (1, 32))
    sketch.operator(OpCode.FULLY_CONNECTED, (flat, sketch.constant((3, 32))), (1, 3), ActivationOptions())
    assert next(stage for stage in stages(sketch.finish(relu)) if stage.name == "RELU").overwrites is None


@pytest.mark.parametrize(
    ("axes", "kind"), [((1, 2), StageKind.SUMS), ((2, 1), StageKind.SUMS), ((3,), StageKind.WHOLE)]
)
def test_a_mean_over_the_image_takes_row_after_row(axes: tuple[int, ...], kind: StageKind) -> None:
    sketch = plan_graphs.Sketch((1, 5, 4, 2))
    shape = (1, 2) if kind is StageKind.SUMS else (1, 5, 4)
    (stage,) = stages(sketch.finish(sketch.operator(OpCode.MEAN, (0,), shape, MeanOptions(axes))))
    assert (stage.kind, stage.steps) == (kind, 5 if kind is StageKind.SUMS else 1)


def test_without_fusing_each_operator_is_a_stage_and_overwrites_nothing() -> None:
    sketch = plan_graphs.Sketch((1, 8, 8, 4))
    graph = sketch.finish(sketch.add(0, sketch.separable(0, 4, 3, 1)))
    assert [stage.name for stage in stages(graph, fuse=False)] == ["DEPTHWISE_CONV_2D", "CONV_2D", "ADD"]
    assert all(stage.overwrites is None for stage in stages(graph, fuse=False))
