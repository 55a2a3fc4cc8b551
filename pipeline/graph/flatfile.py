"""The bytes of a .tflite file as plain values, with every offset distrusted.

The flatbuffers library checks nothing: a damaged offset raises whatever Python raises, or reads another field.
So this module is the only one that touches a file through it: all that it hands on is copied into plain values,
counted against a budget, and every error comes out as ``not-a-tflite``.

Source: TensorFlow Lite's schema (schema.fbs), through the Python module that ``ai-edge-litert`` bundles.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.errors import UsageError, printable

IDENTIFIER = b"TFL3"
#: No supported board has a tenth of this as flash.
MAX_FILE_BYTES = 64 << 20
MAX_ITEMS = 10_000
#: All numbers and characters of shapes, scales, names and index lists of a file; MobileNetV2 needs 60,000.
MAX_NUMBERS = 4_000_000
#: Offsets 0 and 1 in a Buffer table mean "inline" (schema.fbs, table Buffer).
INLINE_OFFSETS = (0, 1)

#: What flatbuffers and struct raise on damaged bytes.
_DAMAGE = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError, KeyError)

_OPTIONS: dict[int, tuple[type[Any], tuple[str, ...]]] = {
    schema.BuiltinOptions.Conv2DOptions: (
        schema.Conv2DOptions,
        ("Padding", "StrideW", "StrideH", "FusedActivationFunction", "DilationWFactor", "DilationHFactor"),
    ),
    schema.BuiltinOptions.DepthwiseConv2DOptions: (
        schema.DepthwiseConv2DOptions,
        ("Padding", "StrideW", "StrideH", "FusedActivationFunction", "DilationWFactor", "DilationHFactor"),
    ),
    schema.BuiltinOptions.Pool2DOptions: (
        schema.Pool2DOptions,
        ("Padding", "StrideW", "StrideH", "FusedActivationFunction", "FilterWidth", "FilterHeight"),
    ),
    schema.BuiltinOptions.FullyConnectedOptions: (
        schema.FullyConnectedOptions,
        ("FusedActivationFunction", "WeightsFormat", "KeepNumDims"),
    ),
    schema.BuiltinOptions.AddOptions: (schema.AddOptions, ("FusedActivationFunction",)),
    schema.BuiltinOptions.SubOptions: (schema.SubOptions, ("FusedActivationFunction",)),
    schema.BuiltinOptions.MulOptions: (schema.MulOptions, ("FusedActivationFunction",)),
    schema.BuiltinOptions.ConcatenationOptions: (schema.ConcatenationOptions, ("Axis", "FusedActivationFunction")),
    schema.BuiltinOptions.StridedSliceOptions: (
        schema.StridedSliceOptions,
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset"),
    ),
    schema.BuiltinOptions.ReducerOptions: (schema.ReducerOptions, ("KeepDims",)),
    schema.BuiltinOptions.SoftmaxOptions: (schema.SoftmaxOptions, ("Beta",)),
}


@dataclass(frozen=True)
class FileQuantization:
    """A tensor's quantization as the file has it; ``plain`` is False for custom, blockwise and multi-axis details."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    plain: bool


@dataclass(frozen=True)
class FileTensor:
    """A tensor as the file has it. ``type`` is a number of the schema's TensorType.

    ``data`` are the constant's bytes (a view into the file), None for an activation. ``outside`` is True where those
    bytes lie behind the flatbuffer.
    """

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    type: int
    quantization: FileQuantization | None
    variable: bool
    sparse: bool
    data: memoryview | None
    outside: bool


@dataclass(frozen=True)
class FileOperator:
    """An operator as the file has it, ``index`` its place there.

    ``code`` is a number of the schema's BuiltinOperator; ``options`` the fields of the option tables that a supported
    operator may have, by the schema's accessor names; empty for others. ``squeezed`` are the dimensions that SQUEEZE
    names.
    """

    index: int
    code: int
    custom: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, int | float | bool]
    squeezed: tuple[int, ...] = ()


@dataclass(frozen=True)
class FileModel:
    """The one subgraph of a file, in execution order."""

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def damaged(why: str) -> UsageError:
    """The error for bytes that are no .tflite file."""
    return UsageError(
        "not-a-tflite",
        "the file is not a TensorFlow Lite model, or it is damaged",
        why=printable(why),
        next="Convert the model again, or copy the file again; `danas-deploy quantize` writes such files.",
    )


def too_large(size: int) -> UsageError:
    """The error for a file that no board could hold, before it is read."""
    return UsageError(
        "model-too-large",
        f"the model has {size:,} bytes",
        why=f"The limit is {MAX_FILE_BYTES:,}; no supported board has a tenth of that as flash.",
        next="Take a smaller model.",
    )


def decode(content: bytes) -> FileModel:
    """Read the flatbuffer.

    Raises:
        UsageError: ``not-a-tflite``, ``model-too-large``, or ``external-weights`` for weights that are not in the file.
    """
    if len(content) < 8 or content[4:8] != IDENTIFIER:
        raise damaged("the identifier TFL3 is missing at byte 4")
    if len(content) > MAX_FILE_BYTES:
        raise too_large(len(content))
    try:
        return _Decoder(content).model()
    except _DAMAGE as error:
        raise damaged(f"{type(error).__name__}: {error}") from error


class _Decoder:
    def __init__(self, content: bytes) -> None:
        self._view = memoryview(content)
        self._model = schema.Model.GetRootAs(content, 0)
        self._left = MAX_NUMBERS

    def model(self) -> FileModel:
        subgraphs = self._count(self._model.SubgraphsLength())
        if subgraphs != 1:
            raise UsageError(
                "unsupported-model",
                f"the model has {subgraphs} subgraphs",
                why="Control flow (IF, WHILE) is not supported; a model has one subgraph.",
                next="Convert a model without branches and loops.",
            )
        subgraph = self._model.Subgraphs(0)
        codes = [self._code(self._model.OperatorCodes(i)) for i in self._items(self._model.OperatorCodesLength())]
        buffers = self._count(self._model.BuffersLength())
        tensors = tuple(self._tensor(i, subgraph.Tensors(i), buffers) for i in self._items(subgraph.TensorsLength()))
        operators = tuple(
            self._operator(i, subgraph.Operators(i), codes) for i in self._items(subgraph.OperatorsLength())
        )
        inputs = self._ints(subgraph.InputsLength, subgraph.InputsAsNumpy)
        outputs = self._ints(subgraph.OutputsLength, subgraph.OutputsAsNumpy)
        for index in (*inputs, *outputs, *(i for o in operators for i in o.outputs)):
            if not 0 <= index < len(tensors):
                raise damaged(f"tensor {index} does not exist")
        for index in (i for o in operators for i in o.inputs):
            if not -1 <= index < len(tensors):
                raise damaged(f"tensor {index} does not exist")
        return FileModel(tensors, operators, inputs, outputs)

    def _spend(self, amount: int) -> None:
        self._left -= amount
        if amount < 0 or self._left < 0:
            raise damaged(f"its tables hold more than {MAX_NUMBERS} numbers")

    def _count(self, count: int) -> int:
        if not 0 <= count <= MAX_ITEMS:
            raise damaged(f"a table of {count} entries; the limit is {MAX_ITEMS}")
        return count

    def _items(self, count: int) -> range:
        return range(self._count(count))

    def _ints(self, length: Callable[[], int], values: Callable[[], Any]) -> tuple[int, ...]:
        return tuple(int(value) for value in self._vector(length, values))

    def _vector(self, length: Callable[[], int], values: Callable[[], Any]) -> Sequence[Any]:
        count = length()
        self._spend(count)
        # A length without a vector behind it makes numpy raise, before anything is allocated.
        return values().tolist() if count else ()

    def _text(self, raw: bytes | None) -> str:
        text = bytes(raw or b"")
        self._spend(len(text))
        return text.decode("utf-8")

    def _code(self, table: Any) -> tuple[int, str, int]:
        code = max(table.BuiltinCode(), table.DeprecatedBuiltinCode())
        return code, self._text(table.CustomCode()), table.Version()

    def _operator(self, place: int, table: Any, codes: Sequence[tuple[int, str, int]]) -> FileOperator:
        index = table.OpcodeIndex()
        if index >= len(codes):
            raise damaged(f"operator code {index} does not exist")
        code, custom, version = codes[index]
        options: dict[str, int | float | bool] = {}
        known = _OPTIONS.get(table.BuiltinOptionsType())
        packed = table.BuiltinOptions()
        if known and packed is not None:
            kind, fields = known
            values = kind()
            values.Init(packed.Bytes, packed.Pos)
            options = {field: getattr(values, field)() for field in fields}
        squeezed: tuple[int, ...] = ()
        if table.BuiltinOptionsType() == schema.BuiltinOptions.SqueezeOptions and packed is not None:
            named = schema.SqueezeOptions()
            named.Init(packed.Bytes, packed.Pos)
            squeezed = self._ints(named.SqueezeDimsLength, named.SqueezeDimsAsNumpy)
        return FileOperator(
            place,
            code,
            custom,
            version,
            self._ints(table.InputsLength, table.InputsAsNumpy),
            self._ints(table.OutputsLength, table.OutputsAsNumpy),
            options,
            squeezed,
        )

    def _tensor(self, place: int, table: Any, buffers: int) -> FileTensor:
        name = self._text(table.Name())
        data, outside = self._data(table, buffers, f"tensor {place} {printable(name, 80)!r}")
        return FileTensor(
            name=name,
            shape=self._ints(table.ShapeLength, table.ShapeAsNumpy),
            signature=self._ints(table.ShapeSignatureLength, table.ShapeSignatureAsNumpy),
            type=table.Type(),
            quantization=self._quantization(table.Quantization()),
            variable=table.IsVariable(),
            sparse=table.Sparsity() is not None,
            data=data,
            outside=outside,
        )

    def _quantization(self, table: Any) -> FileQuantization | None:
        if table is None:
            return None
        scales = self._vector(table.ScaleLength, table.ScaleAsNumpy)
        zero_points = self._vector(table.ZeroPointLength, table.ZeroPointAsNumpy)
        plain = table.DetailsType() == schema.QuantizationDetails.NONE
        if not scales and plain:
            return None
        return FileQuantization(
            tuple(float(np.float32(scale)) for scale in scales),
            tuple(int(value) for value in zero_points),
            table.QuantizedDimension(),
            plain,
        )

    def _data(self, table: Any, buffers: int, tensor: str) -> tuple[memoryview | None, bool]:
        if table.ExternalBuffer():
            raise _external(tensor, "they are in another file")
        index = table.Buffer()
        if index >= max(buffers, 1):
            raise damaged(f"buffer {index} does not exist")
        if not buffers:
            return None, False
        held = self._model.Buffers(index)
        if held.Offset() not in INLINE_OFFSETS:
            start, end = held.Offset(), held.Offset() + held.Size()
            if end > len(self._view):
                raise _external(tensor, f"bytes {start} to {end} of a file of {len(self._view)} bytes")
            return (self._view[start:end] or None), True
        count = held.DataLength()
        if not count:
            return None, False
        start = held._tab.Vector(held._tab.Offset(4))
        if start < 0 or start + count > len(self._view):
            raise damaged(f"buffer {index} reaches behind the end of the file")
        return self._view[start : start + count], False


def _external(tensor: str, why: str) -> UsageError:
    return UsageError(
        "external-weights",
        f"the weights of {tensor} lie outside the file",
        why=why,
        next="Convert the model again with its weights inside the flatbuffer.",
    )
