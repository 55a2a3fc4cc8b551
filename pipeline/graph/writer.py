"""Writes small .tflite models: re-packing, calibration probes and tests need them without TensorFlow.

::

    writer = ModelWriter()
    x = writer.tensor((1, 8, 8, 3), DType.INT8, name="x", scale=0.5, zero_point=-3)
    w = writer.tensor((4, 3, 3, 3), DType.INT8, scale=[0.1] * 4, data=weights)
    b = writer.tensor((4,), DType.INT32, scale=[0.05] * 4, data=biases)
    y = writer.tensor((1, 4, 4, 4), DType.INT8, scale=0.25)
    writer.operator(OpCode.CONV_2D, [x, w, b], [y], WindowOptions(stride=(2, 2)))
    path.write_bytes(writer.finish([x], [y]))

Source: TensorFlow Lite's schema (schema.fbs), through the Python module that ``ai-edge-litert`` bundles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import ArrayLike, NDArray

from pipeline.graph.model import (
    Activation,
    ActivationOptions,
    ConcatenationOptions,
    DType,
    Graph,
    MeanOptions,
    NoOptions,
    OpCode,
    Options,
    Padding,
    PadOptions,
    SoftmaxOptions,
    SplitOptions,
    SqueezeOptions,
    StridedSliceOptions,
    TransposeOptions,
    WindowOptions,
)

IDENTIFIER = b"TFL3"
#: TensorFlow Lite's readers want constants aligned like this within the file.
BUFFER_ALIGNMENT = 16

TENSOR_TYPES = {
    DType.INT8: schema.TensorType.INT8,
    DType.INT32: schema.TensorType.INT32,
    DType.FLOAT32: schema.TensorType.FLOAT32,
    DType.UINT8: schema.TensorType.UINT8,
}
ACTIVATIONS = {
    Activation.NONE: schema.ActivationFunctionType.NONE,
    Activation.RELU: schema.ActivationFunctionType.RELU,
    Activation.RELU6: schema.ActivationFunctionType.RELU6,
    Activation.RELU_N1_TO_1: schema.ActivationFunctionType.RELU_N1_TO_1,
}
#: The schema's options of operators that have ActivationOptions.
_ACTIVATED = {
    OpCode.ADD: schema.AddOptionsT,
    OpCode.SUB: schema.SubOptionsT,
    OpCode.MUL: schema.MulOptionsT,
    OpCode.FULLY_CONNECTED: schema.FullyConnectedOptionsT,
}
PADDINGS = {Padding.SAME: schema.Padding.SAME, Padding.VALID: schema.Padding.VALID}


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose bytes start at a multiple of 16; the generated class aligns them to 1."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the generated code's name
        data = None
        if self.data is not None:
            payload = np.ascontiguousarray(self.data).tobytes()
            builder.StartVector(1, len(payload), BUFFER_ALIGNMENT)
            builder.head -= len(payload)
            builder.Bytes[builder.head : builder.head + len(payload)] = payload
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        schema.BufferAddOffset(builder, self.offset)
        schema.BufferAddSize(builder, self.size)
        return schema.BufferEnd(builder)


def buffer(data: NDArray[Any] | bytes | None = None) -> Any:
    """A schema ``BufferT`` that holds the bytes of ``data``; empty for None."""
    made = _AlignedBuffer()
    if data is not None:
        made.data = np.frombuffer(data if isinstance(data, bytes) else data.tobytes(), np.uint8)
    return made


def pack(model: Any) -> bytes:
    """A schema ``ModelT`` as the bytes of a .tflite file."""
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


class ModelWriter:
    """Builds one model of one subgraph, tensor by tensor and operator by operator."""

    def __init__(self) -> None:
        self._subgraph = schema.SubGraphT()
        self._subgraph.name = "main"
        self._subgraph.tensors = []
        self._subgraph.operators = []
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.description = "danas-deploy"
        self._model.subgraphs = [self._subgraph]
        self._model.operatorCodes = []
        # Buffer 0 is the empty one that activations point at, by convention.
        self._model.buffers = [buffer()]

    def tensor(
        self,
        shape: Sequence[int],
        dtype: DType | int,
        *,
        name: str | None = None,
        scale: float | Sequence[float] | NDArray[Any] | None = None,
        zero_point: int | Sequence[int] = 0,
        axis: int = 0,
        data: ArrayLike | bytes | None = None,
    ) -> int:
        """Add a tensor and return its index.

        Args:
            shape: Its dimensions, batch first.
            dtype: A DType, or a number of the schema's ``TensorType`` for what our Graph does not know.
            name: Defaults to ``tN``.
            scale: One number a tensor, several for a quantization along ``axis``, None for no quantization.
            zero_point: One number for all scales, or one a scale.
            axis: The quantized dimension; matters with several scales.
            data: The elements of a constant (converted to ``dtype``), or raw bytes; None for an activation.
        """
        made = schema.TensorT()
        made.shape = [int(size) for size in shape]
        made.type = TENSOR_TYPES[dtype] if isinstance(dtype, DType) else dtype
        made.name = name if name is not None else f"t{len(self._subgraph.tensors)}"
        made.hasRank = True
        if scale is not None:
            scales = [float(value) for value in np.atleast_1d(np.asarray(scale, np.float32))]
            zeros = np.broadcast_to(np.asarray(zero_point, np.int64), (len(scales),))
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = scales
            made.quantization.zeroPoint = [int(value) for value in zeros]
            made.quantization.quantizedDimension = axis
        made.buffer = 0
        if data is not None:
            if not isinstance(data, bytes):
                if not isinstance(dtype, DType):
                    raise TypeError("a schema tensor type needs its data as bytes")
                data = np.asarray(data).astype(np.dtype(dtype.value)).tobytes()
            made.buffer = len(self._model.buffers)
            self._model.buffers.append(buffer(data))
        self._subgraph.tensors.append(made)
        return len(self._subgraph.tensors) - 1

    def operator(
        self,
        code: OpCode | int | str,
        inputs: Sequence[int | None],
        outputs: Sequence[int],
        options: Options | Any = None,
        *,
        version: int = 1,
    ) -> None:
        """Add an operator behind those already there.

        MEAN and PAD given one input alone get their second input from the options, as a constant; RESHAPE gets it
        from its output's shape.

        Args:
            code: An OpCode, a number of the schema's ``BuiltinOperator``, or the name of a custom operator.
            inputs: Tensor indices; None for an optional input that is absent.
            outputs: Tensor indices.
            options: The Graph's options, or a schema object such as ``Conv2DOptionsT`` for what the Graph cannot say.
            version: The operator's version.
        """
        inputs = list(inputs)
        if isinstance(code, OpCode) and len(inputs) == 1:
            inputs += self._implied_input(code, outputs, options)
        made = schema.OperatorT()
        made.opcodeIndex = self._code(code, version)
        made.inputs = [-1 if index is None else index for index in inputs]
        made.outputs = list(outputs)
        packed = _schema_options(code, options, len(outputs)) if isinstance(code, OpCode) else options
        if packed is not None:
            made.builtinOptions = packed
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(packed).__name__.removesuffix("T"))
        self._subgraph.operators.append(made)

    def model(self, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        """The schema's ``ModelT``, for tests that damage it before :func:`pack`."""
        self._subgraph.inputs = list(inputs)
        self._subgraph.outputs = list(outputs)
        return self._model

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The bytes of the .tflite file."""
        return pack(self.model(inputs, outputs))

    def _implied_input(self, code: OpCode, outputs: Sequence[int], options: Any) -> list[int]:
        if code is OpCode.MEAN and isinstance(options, MeanOptions):
            return [self.tensor((len(options.axes),), DType.INT32, name="axes", data=options.axes)]
        if code is OpCode.PAD and isinstance(options, PadOptions):
            rows = len(options.paddings)
            return [self.tensor((rows, 2), DType.INT32, name="paddings", data=options.paddings)]
        if code is OpCode.RESHAPE:
            shape = self._subgraph.tensors[outputs[0]].shape
            return [self.tensor((len(shape),), DType.INT32, name="shape", data=shape)]
        return []

    def _code(self, code: OpCode | int | str, version: int) -> int:
        made = schema.OperatorCodeT()
        if isinstance(code, OpCode):
            made.builtinCode = getattr(schema.BuiltinOperator, code.value)
        elif isinstance(code, int):
            made.builtinCode = code
        else:
            made.builtinCode = schema.BuiltinOperator.CUSTOM
            made.customCode = code
        # Codes above 127 do not fit the old field; readers take the greater of the two.
        made.deprecatedBuiltinCode = min(made.builtinCode, 127)
        made.version = version
        for index, known in enumerate(self._model.operatorCodes):
            if (known.builtinCode, known.customCode, known.version) == (made.builtinCode, made.customCode, version):
                return index
        self._model.operatorCodes.append(made)
        return len(self._model.operatorCodes) - 1


def write(graph: Graph) -> bytes:
    """A Graph whose constants have data, as the bytes of a .tflite file; the inverse of the reader.

    Raises:
        ValueError: A constant has no data (a skeleton).
    """
    writer = ModelWriter()
    for tensor in graph.tensors:
        if tensor.constant and tensor.data is None:
            raise ValueError(f"constant {tensor.index} has no data")
        quantization = tensor.quantization
        writer.tensor(
            tensor.shape,
            tensor.dtype,
            name=tensor.name,
            scale=None if quantization is None else quantization.scales,
            zero_point=0 if quantization is None else quantization.zero_points,
            axis=0 if quantization is None else quantization.axis,
            data=tensor.data,
        )
    for operator in graph.operators:
        writer.operator(operator.code, operator.inputs, operator.outputs, operator.options, version=operator.version)
    return writer.finish(graph.inputs, graph.outputs)


def _schema_options(code: OpCode, options: Any, outputs: int) -> Any:  # noqa: PLR0911 - one return a kind of options is clearest
    """The Graph's options as the schema's; what is already a schema object passes."""
    if isinstance(options, WindowOptions):
        return _window_options(code, options)
    if isinstance(options, ActivationOptions):
        made = _ACTIVATED[code]()
        made.fusedActivationFunction = ACTIVATIONS[options.activation]
        if code is OpCode.FULLY_CONNECTED:
            made.keepNumDims = options.keep_dims
        return made
    if isinstance(options, MeanOptions):
        made = schema.ReducerOptionsT()
        made.keepDims = options.keep_dims
        return made
    if isinstance(options, SoftmaxOptions):
        made = schema.SoftmaxOptionsT()
        made.beta = options.beta
        return made
    if isinstance(options, PadOptions):
        return schema.PadOptionsT() if code is OpCode.PAD else schema.PadV2OptionsT()
    if isinstance(options, ConcatenationOptions):
        made = schema.ConcatenationOptionsT()
        made.axis = options.axis
        return made
    if isinstance(options, SplitOptions | StridedSliceOptions | TransposeOptions):
        return _moving_options(options, outputs)
    if isinstance(options, SqueezeOptions):
        made = schema.SqueezeOptionsT()
        made.squeezeDims = list(options.axes)
        return made
    if options is None or isinstance(options, NoOptions):
        bare = {
            OpCode.RESHAPE: schema.ReshapeOptionsT,
            OpCode.HARD_SWISH: schema.HardSwishOptionsT,
            OpCode.QUANTIZE: schema.QuantizeOptionsT,
            OpCode.DEQUANTIZE: schema.DequantizeOptionsT,
        }.get(code)
        return bare() if bare else None
    return options


def _moving_options(options: SplitOptions | StridedSliceOptions | TransposeOptions, outputs: int) -> Any:
    if isinstance(options, TransposeOptions):
        return schema.TransposeOptionsT()
    if isinstance(options, SplitOptions):
        made = schema.SplitOptionsT()
        made.numSplits = outputs
        return made
    made = schema.StridedSliceOptionsT()
    made.beginMask, made.endMask, made.shrinkAxisMask = options.begin_mask, options.end_mask, options.shrink_mask
    return made


def _window_options(code: OpCode, options: WindowOptions) -> Any:
    if code is OpCode.CONV_2D:
        made = schema.Conv2DOptionsT()
    elif code is OpCode.DEPTHWISE_CONV_2D:
        made = schema.DepthwiseConv2DOptionsT()
        made.depthMultiplier = options.depth_multiplier
    else:
        made = schema.Pool2DOptionsT()
        made.filterHeight, made.filterWidth = options.filter
    made.padding = PADDINGS[options.padding]
    made.strideH, made.strideW = options.stride
    made.fusedActivationFunction = ACTIVATIONS[options.activation]
    if code in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D):
        made.dilationHFactor, made.dilationWFactor = options.dilation
    return made
