"""Shape arithmetic becomes constants, where it is known; where it is not, its operators are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from pipeline.errors import UsageError
from pipeline.graph.model import DType, NoOptions, OpCode
from pipeline.graph.reader import parse
from pipeline.graph.reference import Reference
from pipeline.graph.writer import ModelWriter, pack, write

_CODE = schema.BuiltinOperator


def _flattened(begin: int = 0, end: int = 1, *, shrink: int = 1, axes: int = 1, rest: int = 24) -> Any:
    """What Keras' Flatten of (None, 2, 3, 4) becomes, and a RELU behind it; as the schema's model."""
    writer = ModelWriter()
    x = writer.tensor((1, 2, 3, 4), DType.INT8, name="x", scale=0.5)
    shape = writer.tensor((4,), DType.INT32, name="shape")
    vectors = [writer.tensor((axes,), DType.INT32, data=[value] * axes) for value in (begin, end, 1)]
    batch = writer.tensor(() if shrink else (1,), DType.INT32, name="batch")
    depth = writer.tensor((), DType.INT32, data=rest)
    packed = writer.tensor((2,), DType.INT32, name="packed")
    y, z = (writer.tensor((1, 24), DType.INT8, scale=0.5) for _ in range(2))
    told = schema.ShapeOptionsT()
    told.outType = schema.TensorType.INT32
    writer.operator(_CODE.SHAPE, [x], [shape], told)
    options = schema.StridedSliceOptionsT()
    options.shrinkAxisMask = shrink
    writer.operator(OpCode.STRIDED_SLICE, [shape, *vectors], [batch], options)
    counted = schema.PackOptionsT()
    counted.valuesCount = 2
    writer.operator(_CODE.PACK, [batch, depth], [packed], counted)
    writer.operator(OpCode.RESHAPE, [x, packed], [y], NoOptions())
    writer.operator(OpCode.RELU, [y], [z], NoOptions())
    return writer.model([x], [z])


def test_a_flattened_open_batch_is_a_reshape(tmp_path: Path) -> None:
    model = _flattened()
    model.subgraphs[0].tensors[0].shapeSignature = [-1, 2, 3, 4]
    content = pack(model)
    graph = parse(content)
    assert [(operator.index, operator.code) for operator in graph.operators] == [(0, OpCode.RESHAPE), (1, OpCode.RELU)]
    packed = graph.tensors[graph.operators[0].inputs[1] or 0]
    assert packed.name == "packed" and packed.data is not None and packed.data.tolist() == [1, 24]
    path = tmp_path / "model.tflite"
    values = np.arange(-12, 12, dtype=np.int8).reshape(1, 2, 3, 4)
    for one in (content, write(graph)):
        path.write_bytes(one)
        assert np.array_equal(Reference(path).run(values), np.maximum(values.reshape(1, 24), 0))


@pytest.mark.parametrize(("begin", "end"), [(-4, -3), (0, 99)])
def test_other_ways_to_say_the_batch(begin: int, end: int) -> None:
    assert len(parse(pack(_flattened(begin, end))).operators) == 2


def _int64(model: Any) -> None:
    model.subgraphs[0].tensors[1].type = schema.TensorType.INT64


def _ellipsis(model: Any) -> None:
    model.subgraphs[0].operators[1].builtinOptions.ellipsisMask = 1


def _open(model: Any) -> None:
    model.subgraphs[0].tensors[0].shape = [1, -1, 3, 4]


@pytest.mark.parametrize(
    ("model", "change", "words"),
    [
        (_flattened(4), None, "operator 2, PACK"),  # there is no fifth dimension
        (_flattened(axes=2), None, "operator 2, PACK"),
        (_flattened(shrink=0), None, "operator 2, PACK"),  # of a vector
        (_flattened(), _int64, "SHAPE"),
        (_flattened(), _ellipsis, "operator 2, PACK"),
        (_flattened(), _open, "operator 0, SHAPE"),
        (_flattened(rest=23), None, "told the shape [1, 23]"),
    ],
)
def test_what_is_not_known_is_refused_by_name(model: Any, change: Any, words: str) -> None:
    if change is not None:
        change(model)
    with pytest.raises(UsageError) as caught:
        parse(pack(model))
    assert caught.value.id in ("unsupported-operator", "unsupported-tensor", "not-a-tflite", "unsupported-options")
    assert words in caught.value.what
