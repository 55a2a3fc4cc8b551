"""A model put so that LiteRT computes what TensorFlow Lite Micro computes, which is what devices run.

The two differ in two operators:

- FULLY_CONNECTED: LiteRT rescales its sums in double precision, TFLM in integers, as both do for convolutions; they are
  one apart near half a step. A dense layer is a 1×1 convolution of an image of one pixel; so LiteRT gets it as one.
- LOGISTIC: LiteRT's table is made in float, TFLM computes in integers (:mod:`pipeline.graph.logistic`). LiteRT gets
  TFLM's values as a table that its GATHER reads.

Tests compare the two byte by byte.

Sources: TensorFlow Lite Micro, micro/kernels/fully_connected_common.cc and logistic_common.cc; TensorFlow Lite,
kernels/kernel_util.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.graph.flatfile import decode
from pipeline.graph.logistic import logistic_table
from pipeline.graph.repack import self_contained
from pipeline.graph.writer import buffer, pack

_CODE = schema.BuiltinOperator


def as_micro(content: bytes) -> bytes:
    """The same model with those operators replaced; the same bytes where there are none.

    Tensors keep their indices, and each its contents: what is added stands behind them.

    Args:
        content: A .tflite that :func:`pipeline.graph.reader.parse` accepts.

    Raises:
        UsageError: What the reader raises.
    """
    if not {_CODE.FULLY_CONNECTED, _CODE.LOGISTIC} & {operator.code for operator in decode(content).operators}:
        return content
    model = schema.ModelT.InitFromPackedBuf(self_contained(content), 0)
    model.buffers = [buffer(held.data) for held in model.buffers]
    _Rewriter(model).rewrite()
    return pack(model)


class _Rewriter:
    def __init__(self, model: Any) -> None:
        self._model = model
        (self._graph,) = model.subgraphs

    def rewrite(self) -> None:
        """Replace the operators."""
        operators: list[Any] = []
        for operator in self._graph.operators:
            named = self._model.operatorCodes[operator.opcodeIndex]
            code = max(named.builtinCode, named.deprecatedBuiltinCode)
            if code == _CODE.FULLY_CONNECTED:
                operators += self._convolution(operator)
            elif code == _CODE.LOGISTIC:
                operators += self._table(operator)
            else:
                operators.append(operator)
        self._graph.operators = operators

    def _table(self, logistic: Any) -> list[Any]:
        (x,), (output,) = logistic.inputs, logistic.outputs
        source, result = self._graph.tensors[x], self._graph.tensors[output]
        # Without its sign, a value is its place in a table that begins with that of zero.
        unsigned = self._tensor(source.shape, schema.TensorType.UINT8, None)
        place = self._tensor(source.shape, schema.TensorType.INT32, None)
        values = np.roll(logistic_table(source.quantization.scale[0], int(source.quantization.zeroPoint[0])), 128)
        table = self._constant(values, result.type, result.quantization)
        return [
            self._operator(_CODE.CAST, [x], unsigned, schema.CastOptionsT()),
            self._operator(_CODE.CAST, [unsigned], place, schema.CastOptionsT()),
            self._operator(_CODE.GATHER, [table, place], output, schema.GatherOptionsT()),
        ]

    def _convolution(self, dense: Any) -> list[Any]:
        x, weights, bias = (*dense.inputs, -1)[:3]
        (output,) = dense.outputs
        source, filters, result = (self._graph.tensors[index] for index in (x, weights, output))
        units, depth = (int(size) for size in filters.shape)
        rows = prod(int(size) for size in source.shape) // depth
        before, scales = source.quantization, filters.quantization.scale
        if len(scales) == 1:
            # TFLM makes the product of two scales in float; a scale of one leaves it alone in the convolution.
            scales = [np.float32(before.scale[0]) * np.float32(scales[0])]
            before = _quantization([1.0], before.zeroPoint)
        image = self._tensor((rows, 1, 1, depth), source.type, before)
        taps = self._tensor(
            (units, 1, 1, depth), filters.type, _quantization(scales, [0] * len(scales)), filters.buffer
        )
        if bias < 0:
            bias = self._constant(np.zeros(units, np.int32))
        made = self._tensor((rows, 1, 1, units), result.type, result.quantization)
        options = schema.Conv2DOptionsT()
        options.padding = schema.Padding.VALID
        options.strideH = options.strideW = 1
        if dense.builtinOptions is not None:
            options.fusedActivationFunction = dense.builtinOptions.fusedActivationFunction
        return [
            self._reshape(x, image),
            self._operator(_CODE.CONV_2D, [image, taps, bias], made, options),
            self._reshape(made, output),
        ]

    def _reshape(self, source: int, output: int) -> Any:
        shape = self._constant(np.array(self._graph.tensors[output].shape, np.int32))
        return self._operator(_CODE.RESHAPE, [source, shape], output, schema.ReshapeOptionsT())

    def _operator(self, code: int, inputs: Sequence[int], output: int, options: Any) -> Any:
        named = schema.OperatorCodeT()
        named.builtinCode = named.deprecatedBuiltinCode = code
        named.version = 3 if code == _CODE.CONV_2D else 1
        self._model.operatorCodes.append(named)
        made = schema.OperatorT()
        made.opcodeIndex = len(self._model.operatorCodes) - 1
        made.inputs, made.outputs = list(inputs), [output]
        made.builtinOptions = options
        made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        return made

    def _constant(self, values: Any, kind: int = schema.TensorType.INT32, quantization: Any = None) -> int:
        self._model.buffers.append(buffer(values))
        return self._tensor(values.shape, kind, quantization, len(self._model.buffers) - 1)

    def _tensor(self, shape: Sequence[int], kind: int, quantization: Any, held: int = 0) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = "micro", list(shape), kind, held
        made.quantization = quantization
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1


def _quantization(scales: Sequence[float], zero_points: Sequence[int]) -> Any:
    made = schema.QuantizationParametersT()
    made.scale, made.zeroPoint = [float(scale) for scale in scales], [int(zero) for zero in zero_points]
    return made
