"""From the Graph's operators to kernel calls: each operator becomes one call with its parameters worked out.

Nothing here writes C++. A :class:`Call` holds numbers and references to constants; the templates in
``firmware_templates/model/`` print them through the ``c_*`` filters. What a kernel cannot do is refused here, before
anything is built, with the operator's place in the model, its version and its tensor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError, printable
from pipeline.firmware import fixed_point
from pipeline.graph.model import (
    ActivationOptions,
    DType,
    Graph,
    MeanOptions,
    OpCode,
    Operator,
    Padding,
    PadOptions,
    Quantization,
    SoftmaxOptions,
    Tensor,
    WindowOptions,
)

T = TypeVar("T")

#: The largest dimension that the kernels' 16-bit fields hold.
LARGEST_DIMENSION = 65_535
#: SOFTMAX sums Q12.19 numbers, each at most one, in 31 bits.
LARGEST_SOFTMAX = 4_095


@dataclass(frozen=True)
class Constant:
    """A constant array, by its number in the pool."""

    number: int


@dataclass(frozen=True)
class Float32:
    """A parameter of type float."""

    value: float


#: A parameter: an integer, a float, a constant array, or a struct or array of parameters.
Value = int | Float32 | Constant | tuple["Field", ...]


@dataclass(frozen=True)
class Field:
    """A field of a parameter struct, in the struct's order."""

    name: str
    value: Value


@dataclass(frozen=True)
class Call:
    """One kernel call. ``inputs`` and ``output`` are tensor indices; ``type`` is the element type the kernel sees."""

    kernel: str  # file stem in firmware_templates/runtime/aot
    function: str
    params: str  # C++ type of the parameters
    fields: tuple[Field, ...]
    inputs: tuple[int, ...]
    input_type: DType
    output: int
    output_type: DType


class ConstantPool:
    """The constant arrays of a model; arrays equal in type and bytes are one."""

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []
        self._numbers: dict[tuple[str, bytes], int] = {}

    def add(self, array: NDArray[Any]) -> Constant:
        """The array's number; int8, int32 and float64 arrays are known to the templates."""
        flat = np.ascontiguousarray(array).reshape(-1)
        key = (flat.dtype.name, flat.tobytes())
        if key not in self._numbers:
            self._numbers[key] = len(self.arrays)
            self.arrays.append(flat)
        return Constant(self._numbers[key])


class Lowering:
    """Turns the operators of one Graph into calls, and gathers their constants in ``pool``."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.pool = ConstantPool()
        self._rules: dict[OpCode, Callable[[Operator], Call]] = {
            OpCode.CONV_2D: self._convolution,
            OpCode.DEPTHWISE_CONV_2D: self._convolution,
            OpCode.FULLY_CONNECTED: self._fully_connected,
            OpCode.ADD: self._add,
            OpCode.AVERAGE_POOL_2D: self._pool_2d,
            OpCode.MAX_POOL_2D: self._pool_2d,
            OpCode.MEAN: self._mean,
            OpCode.PAD: self._pad,
            OpCode.RESHAPE: self._reshape,
            OpCode.SOFTMAX: self._softmax,
            OpCode.QUANTIZE: self._quantize,
            OpCode.DEQUANTIZE: self._dequantize,
        }

    def call(self, operator: Operator) -> Call:
        """The kernel call of an operator.

        Raises:
            UsageError: The kernel does not cover these options (``unsupported-options``), these tensors
                (``unsupported-tensor``), shapes that do not fit together (``shape-mismatch``), or sums that may
                leave 32 bits (``accumulator-overflow``).
        """
        return self._rules[operator.code](operator)

    # --- the operators -------------------------------------------------------------------------------------------

    def _convolution(self, operator: Operator) -> Call:
        depthwise = operator.code is OpCode.DEPTHWISE_CONV_2D
        options = _options(operator, WindowOptions)
        source, weights, output = self._input(operator), self._tensor(operator, 1), self._output(operator)
        self._expect(operator, source, DType.INT8, rank=4)
        self._expect(operator, output, DType.INT8, rank=4)
        self._expect(operator, weights, DType.INT8, rank=4)
        if options.dilation != (1, 1):
            raise self._unsupported(operator, "a dilation other than 1", "Use a dilation rate of 1.")
        channels = output.shape[3]
        if depthwise:
            kernel = weights.shape[1:3]
            if weights.shape[0] != 1 or weights.shape[3] != channels or channels % source.shape[3]:
                raise self._mismatch(operator, weights)
        else:
            kernel = weights.shape[1:3]
            if weights.shape[0] != channels:
                raise self._mismatch(operator, weights)
            if weights.shape[3] != source.shape[3]:
                raise self._unsupported(operator, "a grouped convolution", "Use DEPTHWISE_CONV_2D or a full one.")
        data = self._data(operator, weights)
        bias = self._bias(operator, channels)
        by_channel = data.reshape(-1, channels).T if depthwise else data.reshape(channels, -1)
        self._check_sums(operator, by_channel, bias, source)
        factors = self._factors(operator, source, weights, output, channels, axis=3 if depthwise else 0)
        pairs = [self._multiplier(operator, factor) for factor in factors]
        window = self._window(operator, options, source, output, (kernel[0], kernel[1]))
        low, high = self._range(output, options)
        stem = "depthwise_conv_2d" if depthwise else "conv_2d"
        return Call(
            kernel=stem,
            function=stem,
            params="DepthwiseConv2dParams" if depthwise else "Conv2dParams",
            fields=(
                Field("weights", self.pool.add(data)),
                Field("bias", self.pool.add(bias)),
                Field("multipliers", self.pool.add(np.array([pair[0] for pair in pairs], np.int32))),
                Field("shifts", self.pool.add(np.array([pair[1] for pair in pairs], np.int8))),
                Field("window", window),
                Field("input_zero_point", _zero_point(source)),
                Field("output_zero_point", _zero_point(output)),
                Field("output_min", low),
                Field("output_max", high),
            ),
            inputs=(source.index,),
            input_type=DType.INT8,
            output=output.index,
            output_type=DType.INT8,
        )

    def _fully_connected(self, operator: Operator) -> Call:
        options = _options(operator, ActivationOptions)
        source, weights, output = self._input(operator), self._tensor(operator, 1), self._output(operator)
        self._expect(operator, source, DType.INT8)
        self._expect(operator, output, DType.INT8)
        self._expect(operator, weights, DType.INT8, rank=2)
        outputs, inputs = weights.shape
        rows = source.elements // inputs
        if rows * inputs != source.elements or rows * outputs != output.elements:
            raise self._mismatch(operator, output)
        self._check_dimensions(operator, rows, inputs, outputs)
        data = self._data(operator, weights)
        bias = self._bias(operator, outputs)
        self._check_sums(operator, data, bias, source)
        per_channel = len(_quantization(weights).scales) > 1
        factors = self._factors(operator, source, weights, output, outputs if per_channel else 1, axis=0)
        low, high = self._range(output, options)
        return Call(
            kernel="fully_connected",
            function="fully_connected",
            params="FullyConnectedParams",
            fields=(
                Field("weights", self.pool.add(data)),
                Field("bias", self.pool.add(bias)),
                Field("factors", self.pool.add(np.array(factors, np.float64))),
                Field("rows", rows),
                Field("inputs", inputs),
                Field("outputs", outputs),
                Field("factor_step", int(per_channel)),
                Field("input_zero_point", _zero_point(source)),
                Field("output_zero_point", _zero_point(output)),
                Field("output_min", low),
                Field("output_max", high),
            ),
            inputs=(source.index,),
            input_type=DType.INT8,
            output=output.index,
            output_type=DType.INT8,
        )

    def _add(self, operator: Operator) -> Call:
        options = _options(operator, ActivationOptions)
        a, b, output = self._tensor(operator, 0), self._tensor(operator, 1), self._output(operator)
        for tensor in (a, b, output):
            self._expect(operator, tensor, DType.INT8)
        # The converter squeezes one operand of a 1×1 feature map to (C,): the elements are the same in number and order.
        if _without_leading_ones(a.shape) != _without_leading_ones(b.shape):
            raise self._unsupported(operator, "operands of different shapes", "Give both operands the same shape.")
        if output.shape != max(a.shape, b.shape, key=len):
            raise self._mismatch(operator, output)
        scale_a, scale_b, scale = _scale(a), _scale(b), _scale(output)
        # 2 · max is a float product; doubling is exact. The quotients are made in double.
        twice = 2.0 * max(scale_a, scale_b)
        factors = (scale_a / twice, scale_b / twice, twice / (2.0**20 * scale))
        pairs = [fixed_point.quantize_multiplier(factor) for factor in factors]
        if any(factor >= 1.0 or shift > 0 for factor, (_, shift) in zip(factors, pairs, strict=True)):
            raise self._unsupported(
                operator, "an output scale a million times smaller than an operand's", "Check the calibration."
            )
        low, high = self._range(output, options)
        return Call(
            kernel="add",
            function="add",
            params="AddParams",
            fields=(
                Field("elements", output.elements),
                Field("multiplier_a", pairs[0][0]),
                Field("multiplier_b", pairs[1][0]),
                Field("multiplier_output", pairs[2][0]),
                Field("shift_a", pairs[0][1]),
                Field("shift_b", pairs[1][1]),
                Field("shift_output", pairs[2][1]),
                Field("zero_point_a", _zero_point(a)),
                Field("zero_point_b", _zero_point(b)),
                Field("zero_point_output", _zero_point(output)),
                Field("output_min", low),
                Field("output_max", high),
            ),
            inputs=(a.index, b.index),
            input_type=DType.INT8,
            output=output.index,
            output_type=DType.INT8,
        )

    def _pool_2d(self, operator: Operator) -> Call:
        options = _options(operator, WindowOptions)
        source, output = self._input(operator), self._output(operator)
        self._expect(operator, source, DType.INT8, rank=4)
        self._expect(operator, output, DType.INT8, rank=4)
        if source.shape[3] != output.shape[3]:
            raise self._mismatch(operator, output)
        low, high = self._range(output, options)
        average = operator.code is OpCode.AVERAGE_POOL_2D
        stem = "average_pool_2d" if average else "max_pool_2d"
        return Call(
            kernel=stem,
            function=stem,
            params="AveragePool2dParams" if average else "MaxPool2dParams",
            fields=(
                Field("window", self._window(operator, options, source, output, options.filter)),
                Field("output_min", low),
                Field("output_max", high),
            ),
            inputs=(source.index,),
            input_type=DType.INT8,
            output=output.index,
            output_type=DType.INT8,
        )

    def _mean(self, operator: Operator) -> Call:
        options = _options(operator, MeanOptions)
        source, output = self._input(operator), self._output(operator)
        self._expect(operator, source, DType.INT8)
        self._expect(operator, output, DType.INT8)
        axes = {axis for axis in options.axes if source.shape[axis] > 1}
        first, last = (min(axes), max(axes)) if axes else (0, -1)
        if any(axis not in axes and source.shape[axis] > 1 for axis in range(first, last + 1)):
            raise self._unsupported(operator, "a mean over dimensions that are not adjacent", "Use two means.")
        outer, count = prod(source.shape[:first]), prod(source.shape[first : last + 1])
        inner = prod(source.shape[last + 1 :])
        if outer * inner != output.elements:
            raise self._mismatch(operator, output)
        if count * 255 >= 2**31:
            raise self._overflow(operator)
        factor = _scale(source) / _scale(output)
        self._multiplier(operator, factor)
        multiplier, shift = fixed_point.mean_multiplier(factor, count)
        return Call(
            kernel="mean",
            function="mean",
            params="MeanParams",
            fields=(
                Field("multiplier", multiplier),
                Field("shift", shift),
                Field("input_zero_point", _zero_point(source)),
                Field("output_zero_point", _zero_point(output)),
                Field("outer", outer),
                Field("reduced", count),
                Field("inner", inner),
            ),
            inputs=(source.index,),
            input_type=DType.INT8,
            output=output.index,
            output_type=DType.INT8,
        )

    def _pad(self, operator: Operator) -> Call:
        options = _options(operator, PadOptions)
        source, output = self._input(operator), self._output(operator)
        self._expect(operator, source, DType.INT8)
        self._expect(operator, output, DType.INT8)
        rank = len(source.shape)
        if rank > 4:
            raise self._unsupported(operator, f"{rank} dimensions", "Pad at most four dimensions.")
        padded = tuple(
            size + before + after for size, (before, after) in zip(source.shape, options.paddings, strict=True)
        )
        if padded != output.shape:
            raise self._mismatch(operator, output)
        self._check_dimensions(operator, *output.shape)
        shape = (1,) * (4 - rank) + source.shape
        paddings = ((0, 0),) * (4 - rank) + options.paddings
        return Call(
            kernel="pad",
            function="pad",
            params="PadParams",
            fields=(
                Field("input", _array(shape)),
                Field("before", _array(tuple(before for before, _ in paddings))),
                Field("after", _array(tuple(after for _, after in paddings))),
                Field("value", _zero_point(output)),
            ),
            inputs=(source.index,),
            input_type=DType.INT8,
            output=output.index,
            output_type=DType.INT8,
        )

    def _reshape(self, operator: Operator) -> Call:
        source, output = self._input(operator), self._output(operator)
        if source.nbytes != output.nbytes or source.dtype is not output.dtype:
            raise self._mismatch(operator, output)
        return Call(
            kernel="reshape",
            function="reshape",
            params="ReshapeParams",
            fields=(Field("bytes", output.nbytes),),
            inputs=(source.index,),
            input_type=DType.INT8,
            output=output.index,
            output_type=DType.INT8,
        )

    def _softmax(self, operator: Operator) -> Call:
        options = _options(operator, SoftmaxOptions)
        source, output = self._input(operator), self._output(operator)
        self._expect(operator, source, DType.INT8)
        self._expect(operator, output, DType.INT8)
        if source.shape != output.shape or not source.shape:
            raise self._mismatch(operator, output)
        if _zero_point(output) != -128 or abs(_scale(output) * 256 - 1) > 0.001:
            raise self._tensor_error(operator, output, "SOFTMAX gives scale 1/256 and zero point -128")
        depth = source.shape[-1]
        if depth > LARGEST_SOFTMAX:
            raise self._unsupported(operator, f"{depth} classes", f"At most {LARGEST_SOFTMAX} are possible.")
        if options.beta * _scale(source) * 2.0**26 <= 1.0:
            raise self._unsupported(operator, f"beta {options.beta}", "Use a beta of 1.")
        multiplier, shift, smallest = fixed_point.softmax_scaling(options.beta, _scale(source))
        return Call(
            kernel="softmax",
            function="softmax",
            params="SoftmaxParams",
            fields=(
                Field("rows", source.elements // depth),
                Field("depth", depth),
                Field("multiplier", multiplier),
                Field("shift", shift),
                Field("smallest_difference", max(smallest, -256)),  # two int8 values differ by 255 at most
            ),
            inputs=(source.index,),
            input_type=DType.INT8,
            output=output.index,
            output_type=DType.INT8,
        )

    def _quantize(self, operator: Operator) -> Call:
        source, output = self._input(operator), self._output(operator)
        flip, zero_point = self._signed(operator, output)
        if source.elements != output.elements:
            raise self._mismatch(operator, output)
        if source.dtype is DType.FLOAT32:
            return Call(
                kernel="quantize",
                function="quantize",
                params="QuantizeParams",
                fields=(
                    Field("elements", output.elements),
                    Field("scale", Float32(_scale(output))),
                    Field("zero_point", zero_point),
                    Field("output_flip", flip),
                ),
                inputs=(source.index,),
                input_type=DType.FLOAT32,
                output=output.index,
                output_type=DType.INT8,
            )
        source_flip, source_zero_point = self._signed(operator, source)
        multiplier, shift = self._multiplier(operator, _scale(source) / _scale(output))
        return Call(
            kernel="quantize",
            function="requantize",
            params="RequantizeParams",
            fields=(
                Field("elements", output.elements),
                Field("multiplier", multiplier),
                Field("shift", shift),
                Field("input_zero_point", source_zero_point),
                Field("output_zero_point", zero_point),
                Field("input_flip", source_flip),
                Field("output_flip", flip),
            ),
            inputs=(source.index,),
            input_type=DType.INT8,
            output=output.index,
            output_type=DType.INT8,
        )

    def _dequantize(self, operator: Operator) -> Call:
        source, output = self._input(operator), self._output(operator)
        flip, zero_point = self._signed(operator, source)
        if output.dtype is not DType.FLOAT32:
            raise self._tensor_error(operator, output, f"its type is {output.dtype}")
        if source.elements != output.elements:
            raise self._mismatch(operator, output)
        return Call(
            kernel="dequantize",
            function="dequantize",
            params="DequantizeParams",
            fields=(
                Field("elements", output.elements),
                Field("scale", Float32(_scale(source))),
                Field("zero_point", zero_point),
                Field("input_flip", flip),
            ),
            inputs=(source.index,),
            input_type=DType.INT8,
            output=output.index,
            output_type=DType.FLOAT32,
        )

    # --- what they share -----------------------------------------------------------------------------------------

    def _tensor(self, operator: Operator, position: int) -> Tensor:
        index = operator.inputs[position] if position < len(operator.inputs) else None
        if index is None:
            raise self._unsupported(operator, f"no input {position}", "Export the model again.")
        return self._graph.tensors[index]

    def _input(self, operator: Operator) -> Tensor:
        return self._tensor(operator, 0)

    def _output(self, operator: Operator) -> Tensor:
        return self._graph.tensors[operator.outputs[0]]

    def _expect(self, operator: Operator, tensor: Tensor, dtype: DType, *, rank: int | None = None) -> None:
        if tensor.dtype is not dtype:
            raise self._tensor_error(operator, tensor, f"its type is {tensor.dtype}, the kernel takes {dtype}")
        if rank is not None and len(tensor.shape) != rank:
            raise self._tensor_error(
                operator, tensor, f"it has {len(tensor.shape)} dimensions, the kernel takes {rank}"
            )
        if not tensor.elements:
            raise self._tensor_error(operator, tensor, "it is empty")
        if tensor.quantization is None:
            raise self._tensor_error(operator, tensor, "it is not quantized")
        if not tensor.constant and len(tensor.quantization.scales) != 1:
            raise self._tensor_error(operator, tensor, "an activation has one scale")
        if not all(0.0 < scale < float("inf") for scale in tensor.quantization.scales):
            raise self._tensor_error(operator, tensor, "its scale is not a positive number")
        if not all(-128 <= zero_point <= 127 for zero_point in tensor.quantization.zero_points):
            raise self._tensor_error(operator, tensor, "its zero point does not fit its type")

    def _signed(self, operator: Operator, tensor: Tensor) -> tuple[int, int]:
        """(flip, zero point) of an int8 or uint8 tensor seen as int8, see quantize.h."""
        if tensor.dtype not in (DType.INT8, DType.UINT8):
            raise self._tensor_error(operator, tensor, f"its type is {tensor.dtype}")
        quantization = tensor.quantization
        if quantization is None or len(quantization.scales) != 1 or not quantization.scale > 0.0:
            raise self._tensor_error(operator, tensor, "it needs one positive scale")
        unsigned = tensor.dtype is DType.UINT8
        zero_point = quantization.zero_point - (128 if unsigned else 0)
        if not -128 <= zero_point <= 127:
            raise self._tensor_error(operator, tensor, "its zero point does not fit its type")
        return (0x80 if unsigned else 0, zero_point)

    def _data(self, operator: Operator, tensor: Tensor) -> NDArray[Any]:
        if not tensor.constant:
            raise self._tensor_error(operator, tensor, "it must be a constant")
        if tensor.data is None:
            raise ValueError(f"tensor {tensor.index} has no data: a skeleton cannot be rendered")
        return np.asarray(tensor.data, np.dtype(tensor.dtype.value)).reshape(tensor.shape)

    def _bias(self, operator: Operator, channels: int) -> NDArray[Any]:
        """The bias of each channel; zeros where the model has none."""
        index = operator.inputs[2] if len(operator.inputs) > 2 else None
        if index is None:
            return np.zeros(channels, np.int32)
        tensor = self._graph.tensors[index]
        if tensor.dtype is not DType.INT32:
            raise self._tensor_error(operator, tensor, f"its type is {tensor.dtype}, the kernel takes int32")
        if tensor.elements != channels:
            raise self._mismatch(operator, tensor)
        return self._data(operator, tensor).reshape(-1)

    def _factors(
        self, operator: Operator, source: Tensor, weights: Tensor, output: Tensor, channels: int, *, axis: int
    ) -> list[float]:
        """input scale · weight scale / output scale for each channel, in double and in this order."""
        quantization = _quantization(weights)
        if any(quantization.zero_points):
            raise self._tensor_error(operator, weights, "its zero point is not 0")
        scales = quantization.scales
        if len(scales) == 1:
            scales = scales * channels
        elif len(scales) != channels or quantization.axis != axis:
            raise self._tensor_error(operator, weights, "its scales do not belong to the output channels")
        return [_scale(source) * scale / _scale(output) for scale in scales]

    def _multiplier(self, operator: Operator, factor: float) -> tuple[int, int]:
        if not factor < 2.0**30:
            raise self._unsupported(operator, f"a rescaling by {factor:.3g}", "Check the scales of its tensors.")
        return fixed_point.quantize_multiplier(factor)

    def _range(self, output: Tensor, options: WindowOptions | ActivationOptions) -> tuple[int, int]:
        return fixed_point.activation_range(options.activation, _scale(output), _zero_point(output))

    def _window(
        self, operator: Operator, options: WindowOptions, source: Tensor, output: Tensor, kernel: tuple[int, int]
    ) -> tuple[Field, ...]:
        pads = []
        for size, taps, stride, made in zip(source.shape[1:3], kernel, options.stride, output.shape[1:3], strict=True):
            if min(size, taps, stride) < 1:
                raise self._mismatch(operator, source)
            same = options.padding is Padding.SAME
            if made != (-(-size // stride) if same else (size - taps) // stride + 1) or made < 1:
                raise self._mismatch(operator, output)
            pads.append(fixed_point.padding_before(size, taps, stride, made))
        if source.shape[0] != 1 or output.shape[0] != 1:
            raise self._unsupported(operator, f"a batch of {source.shape[0]}", "Export the model with a batch of 1.")
        self._check_dimensions(operator, *source.shape, *output.shape, *kernel, *options.stride)
        return (
            Field("input_height", source.shape[1]),
            Field("input_width", source.shape[2]),
            Field("input_channels", source.shape[3]),
            Field("output_height", output.shape[1]),
            Field("output_width", output.shape[2]),
            Field("output_channels", output.shape[3]),
            Field("kernel_height", kernel[0]),
            Field("kernel_width", kernel[1]),
            Field("stride_height", options.stride[0]),
            Field("stride_width", options.stride[1]),
            Field("pad_top", pads[0]),
            Field("pad_left", pads[1]),
        )

    def _check_sums(self, operator: Operator, by_channel: NDArray[Any], bias: NDArray[Any], source: Tensor) -> None:
        """No partial sum of weight · (input − zero point), with the bias, may leave 32 bits."""
        zero_point = _zero_point(source)
        largest = max(127 - zero_point, zero_point + 128)
        bound = np.abs(by_channel.astype(np.int64)).sum(axis=1) * largest + np.abs(bias.astype(np.int64))
        if bound.size and int(bound.max()) >= 2**31:
            raise self._overflow(operator)

    def _check_dimensions(self, operator: Operator, *sizes: int) -> None:
        if max(sizes) > LARGEST_DIMENSION:
            raise self._unsupported(operator, f"a dimension of {max(sizes)}", f"At most {LARGEST_DIMENSION} works.")

    # --- errors --------------------------------------------------------------------------------------------------

    def _place(self, operator: Operator) -> str:
        return f"operator {operator.index} ({operator.code}, version {operator.version})"

    def _unsupported(self, operator: Operator, what: str, next_step: str) -> UsageError:
        tensor = self._output(operator)
        return UsageError(
            "unsupported-options",
            f"{self._place(operator)} has {what}; the aot runtime has no kernel for it",
            why=f"It makes tensor {tensor.index} '{printable(tensor.name)}'.",
            next=next_step,
        )

    def _tensor_error(self, operator: Operator, tensor: Tensor, why: str) -> UsageError:
        return UsageError(
            "unsupported-tensor",
            f"{self._place(operator)} cannot take tensor {tensor.index} '{printable(tensor.name)}'",
            why=f"{why[0].upper()}{why[1:]}.",
            next="Convert the model to full int8 with TensorFlow 2.21's converter.",
        )

    def _mismatch(self, operator: Operator, tensor: Tensor) -> UsageError:
        return UsageError(
            "shape-mismatch",
            f"the shapes of {self._place(operator)} do not fit together",
            why=f"Tensor {tensor.index} '{printable(tensor.name)}' is {tensor.shape}.",
            next="Export the model again; the file is damaged or inconsistent.",
        )

    def _overflow(self, operator: Operator) -> UsageError:
        return UsageError(
            "accumulator-overflow",
            f"the sums of {self._place(operator)} may not fit 32 bits",
            why="The weights and the bias are so large that an input exists for which they do not.",
            next="Check the scales and the bias of the operator.",
        )


def _options(operator: Operator, kind: type[T]) -> T:
    if not isinstance(operator.options, kind):
        raise TypeError(f"operator {operator.index} has {type(operator.options).__name__}")
    return operator.options


def _quantization(tensor: Tensor) -> Quantization:
    if tensor.quantization is None:
        raise TypeError(f"tensor {tensor.index} is not quantized")
    return tensor.quantization


def _scale(tensor: Tensor) -> float:
    return _quantization(tensor).scale


def _zero_point(tensor: Tensor) -> int:
    return _quantization(tensor).zero_point


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(itertools.dropwhile(lambda size: size == 1, shape))


def _array(values: tuple[int, ...]) -> tuple[Field, ...]:
    return tuple(Field(str(position), value) for position, value in enumerate(values))
