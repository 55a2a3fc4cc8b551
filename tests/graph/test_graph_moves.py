"""Slices, transposes, splits: what the reader makes of them and refuses; and models with several edges by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from pipeline.errors import UsageError
from pipeline.graph.model import Activation, DType, OpCode, SplitOptions, StridedSliceOptions, TransposeOptions
from pipeline.graph.reader import parse
from pipeline.graph.writer import ModelWriter


def _act(writer: ModelWriter, shape: Sequence[int], scale: float = 0.5) -> int:
    return writer.tensor(shape, DType.INT8, scale=scale, zero_point=3)


def _slice(
    shape: Sequence[int],
    output: Sequence[int],
    begin: Sequence[int],
    end: Sequence[int],
    strides: Sequence[int],
    *,
    scale: float = 0.5,
    **masks: Any,
) -> bytes:
    writer = ModelWriter()
    x, y = _act(writer, shape), _act(writer, output, scale)
    vectors = [writer.tensor((len(values),), DType.INT32, data=values) for values in (begin, end, strides)]
    options = schema.StridedSliceOptionsT()
    for name, value in masks.items():
        setattr(options, name, value)
    writer.operator(OpCode.STRIDED_SLICE, [x, *vectors], [y], options)
    return writer.finish([x], [y])


@pytest.mark.parametrize(
    ("output", "begin", "end", "strides", "masks", "wanted"),
    [
        ((1, 2, 6), (0, 1, 0), (1, 3, 6), (1, 1, 1), {}, ((0, 1, 0), (1, 2, 6))),
        ((1, 2, 3), (0, -3, 0), (1, 99, 6), (1, 2, 2), {}, ((0, 1, 0), (1, 2, 3))),
        ((1, 4, 6), (0, 3, 5), (1, -9, 0), (1, -1, -1), {"endMask": 4}, ((0, 3, 5), (1, 4, 6))),
        ((1, 4, 6), (9, 9, 9), (9, 9, 9), (1, 1, 1), {"beginMask": 7, "endMask": 7}, ((0, 0, 0), (1, 4, 6))),
        ((1, 6), (0, -1, 0), (1, 0, 6), (1, 1, 1), {"shrinkAxisMask": 2}, ((0, 3, 0), (1, 1, 6))),
    ],
)
def test_a_slice_is_read_as_starts_and_sizes(
    output: tuple[int, ...],
    begin: tuple[int, ...],
    end: tuple[int, ...],
    strides: tuple[int, ...],
    masks: dict[str, int],
    wanted: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    (operator,) = parse(_slice((1, 4, 6), output, begin, end, strides, **masks)).operators
    assert isinstance(operator.options, StridedSliceOptions)
    assert (operator.options.starts, operator.options.sizes) == wanted
    assert operator.options.strides == strides


@pytest.mark.parametrize(
    ("changes", "id"),
    [
        ({"strides": (1, 0, 1)}, "unsupported-options"),
        ({"begin": (0, 0), "end": (1, 4), "strides": (1, 1)}, "unsupported-options"),
        ({"begin": (0, 3, 0), "end": (1, 3, 6)}, "unsupported-options"),  # nothing
        ({"ellipsisMask": 1}, "unsupported-options"),
        ({"newAxisMask": 1}, "unsupported-options"),
        ({"offset": True}, "unsupported-options"),
        ({"shrinkAxisMask": 2, "begin": (0, 4, 0), "output": (1, 6)}, "unsupported-options"),
        ({"output": (1, 3, 6)}, "not-a-tflite"),
        ({"scale": 0.25}, "unsupported-tensor"),
    ],
)
def test_a_slice_that_no_kernel_takes(changes: dict[str, Any], id: str) -> None:  # noqa: A002
    given: dict[str, Any] = {"output": (1, 4, 6), "begin": (0, 0, 0), "end": (1, 4, 6), "strides": (1, 1, 1)}
    assert parse(_slice((1, 4, 6), **given))
    with pytest.raises(UsageError) as caught:
        parse(_slice((1, 4, 6), **(given | changes)))
    assert caught.value.id == id and "operator 0, STRIDED_SLICE version 1, tensor " in caught.value.what


def _transpose(permutation: Sequence[int], output: Sequence[int], scale: float = 0.5) -> bytes:
    writer = ModelWriter()
    x, y = _act(writer, (1, 2, 3)), _act(writer, output, scale)
    table = writer.tensor((len(permutation),), DType.INT32, data=permutation)
    writer.operator(OpCode.TRANSPOSE, [x, table], [y], TransposeOptions(tuple(permutation)))
    return writer.finish([x], [y])


def test_a_transpose_is_read_with_its_permutation() -> None:
    (operator,) = parse(_transpose((0, 2, 1), (1, 3, 2))).operators
    assert operator.options == TransposeOptions((0, 2, 1))


@pytest.mark.parametrize(
    ("permutation", "output", "scale", "id"),
    [
        ((0, 1), (1, 2, 3), 0.5, "not-a-tflite"),
        ((0, 1, 1), (1, 2, 2), 0.5, "not-a-tflite"),
        ((0, 1, 3), (1, 2, 3), 0.5, "not-a-tflite"),
        ((0, 2, 1), (1, 2, 3), 0.5, "not-a-tflite"),
        ((0, 2, 1), (1, 3, 2), 0.25, "unsupported-tensor"),
    ],
)
def test_a_transpose_that_is_none(permutation: Sequence[int], output: Sequence[int], scale: float, id: str) -> None:  # noqa: A002
    with pytest.raises(UsageError) as caught:
        parse(_transpose(permutation, output, scale))
    assert caught.value.id == id and "operator 0, TRANSPOSE" in caught.value.what


def _split(axis: int | Sequence[int], shapes: Sequence[Sequence[int]], scale: float = 0.5) -> bytes:
    writer = ModelWriter()
    stated = writer.tensor(() if isinstance(axis, int) else (len(axis),), DType.INT32, data=axis)
    x = _act(writer, (1, 6, 4))
    outputs = [_act(writer, shape, scale if index == 1 else 0.5) for index, shape in enumerate(shapes)]
    writer.operator(OpCode.SPLIT, [stated, x], outputs, SplitOptions(0))
    return writer.finish([x], outputs[:1])


@pytest.mark.parametrize("axis", [1, -2, [1]])
def test_a_split_has_as_many_outputs_as_parts(axis: int | list[int]) -> None:
    (operator,) = parse(_split(axis, [(1, 2, 4)] * 3)).operators
    assert operator.options == SplitOptions(1)
    assert len(operator.outputs) == 3


@pytest.mark.parametrize(
    ("axis", "shapes", "scale", "id"),
    [
        (1, [(1, 1, 4)] * 5, 0.5, "not-a-tflite"),  # 6 by 5
        (3, [(1, 6, 4)], 0.5, "not-a-tflite"),
        ([1, 2], [(1, 3, 4)] * 2, 0.5, "not-a-tflite"),
        (1, [(1, 3, 4), (1, 2, 4)], 0.5, "not-a-tflite"),
        (1, [(1, 3, 4)] * 2, 0.25, "unsupported-tensor"),
        (1, [(1, 1, 4)] * 9, 0.5, "unsupported-options"),  # more than a call takes
    ],
)
def test_a_split_that_no_kernel_takes(
    axis: int | list[int],
    shapes: list[tuple[int, ...]],
    scale: float,
    id: str,  # noqa: A002
) -> None:
    with pytest.raises(UsageError) as caught:
        parse(_split(axis, shapes, scale))
    assert caught.value.id == id and "operator 0, SPLIT version 1, tensor " in caught.value.what


def test_several_inputs_are_refused_by_their_names() -> None:
    writer = ModelWriter()
    a = writer.tensor((1, 2), DType.INT8, name="left\x1b", scale=0.5)
    b = writer.tensor((1, 2), DType.INT8, name="right", scale=0.5)
    y = writer.tensor((1, 2), DType.INT8, name="sum", scale=0.5)
    writer.operator(OpCode.ADD, [a, b], [y], schema.AddOptionsT())
    with pytest.raises(UsageError) as caught:
        parse(writer.finish([a, b], [y]))
    assert caught.value.id == "unsupported-model"
    assert "Inputs: tensor 0 'left?', tensor 1 'right'; outputs: tensor 2 'sum'." in caught.value.why


@pytest.mark.parametrize(("number", "wanted"), [(2, Activation.RELU_N1_TO_1), (3, Activation.RELU6), (4, "TANH")])
def test_fused_activations_are_known_or_named(number: int, wanted: str) -> None:
    writer = ModelWriter()
    x, y = _act(writer, (1, 2)), _act(writer, (1, 2))
    options = schema.AddOptionsT()
    options.fusedActivationFunction = number
    writer.operator(OpCode.ADD, [x, x], [y], options)
    content = writer.finish([x], [y])
    if isinstance(wanted, Activation):
        (operator,) = parse(content).operators
        assert getattr(operator.options, "activation", None) is wanted
    else:
        with pytest.raises(UsageError, match=f"fused activation {wanted} is not supported"):
            parse(content)
