"""Shape arithmetic done ahead: operators that compute a shape which the file knows already become constants.

A Keras model converted with an open batch size computes what it reshapes to: SHAPE of the activation, STRIDED_SLICE for
the batch size in it, PACK of that with the other dimensions. With a batch of one all of it is constant.
The operators that are left keep their order.

Source: TensorFlow Lite, kernels/shape.cc, strided_slice.cc, pack.cc.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from pipeline.graph.flatfile import FileModel, FileOperator, FileTensor

_INT32 = schema.TensorType.INT32
_Values = NDArray[np.int32]


def fold(model: FileModel) -> FileModel:
    """The model without the operators whose results follow from its shapes and constants."""
    tensors, left = list(model.tensors), []
    for operator in model.operators:
        values = _values(tensors, operator)
        if values is None or set(operator.outputs) & set(model.outputs):
            left.append(operator)
        else:
            (index,) = operator.outputs
            tensors[index] = dataclasses.replace(tensors[index], data=memoryview(values.tobytes()))
    return dataclasses.replace(model, tensors=tuple(tensors), operators=tuple(left))


def _values(tensors: list[FileTensor], operator: FileOperator) -> _Values | None:
    """What the operator's only output holds; None where that is not known, or is no list of numbers."""
    rule = _RULES.get(operator.code)
    if rule is None or len(operator.outputs) != 1 or not operator.inputs or min(operator.inputs) < 0:
        return None
    output = tensors[operator.outputs[0]]
    values = rule([tensors[index] for index in operator.inputs], operator)
    known = values is not None and values.shape == output.shape and output.data is None
    return values if known and output.type == _INT32 else None


def _constant(tensor: FileTensor) -> _Values | None:
    """The numbers of a constant scalar or vector."""
    if tensor.type != _INT32 or tensor.data is None or len(tensor.shape) > 1:
        return None
    count = tensor.shape[0] if tensor.shape else 1
    if len(tensor.data) != 4 * count:
        return None
    return np.frombuffer(tensor.data, "<i4").reshape(tensor.shape).astype(np.int32)


def _shape(inputs: list[FileTensor], _: FileOperator) -> _Values | None:
    shape = inputs[0].shape
    return np.array(shape, np.int32) if all(0 < size < 2**31 for size in shape) else None


def _strided_slice(inputs: list[FileTensor], operator: FileOperator) -> _Values | None:
    given = [_constant(tensor) for tensor in inputs]
    masks = [operator.options.get(f"{name}Mask", 0) for name in ("Begin", "End", "ShrinkAxis")]
    strange = [operator.options.get(name, 0) for name in ("EllipsisMask", "NewAxisMask", "Offset")]
    vectors = [values for values in given if values is not None and values.ndim == 1]
    if len(vectors) != len(given) or len(vectors) != 4 or any(strange):
        return None
    values, *places = vectors
    if any(place.size != 1 for place in places):
        return None
    begin, end, stride = (int(place[0]) for place in places)
    if masks[2]:
        return np.array(values[begin], np.int32) if -values.size <= begin < values.size and not masks[0] else None
    return values[None if masks[0] else begin : None if masks[1] else end : stride] if stride else None


def _pack(inputs: list[FileTensor], _: FileOperator) -> _Values | None:
    numbers = [_constant(tensor) for tensor in inputs]
    scalars = [number for number in numbers if number is not None and number.ndim == 0]
    return np.array(scalars, np.int32) if len(scalars) == len(inputs) else None


_RULES: dict[int, Callable[[list[FileTensor], FileOperator], _Values | None]] = {
    schema.BuiltinOperator.SHAPE: _shape,
    schema.BuiltinOperator.STRIDED_SLICE: _strided_slice,
    schema.BuiltinOperator.PACK: _pack,
}
