"""Models whose input is never there in whole: rows come from a callback, the output is the reference's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import aot_builder
import aot_host
import aot_models
import aot_networks
import numpy as np
import pytest
from aot_builder import GraphBuilder, window_size

from pipeline.errors import UsageError
from pipeline.estimate.model import INPUT, MemoryPlan, Prefer
from pipeline.estimate.planner import plan
from pipeline.estimate.stages import image_rows
from pipeline.firmware.model_sources import model_sources
from pipeline.graph.model import (
    ActivationOptions,
    ConcatenationOptions,
    Graph,
    MeanOptions,
    NoOptions,
    OpCode,
    Padding,
    SoftmaxOptions,
    WindowOptions,
)
from pipeline.graph.reference import Reference
from pipeline.graph.writer import write

needs_compiler = [
    pytest.mark.slow,
    pytest.mark.skipif(aot_host.COMPILER is None, reason="g++ is not installed"),
]


class Chain:
    """Operators one behind the other, with random weights."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
        self.rng = rng
        self.builder = GraphBuilder()
        self.input = self.last = self.builder.activation(shape, 0.05, -3)

    def window(
        self, code: OpCode, kernel: int, stride: int = 1, padding: Padding = Padding.SAME, channels: int = 4
    ) -> Chain:
        height, width, depth = self.builder.shape(self.last)[1:]
        over = kernel, kernel
        inputs: list[int | None] = [self.last]
        if code in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D):
            deep = code is OpCode.DEPTHWISE_CONV_2D
            channels = depth if deep else channels
            shape = (1, *over, depth) if deep else (channels, *over, depth)
            scales = [0.02 / kernel] * channels
            weights = self.rng.integers(-127, 128, shape).astype(np.int8)
            inputs.append(self.builder.constant(weights, scales, axis=3 if deep else 0))
            bias = self.rng.integers(-900, 900, channels).astype(np.int32)
            inputs.append(self.builder.constant(bias, [self.builder.scale(self.last) * scale for scale in scales]))
            real, zero_point = 0.05, 7
        else:  # A pool keeps scale and zero point.
            channels, real, zero_point = depth, self.builder.scale(self.last), self._zero_point()
        sizes = (window_size(height, kernel, stride, padding), window_size(width, kernel, stride, padding))
        output = self.builder.activation((1, *sizes, channels), real, zero_point)
        options = WindowOptions(stride=(stride, stride), padding=padding, filter=over)
        self.last = self.builder.operator(code, inputs, output, options)
        return self

    def relu(self) -> Chain:
        output = self.builder.activation(self.builder.shape(self.last), 0.04, -20)
        self.last = self.builder.operator(OpCode.RELU, [self.last], output, NoOptions())
        return self

    def add(self, other: int) -> Chain:
        output = self.builder.activation(self.builder.shape(self.last), 0.07, 5)
        self.last = self.builder.operator(OpCode.ADD, [other, self.last], output, ActivationOptions())
        return self

    def mean(self) -> Chain:
        axes = self.builder.constant(np.array([1, 2], np.int32))
        output = self.builder.activation((1, self.builder.shape(self.last)[3]), 0.05, 1)
        self.last = self.builder.operator(OpCode.MEAN, [self.last, axes], output, MeanOptions(axes=(1, 2)))
        return self

    def graph(self) -> Graph:
        return self.builder.finish(self.input, self.last)

    def _zero_point(self) -> int:
        quantization = self.builder.tensors[self.last].quantization
        assert quantization is not None
        return quantization.zero_point


def shapes() -> dict[str, Graph]:
    """What can stand at a model's beginning."""
    rng = np.random.default_rng(77)
    conv, depthwise, pool = OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.MAX_POOL_2D

    def chain(height: int = 13, depth: int = 3) -> Chain:
        return Chain(rng, (1, height, 9, depth))

    skip = chain(depth=4)
    over = chain(depth=4).relu()
    return {
        "stem": chain().window(conv, 3, 2).window(depthwise, 3).window(conv, 1).mean().graph(),
        "5x5": chain().window(conv, 5).window(conv, 3, 2).graph(),
        "rows that nothing needs": chain(14).window(conv, 3, 3, Padding.VALID).window(conv, 1).graph(),
        "most rows that nothing needs": chain(16).window(pool, 1, 4).mean().graph(),
        "1x1 first": chain().window(conv, 1).window(conv, 3).graph(),
        "depthwise first": chain().window(depthwise, 3, 1, Padding.VALID).window(conv, 1).graph(),
        "pool first": chain().window(pool, 2, 2, Padding.VALID).window(conv, 3).graph(),
        "written over": over.window(conv, 3).window(conv, 1).graph(),
        "skip over it": skip.window(conv, 3).window(depthwise, 3).add(skip.input).window(conv, 3, 2).graph(),
        "mean of it": chain().mean().graph(),
    }


@dataclass
class Models:
    graphs: list[tuple[str, Graph, MemoryPlan]]
    program: aot_host.HostProgram
    folder: Path

    def reference(self, graph: Graph) -> Reference:
        path = self.folder / "oracle.tflite"
        path.write_bytes(write(graph))
        return Reference(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("streamed")
    networks = [aot_networks.mobilenet(np.random.default_rng(depth), depth=depth) for depth in (3, 1)]
    made = [(name, graph, plan(graph, streamed_input=True)) for name, graph in shapes().items()]
    made += [
        (f"network {prefer}", graph, plan(graph, prefer=prefer, streamed_input=True))
        for graph in networks
        for prefer in Prefer
    ]
    named = [(aot_builder.with_hostile_names(graph), planned) for _, graph, planned in made]
    return Models(made, aot_host.HostProgram(named, folder), folder)


class TestOnTheHost:
    pytestmark = needs_compiler

    def test_the_output_is_the_references(self, models: Models) -> None:
        for number, (name, graph, planned) in enumerate(models.graphs):
            reference = models.reference(graph)
            rng = np.random.default_rng(number)
            inputs = [aot_models.random_input(rng, graph.input, kind) for kind in (0, 0, 1, 2, 3)]
            for values, answer in zip(inputs, models.program.run([(number, one) for one in inputs]), strict=True):
                np.testing.assert_array_equal(answer.output, reference.run(values), err_msg=name)
                assert answer.used <= planned.arena_bytes

    def test_each_row_is_asked_for_once_and_is_a_stage_of_its_own(self, models: Models) -> None:
        for number, (name, graph, planned) in enumerate(models.graphs):
            values = aot_models.random_input(np.random.default_rng(1), graph.input)
            (answer,) = models.program.run([(number, values)])
            rows = image_rows(graph.input)
            assert answer.asked == rows, name
            steps = [1 if segment.flat else stage.steps for segment in planned.segments for stage in segment.stages]
            names = [stage.name for stage in planned.stages]
            wanted = zip([INPUT, *names], [rows, *steps], strict=True)
            assert answer.profile == tuple((code, 7 * count) for code, count in wanted), name

    def test_a_source_that_fails_is_asked_no_more_and_the_next_inference_works(self, models: Models) -> None:
        for number, (name, graph, _) in enumerate(models.graphs):
            values = aot_models.random_input(np.random.default_rng(2), graph.input)
            rows = image_rows(graph.input)
            tries = [*range(rows), rows]
            answers = models.program.attempt([(number, values, given) for given in tries])
            assert answers[:-1] == [None] * rows, name
            assert answers[-1] is not None
            np.testing.assert_array_equal(answers[-1].output, models.reference(graph).run(values), err_msg=name)


def test_a_streamed_input_takes_less() -> None:
    graph = aot_networks.mobilenet(np.random.default_rng(0), size=48)
    for prefer in (Prefer.RAM, Prefer.BALANCED):
        resident, streamed = (plan(graph, prefer=prefer, streamed_input=mode) for mode in (False, True))
        assert streamed.arena_bytes < resident.arena_bytes
        assert streamed.streams(graph.input.index)
        assert not resident.streams(graph.input.index)


def test_the_model_has_no_resident_input() -> None:
    graph = shapes()["stem"]
    streamed = model_sources(graph, plan(graph, streamed_input=True)).files["model.cpp"]
    resident = model_sources(graph, plan(graph)).files["model.cpp"]
    assert "EdgeTensor{nullptr, 351," in streamed
    assert "kInput" not in resident
    assert "nullptr" not in resident


def _refused() -> dict[str, tuple[Graph, str]]:
    rng = np.random.default_rng(3)
    dense = Chain(rng, (1, 8))
    scores = dense.builder.activation((1, 8), 1 / 256, -128)
    dense.last = dense.builder.operator(OpCode.SOFTMAX, [dense.last], scores, SoftmaxOptions())
    tall = Chain(rng, (1, 4, 4, 2)).window(OpCode.CONV_2D, 4, 1, Padding.VALID)
    again = Chain(rng, (1, 6, 6, 4))
    reshaped = Chain(rng, (1, 6, 6, 2))
    shape = (1, 12, 6, 1)
    taller = reshaped.builder.activation(shape, 0.05, -3)
    inputs = [reshaped.last, reshaped.builder.constant(np.array(shape, np.int32))]
    reshaped.last = reshaped.builder.operator(OpCode.RESHAPE, inputs, taller, NoOptions())
    reshaped.window(OpCode.CONV_2D, 3)
    joined = again.builder.activation((1, 6, 6, 8), 0.05, -3)
    again.last = again.builder.operator(
        OpCode.CONCATENATION, [again.input, again.input], joined, ConcatenationOptions(3)
    )
    return {
        "no rows": (dense.graph(), "has no rows"),
        "as tall as the image": (tall.graph(), "all 4 rows"),
        "read whole": (again.graph(), "Operator 0, CONCATENATION"),
        "another shape": (reshaped.graph(), "under another shape"),
    }


@pytest.mark.parametrize("name", ["no rows", "as tall as the image", "read whole", "another shape"])
def test_a_model_that_needs_its_input_in_whole_is_refused_with_the_reason(name: str) -> None:
    graph, reason = _refused()[name]
    plan(graph)
    with pytest.raises(UsageError) as caught:
        plan(graph, streamed_input=True)
    assert caught.value.id == "input-not-streamable"
    assert reason in str(caught.value.why)
