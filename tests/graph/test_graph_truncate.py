"""A model cut off behind a tensor computes that tensor, from the same input."""

from __future__ import annotations

from pathlib import Path

import graph_samples
import numpy as np
import pytest

from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import ActivationOptions, DType, NoOptions, OpCode, SplitOptions
from pipeline.graph.reader import parse
from pipeline.graph.reference import Reference
from pipeline.graph.truncate import isolated, truncated
from pipeline.graph.writer import ModelWriter


@pytest.mark.parametrize("cast", [False, True])
def test_every_tensor_is_the_output_of_a_model_of_its_own(cast: bool, tmp_path: Path) -> None:
    whole = tmp_path / "whole.tflite"
    whole.write_bytes(graph_samples.content(cast=cast))
    graph = parse(whole.read_bytes())
    sent = random_inputs(graph.input, 1, seed=3)
    tensors = Reference(whole).intermediates(sent[0])
    for operator in graph.operators:
        (tensor,) = operator.outputs
        part = tmp_path / "part.tflite"
        part.write_bytes(truncated(graph, tensor))
        cut = parse(part.read_bytes())
        assert cut.output.name == graph.tensors[tensor].name
        assert len(cut.operators) == operator.index + 1
        assert Reference(part).run(sent).tobytes() == tensors[tensor].tobytes()


def test_what_the_tensor_does_not_depend_on_is_left_out() -> None:
    writer = ModelWriter()
    x, left, right, total = (writer.tensor((1, 4), DType.INT8, name=name, scale=0.1) for name in "xlrt")
    unused = writer.tensor((1, 4), DType.INT8, name="constant", scale=0.1, data=np.arange(4))
    writer.operator(OpCode.RELU, [x], [left], NoOptions())
    writer.operator(OpCode.ADD, [x, unused], [right], ActivationOptions())
    writer.operator(OpCode.ADD, [left, right], [total], ActivationOptions())
    graph = parse(writer.finish([x], [total]))
    cut = parse(truncated(graph, left))
    assert [operator.code for operator in cut.operators] == [OpCode.RELU]
    assert [tensor.name for tensor in cut.tensors] == ["x", "l"]
    behind = parse(truncated(graph, right))
    assert [tensor.name for tensor in behind.tensors] == ["x", "r", "constant"]
    assert [operator.index for operator in behind.operators] == [0]


def test_each_output_of_a_split_can_be_had_alone(tmp_path: Path) -> None:
    writer = ModelWriter()
    x = writer.tensor((1, 2, 2, 6), DType.INT8, name="x", scale=0.1)
    axis = writer.tensor((), DType.INT32, name="axis", data=np.int32(3))
    parts = [writer.tensor((1, 2, 2, 2), DType.INT8, name=name, scale=0.1) for name in "abc"]
    total = writer.tensor((1, 2, 2, 2), DType.INT8, name="total", scale=0.2)
    writer.operator(OpCode.SPLIT, [axis, x], parts, SplitOptions(3))
    writer.operator(OpCode.ADD, [parts[0], parts[2]], [total], ActivationOptions())
    graph = parse(writer.finish([x], [total]))
    sent = random_inputs(graph.input, 1, seed=0)
    for number, part in enumerate(parts):
        path = tmp_path / "part.tflite"
        path.write_bytes(truncated(graph, part))
        assert np.array_equal(Reference(path).run(sent), sent[..., 2 * number : 2 * number + 2])


def test_an_operator_is_a_model_of_its_own_where_it_reads_one_activation(tmp_path: Path) -> None:
    whole = tmp_path / "whole.tflite"
    whole.write_bytes(graph_samples.content())
    graph = parse(whole.read_bytes())
    tensors = Reference(whole).intermediates(random_inputs(graph.input, 1, seed=4)[0])
    alone = 0
    for operator in graph.operators:
        (output,) = operator.outputs
        content = isolated(graph, operator, output)
        assert (content is None) == (operator.code is OpCode.ADD), "the sample's ADD reads two"
        if content is not None:
            path = tmp_path / "alone.tflite"
            path.write_bytes(content)
            assert Reference(path).run(tensors[operator.inputs[0] or 0]).tobytes() == tensors[output].tobytes()
            alone += 1
    assert alone == len(graph.operators) - 1


def test_an_input_or_a_constant_is_no_place_to_cut() -> None:
    graph = parse(graph_samples.content())
    constant = next(tensor.index for tensor in graph.tensors if tensor.constant)
    for tensor in (graph.input.index, constant):
        with pytest.raises(ValueError, match="no operator writes"):
            truncated(graph, tensor)
