"""One operator of a file, checked against what LiteRT's reference kernels accept, as the Graph's Operator.

A model that passes here has a defined result, and LiteRT runs it too: shapes agree, weights are constant, options
are ones that the kernels know, and no scale is such that LiteRT's own preparation would stop the process.

Source: tensorflow/lite/kernels (conv.cc, depthwise_conv.cc, fully_connected.cc, add.cc, sub.cc, mul.cc, pooling.cc,
reduce.cc, pad.cc, concatenation.cc, split.cc, strided_slice.cc, transpose.cc, reshape.cc, squeeze.cc, activations.cc,
quantize.cc, dequantize.cc), functions Prepare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from ai_edge_litert import schema_py_generated as schema

from pipeline.errors import UsageError, printable
from pipeline.graph.flatfile import FileOperator
from pipeline.graph.model import (
    Activation,
    ActivationOptions,
    ConcatenationOptions,
    DType,
    MeanOptions,
    NoOptions,
    OpCode,
    Operator,
    Options,
    Padding,
    PadOptions,
    SoftmaxOptions,
    SplitOptions,
    SqueezeOptions,
    StridedSliceOptions,
    Tensor,
    TransposeOptions,
    WindowOptions,
    broadcast_shape,
)
from pipeline.graph.writer import ACTIVATIONS, PADDINGS

_ACTIVATIONS = {value: activation for activation, value in ACTIVATIONS.items()}
_PADDINGS = {value: padding for padding, value in PADDINGS.items()}
_ACTIVATION_NAMES = {v: name for name, v in vars(schema.ActivationFunctionType).items() if isinstance(v, int)}
#: Input and output of pools and PAD have one quantization; LiteRT allows scales this far apart.
_SCALE_TOLERANCE = 1e-6
_MAX_WINDOW = 1 << 16
#: ADD and SUB scale their operands up by this power of two (add.cc); SOFTMAX its input by that one, and keeps 5
#: integer bits.
_ADD_SHIFT = 20
_SOFTMAX_BITS = 31 - 5
#: HARD_SWISH multiplies by 1/128 of the input's scale over the output's, which must be below one.
_HARD_SWISH_FRACTION = 128
#: The stack that CONCATENATION's call takes grows with its inputs, SPLIT's with its outputs; they are calibrated for
#: this many.
MAX_CONCATENATED = 8
MAX_SPLIT = 8
#: A rescaling that a 31-bit multiplier and a shift can say is below this.
_LARGEST_FACTOR = 2.0**30


@dataclass(frozen=True)
class _Given:
    """An operator under examination."""

    tensors: tuple[Tensor, ...]
    code: OpCode
    raw: FileOperator

    def refuse(self, why: str, tensor: Tensor | None = None, *, id: str = "unsupported-options") -> NoReturn:  # noqa: A002
        shown = tensor or self.tensors[self.raw.outputs[0]]
        raise UsageError(
            id,
            f"operator {self.raw.index}, {self.code} version {self.raw.version}, "
            f"tensor {shown.index} {printable(shown.name, 80)!r}: {why}",
            next="Change the network, or convert the model again to full int8.",
        )

    def input(self, position: int) -> Tensor | None:
        """The tensor at an input position; None where it is absent."""
        if position >= len(self.raw.inputs) or self.raw.inputs[position] < 0:
            return None
        return self.tensors[self.raw.inputs[position]]

    def activation(self, position: int = 0) -> Tensor:
        """The activation at an input position."""
        tensor = self.input(position)
        if tensor is None:
            self.refuse(f"input {position} is absent")
        if tensor.constant:
            self.refuse(f"input {position} is a constant", tensor)
        return tensor

    def operand(self, position: int) -> Tensor:
        """The int8 tensor of one scale at an input position, activation or constant."""
        tensor = self.input(position)
        if tensor is None:
            self.refuse(f"input {position} is absent")
        if tensor.dtype is not DType.INT8 or (tensor.quantization is not None and len(tensor.quantization.scales) != 1):
            self.refuse(f"input {position} is not an int8 tensor of one scale", tensor, id="unsupported-tensor")
        return tensor

    def constant(self, position: int, dtype: DType, rank: int) -> Tensor:
        """The constant at an input position."""
        tensor = self.input(position)
        if tensor is None:
            self.refuse(f"input {position} is absent")
        if not tensor.constant:
            self.refuse(f"input {position} is computed at run time; it must be a constant", tensor)
        if tensor.dtype is not dtype or len(tensor.shape) != rank:
            self.refuse(
                f"input {position} is {tensor.dtype} of shape {tensor.shape}; {dtype} of rank {rank} is supported",
                tensor,
                id="unsupported-tensor",
            )
        return tensor

    def numbers(self, position: int) -> tuple[int, ...]:
        """The whole numbers of the constant vector at an input position."""
        tensor = self.constant(position, DType.INT32, 1)
        return () if tensor.data is None else tuple(int(value) for value in tensor.data)

    @property
    def output(self) -> Tensor:
        return self.tensors[self.raw.outputs[0]]

    def counts(self, least: int, most: int, *, outputs: int = 1) -> None:
        """Check the number of inputs, and that of outputs."""
        if not least <= len(self.raw.inputs) <= most or not 1 <= len(self.raw.outputs) <= outputs:
            self.refuse(f"{len(self.raw.inputs)} inputs and {len(self.raw.outputs)} outputs")

    def shape(self, expected: Sequence[int]) -> None:
        """Check the output's shape."""
        if self.output.shape != tuple(expected):
            self.refuse(
                f"its shape is {self.output.shape}; {tuple(expected)} follows from its inputs", id="not-a-tflite"
            )

    def image(self, tensor: Tensor) -> tuple[int, int, int]:
        """(height, width, channels) of a tensor that must be one image."""
        if len(tensor.shape) != 4 or tensor.shape[0] != 1:
            self.refuse(f"shape {tensor.shape}; (1, height, width, channels) is supported", tensor, id="dynamic-shape")
        return tensor.shape[1], tensor.shape[2], tensor.shape[3]

    def number(self, field: str, default: int) -> int:
        """A number of the options; the default is for an operator that has none."""
        return int(self.raw.options.get(field, default))

    def fused(self) -> Activation:
        """The fused activation."""
        value = self.number("FusedActivationFunction", 0)
        if value not in _ACTIVATIONS:
            self.refuse(f"fused activation {_ACTIVATION_NAMES.get(value, value)} is not supported")
        return _ACTIVATIONS[value]

    def same_quantization(self, given: Tensor) -> None:
        """Input and output must have one quantization; the kernel copies numbers without rescaling them."""
        before, after = given.quantization, self.output.quantization
        if before is None or after is None:
            return
        if abs(before.scale - after.scale) > _SCALE_TOLERANCE or before.zero_point != after.zero_point:
            self.refuse("its quantization differs from its input's", id="unsupported-tensor")


def operator(tensors: tuple[Tensor, ...], index: int, code: OpCode, raw: FileOperator) -> Operator:
    """The Graph's Operator, of that index there; errors name its place in the file.

    Raises:
        UsageError: ``unsupported-options``, ``unsupported-tensor``, ``dynamic-shape`` or ``not-a-tflite``.
    """
    if not raw.inputs or not raw.outputs:
        raise UsageError(
            "not-a-tflite",
            f"operator {raw.index}, {code} version {raw.version}, has no inputs or no outputs",
            next="Convert the model again.",
        )
    options = _RULES[code](_Given(tensors, code, raw))
    inputs = tuple(None if i < 0 else i for i in raw.inputs)
    return Operator(index, code, raw.version, inputs, raw.outputs, options)


def _window(given: _Given, filter_size: tuple[int, int]) -> WindowOptions:
    """Stride, padding, dilation and activation; checks the output's height and width against the input's."""
    stride = given.number("StrideH", 0), given.number("StrideW", 0)
    dilation = given.number("DilationHFactor", 1), given.number("DilationWFactor", 1)
    padding = _PADDINGS.get(given.number("Padding", 0))
    if padding is None or not all(0 < size < _MAX_WINDOW for size in (*stride, *filter_size)):
        given.refuse(f"padding {given.number('Padding', 0)}, stride {stride}, filter {filter_size}")
    if dilation != (1, 1):
        given.refuse(f"dilation {dilation} is not supported")
    height, width, _ = given.image(given.activation())
    expected = [
        output_size(size, window, step, padding)
        for size, window, step in zip((height, width), filter_size, stride, strict=True)
    ]
    given.shape((1, *expected, given.image(given.output)[2]))
    return WindowOptions(stride, dilation, padding, given.fused(), filter_size)


def output_size(size: int, window: int, stride: int, padding: Padding) -> int:
    """Length of a window's output along one axis."""
    return -(-size // stride) if padding is Padding.SAME else -(-(size - window + 1) // stride)


def _weights(given: _Given, rank: int, channel_axis: int) -> Tensor:
    weights = given.constant(1, DType.INT8, rank)
    quantization = weights.quantization
    if quantization is not None:
        if any(quantization.zero_points):
            given.refuse("weights with a zero point other than 0", weights, id="unsupported-tensor")
        if len(quantization.scales) > 1 and quantization.axis != channel_axis:
            given.refuse(f"weights quantized along dimension {quantization.axis}", weights, id="unsupported-tensor")
    return weights


def _bias(given: _Given, channels: int) -> None:
    """Check the bias. LiteRT insists on one for CONV_2D, and that DEPTHWISE_CONV_2D names it or has two inputs."""
    if given.input(2) is None:
        if given.code is OpCode.CONV_2D or (given.code is OpCode.DEPTHWISE_CONV_2D and len(given.raw.inputs) == 3):
            given.refuse("it has no bias")
        return
    bias = given.constant(2, DType.INT32, 1)
    if bias.shape != (channels,):
        given.refuse(f"{bias.elements} biases for {channels} channels", bias, id="not-a-tflite")


def _conv(given: _Given) -> Options:
    given.counts(2, 3)
    _, _, channels = given.image(given.activation())
    weights = _weights(given, 4, 0)
    outputs, height, width, depth = weights.shape
    if depth != channels:
        given.refuse(f"grouped convolution: {depth} of {channels} channels", weights)
    if given.image(given.output)[2] != outputs:
        given.refuse(f"{outputs} filters for shape {given.output.shape}", id="not-a-tflite")
    _bias(given, outputs)
    _rescaling(given, weights)
    return _without_filter(_window(given, (height, width)), 1)


def _depthwise(given: _Given) -> Options:
    given.counts(2, 3)
    _, _, channels = given.image(given.activation())
    weights = _weights(given, 4, 3)
    batch, height, width, outputs = weights.shape
    if batch != 1 or outputs % channels or given.image(given.output)[2] != outputs:
        given.refuse(f"weights of shape {weights.shape} for {channels} channels", weights, id="not-a-tflite")
    _bias(given, outputs)
    _rescaling(given, weights)
    # The multiplier in the options may be absent or wrong; LiteRT takes the shapes' word.
    return _without_filter(_window(given, (height, width)), outputs // channels)


def _without_filter(options: WindowOptions, multiplier: int) -> WindowOptions:
    """A convolution's window is its weights' shape, so its options do not repeat it."""
    return WindowOptions(
        options.stride, options.dilation, options.padding, options.activation, depth_multiplier=multiplier
    )


def _fully_connected(given: _Given) -> Options:
    given.counts(2, 3)
    source = given.activation()
    weights = _weights(given, 2, 0)
    units, depth = weights.shape
    if given.number("WeightsFormat", 0) != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        given.refuse("shuffled weights are not supported", weights)
    if source.elements % depth:
        given.refuse(f"{source.elements} inputs for weights of shape {weights.shape}", weights, id="not-a-tflite")
    keep_dims = bool(given.raw.options.get("KeepNumDims", False))
    if keep_dims and source.shape[-1] != depth:
        given.refuse(f"inputs of shape {source.shape} for weights of shape {weights.shape}", weights, id="not-a-tflite")
    given.shape((*source.shape[:-1], units) if keep_dims else (source.elements // depth, units))
    _bias(given, units)
    _rescaling(given, weights)
    return ActivationOptions(given.fused(), keep_dims)


def _rescaling(given: _Given, weights: Tensor) -> None:
    """The factor from accumulator to output must be one that a 31-bit multiplier and a shift can say."""
    before, after = given.activation().quantization, given.output.quantization
    if before is None or after is None or weights.quantization is None:
        return
    if not before.scale * max(weights.quantization.scales) / after.scale < _LARGEST_FACTOR:
        given.refuse("the scales of input and weights are far above the output's", id="unsupported-tensor")


def _elementwise(given: _Given) -> Options:
    given.counts(2, 2)
    first, second = given.operand(0), given.operand(1)
    if first.constant and second.constant:
        given.refuse("both operands are constants", second)
    shape = broadcast_shape(first.shape, second.shape)
    if shape is None:
        given.refuse(f"operands of shapes {first.shape} and {second.shape}", second, id="not-a-tflite")
    given.shape(shape)
    scales = [t.quantization.scale for t in (first, second, given.output) if t.quantization]
    if len(scales) == 3:
        if given.code is OpCode.MUL:
            factor_fits = scales[0] * scales[1] / scales[2] < _LARGEST_FACTOR
        else:
            factor_fits = 2 * max(scales[:2]) / (scales[2] * 2.0**_ADD_SHIFT) < 1
        if not factor_fits:
            given.refuse("its scale is far below its operands'", id="unsupported-tensor")
    return ActivationOptions(given.fused())


def _pool(given: _Given) -> Options:
    given.counts(1, 1)
    source = given.activation()
    options = _window(given, (given.number("FilterHeight", 0), given.number("FilterWidth", 0)))
    if given.image(source)[2] != given.image(given.output)[2]:
        given.refuse(f"shape {given.output.shape} from {source.shape}", id="not-a-tflite")
    given.same_quantization(source)
    return options


def _mean(given: _Given) -> Options:
    given.counts(2, 2)
    source = given.activation()
    axes_tensor = given.input(1)
    axes_tensor = given.constant(1, DType.INT32, len(axes_tensor.shape) if axes_tensor is not None else 1)
    rank = len(source.shape)
    stated = [] if axes_tensor.data is None else [int(axis) for axis in axes_tensor.data.reshape(-1)]
    if any(not -rank <= axis < rank for axis in stated):
        given.refuse(f"axes {stated} of rank {rank}", axes_tensor, id="not-a-tflite")
    axes = tuple(sorted({axis % rank for axis in stated}))
    if not axes or 0 in axes:
        given.refuse(f"mean over axes {axes} of shape {source.shape}; the batch stays", axes_tensor)
    keep_dims = bool(given.raw.options.get("KeepDims", False))
    kept = [1 if axis in axes else size for axis, size in enumerate(source.shape) if keep_dims or axis not in axes]
    given.shape(kept)
    return MeanOptions(axes, keep_dims)


def _pad(given: _Given) -> Options:
    count = 3 if given.code is OpCode.PADV2 else 2
    given.counts(count, count)
    source = given.activation()
    table = given.constant(1, DType.INT32, 2)
    if table.shape != (len(source.shape), 2) or table.data is None:
        given.refuse(f"paddings of shape {table.shape} for shape {source.shape}", table, id="not-a-tflite")
    paddings = tuple((int(before), int(after)) for before, after in table.data)
    if any(not 0 <= size < _MAX_WINDOW for pair in paddings for size in pair):
        given.refuse(f"paddings {paddings}", table)
    if paddings[0] != (0, 0):
        given.refuse("padding of the batch dimension is not supported", table)
    given.shape([size + sum(pair) for size, pair in zip(source.shape, paddings, strict=True)])
    given.same_quantization(source)
    return PadOptions(paddings, _pad_value(given) if count == 3 else None)


def _pad_value(given: _Given) -> int:
    """PADV2's third input; its quantization must be the output's very own, since the kernel copies the number."""
    value = given.operand(2)
    if not value.constant or value.data is None or value.elements != 1:
        given.refuse(f"a value of shape {value.shape} that is {'' if value.constant else 'not '}constant", value)
    if value.quantization != given.output.quantization:
        given.refuse("its quantization differs from the output's", value, id="unsupported-tensor")
    return int(value.data.reshape(-1)[0])


def _concatenation(given: _Given) -> Options:
    given.counts(1, MAX_CONCATENATED)
    inputs = [given.operand(position) for position in range(len(given.raw.inputs))]
    if all(tensor.constant for tensor in inputs):
        given.refuse("all its inputs are constants", inputs[0])
    if given.fused() is not Activation.NONE:
        given.refuse("a fused activation; LiteRT has none here")
    axis, shape = given.number("Axis", 0), inputs[0].shape
    if not -len(shape) <= axis < len(shape):
        given.refuse(f"axis {axis} of shape {shape}", id="not-a-tflite")
    axis %= len(shape)
    for tensor in inputs:
        if len(tensor.shape) != len(shape) or any(
            size != other for place, (size, other) in enumerate(zip(tensor.shape, shape, strict=True)) if place != axis
        ):
            given.refuse(f"inputs of shapes {shape} and {tensor.shape} along axis {axis}", tensor, id="not-a-tflite")
        if tensor.quantization != given.output.quantization:
            given.refuse("its quantization differs from the output's", tensor, id="unsupported-tensor")
    given.shape([*shape[:axis], sum(tensor.shape[axis] for tensor in inputs), *shape[axis + 1 :]])
    return ConcatenationOptions(axis)


def _split(given: _Given) -> Options:
    given.counts(2, 2, outputs=MAX_SPLIT)
    source, parts = given.activation(1), len(given.raw.outputs)
    stated = given.input(0)
    stated = given.constant(0, DType.INT32, len(stated.shape) if stated is not None else 0)
    axis = 0 if stated.data is None or stated.elements != 1 else int(stated.data.reshape(-1)[0])
    rank = len(source.shape)
    if stated.elements != 1 or not -rank <= axis < rank or source.shape[axis] % parts:
        given.refuse(f"{parts} parts of shape {source.shape} along axis {axis}", stated, id="not-a-tflite")
    axis %= rank
    shape = (*source.shape[:axis], source.shape[axis] // parts, *source.shape[axis + 1 :])
    for index in given.raw.outputs:
        made = given.tensors[index]
        if made.shape != shape:
            given.refuse(f"its shape is {made.shape}; {shape} follows from its input", made, id="not-a-tflite")
        if made.quantization != source.quantization:
            given.refuse("its quantization differs from its input's", made, id="unsupported-tensor")
    return SplitOptions(axis)


def _strided_slice(given: _Given) -> Options:
    given.counts(4, 4)
    source = given.activation()
    begins, ends, strides = (given.numbers(position) for position in (1, 2, 3))
    if not len(begins) == len(ends) == len(strides) == len(source.shape) or 0 in strides:
        given.refuse(f"begin {begins}, end {ends}, strides {strides} of shape {source.shape}")
    masks = {name: given.number(f"{name}Mask", 0) for name in ("Begin", "End", "ShrinkAxis", "Ellipsis", "NewAxis")}
    if masks["Ellipsis"] or masks["NewAxis"] or given.number("Offset", 0):
        given.refuse("an ellipsis, a new axis or an end that counts from the begin is not supported")
    dropped = [bool(masks["ShrinkAxis"] >> axis & 1) for axis in range(len(begins))]
    taken = []
    for axis, (size, begin, end, stride) in enumerate(zip(source.shape, begins, ends, strides, strict=True)):
        # Python's slices clamp begin and end as LiteRT does; an axis that is dropped has one element, at its begin.
        first = None if masks["Begin"] >> axis & 1 else begin
        last = None if masks["End"] >> axis & 1 else end
        if dropped[axis]:
            if not -size <= begin < size or stride != 1 or first is None:
                given.refuse(f"element {begin} of axis {axis} of shape {source.shape}, stride {stride}")
            first, last = begin % size, begin % size + 1
        taken.append(range(size)[first:last:stride])
    if not all(taken):
        given.refuse(f"nothing of shape {source.shape} from {begins} to {ends} by {strides}")
    given.shape([len(places) for places, drop in zip(taken, dropped, strict=True) if not drop])
    given.same_quantization(source)
    return StridedSliceOptions(
        tuple(places[0] for places in taken),
        strides,
        tuple(len(places) for places in taken),
        masks["Begin"],
        masks["End"],
        masks["ShrinkAxis"],
    )


def _transpose(given: _Given) -> Options:
    given.counts(2, 2)
    source, permutation = given.activation(), given.numbers(1)
    if sorted(permutation) != list(range(len(source.shape))):
        given.refuse(f"permutation {permutation} of shape {source.shape}", id="not-a-tflite")
    given.shape([source.shape[axis] for axis in permutation])
    given.same_quantization(source)
    return TransposeOptions(permutation)


def _squeeze(given: _Given) -> Options:
    given.counts(1, 1)
    shape, named = given.activation().shape, given.raw.squeezed
    rank = len(shape)
    if any(not -rank <= axis < rank or shape[axis] != 1 for axis in named):
        given.refuse(f"it drops dimensions {named} of shape {shape}", id="not-a-tflite")
    axes = tuple(sorted({axis % rank for axis in named})) or tuple(axis for axis in range(rank) if shape[axis] == 1)
    given.shape([size for axis, size in enumerate(shape) if axis not in axes])
    return SqueezeOptions(axes)


def _reshape(given: _Given) -> Options:
    given.counts(1, 2)
    source = given.activation()
    wanted = given.input(1)
    if wanted is not None:
        shape = given.constant(1, DType.INT32, len(wanted.shape))
        _check_wanted_shape(given, shape, [] if shape.data is None else [int(size) for size in shape.data.reshape(-1)])
    if source.elements != given.output.elements:
        given.refuse(f"shape {given.output.shape} from {source.shape}", id="not-a-tflite")
    return NoOptions()


def _check_wanted_shape(given: _Given, tensor: Tensor, wanted: list[int]) -> None:
    """The shape that RESHAPE is told must be its output's; one dimension may be −1, left to follow from the rest."""
    shape = given.output.shape
    same = len(wanted) == len(shape) and all(told in (-1, size) for told, size in zip(wanted, shape, strict=True))
    if not same or wanted.count(-1) > 1:
        given.refuse(f"it is told the shape {wanted}, its output's is {shape}", tensor, id="not-a-tflite")


def _softmax(given: _Given) -> Options:
    given.counts(1, 1)
    source = given.activation()
    given.shape(source.shape)
    beta = float(given.raw.options.get("Beta", 0.0))
    before, after = source.quantization, given.output.quantization
    if before is not None and after is not None:
        if after.zero_point != -128 or not math.isclose(after.scale, 1 / 256, rel_tol=1e-3):
            given.refuse("its quantization is not scale 1/256, zero point -128", id="unsupported-tensor")
        factor = beta * before.scale * 2.0**_SOFTMAX_BITS
        if not (math.isfinite(factor) and factor > 1):
            given.refuse(f"beta {beta} with an input scale of {before.scale:g}")
    return SoftmaxOptions(beta)


def _one_for_one(given: _Given, largest: float) -> Options:
    """An operator that maps each element alone; the input's scale is below ``largest`` times the output's."""
    given.counts(1, 1)
    source = given.activation()
    given.shape(source.shape)
    before, after = source.quantization, given.output.quantization
    if before is not None and after is not None and not before.scale / after.scale < largest:
        given.refuse("its scale is far below its input's", id="unsupported-tensor")
    return NoOptions()


def _relu(given: _Given) -> Options:
    return _one_for_one(given, _LARGEST_FACTOR)


def _logistic(given: _Given) -> Options:
    given.counts(1, 1)
    given.shape(given.activation().shape)
    after = given.output.quantization
    if after is not None and (after.scale, after.zero_point) != (1 / 256, -128):
        given.refuse("its quantization is not scale 1/256, zero point -128", id="unsupported-tensor")
    return NoOptions()


def _hard_swish(given: _Given) -> Options:
    return _one_for_one(given, _HARD_SWISH_FRACTION)


def _cast(given: _Given) -> Options:
    given.counts(1, 1)
    source = given.activation()
    given.shape(source.shape)
    pair = (source.dtype, given.output.dtype)
    if pair not in _CASTS[given.code]:
        given.refuse(f"{pair[0]} to {pair[1]} is not supported", id="unsupported-tensor")
    return NoOptions()


_CASTS = {
    OpCode.QUANTIZE: {
        (DType.FLOAT32, DType.INT8),
        (DType.UINT8, DType.INT8),
        (DType.INT8, DType.UINT8),
        (DType.INT8, DType.INT8),
    },
    OpCode.DEQUANTIZE: {(DType.INT8, DType.FLOAT32)},
}

_RULES: dict[OpCode, Callable[[_Given], Options]] = {
    OpCode.CONV_2D: _conv,
    OpCode.DEPTHWISE_CONV_2D: _depthwise,
    OpCode.FULLY_CONNECTED: _fully_connected,
    OpCode.ADD: _elementwise,
    OpCode.SUB: _elementwise,
    OpCode.MUL: _elementwise,
    OpCode.AVERAGE_POOL_2D: _pool,
    OpCode.MAX_POOL_2D: _pool,
    OpCode.MEAN: _mean,
    OpCode.PAD: _pad,
    OpCode.PADV2: _pad,
    OpCode.CONCATENATION: _concatenation,
    OpCode.SPLIT: _split,
    OpCode.STRIDED_SLICE: _strided_slice,
    OpCode.TRANSPOSE: _transpose,
    OpCode.RESHAPE: _reshape,
    OpCode.SQUEEZE: _squeeze,
    OpCode.RELU: _relu,
    OpCode.RELU6: _relu,
    OpCode.LOGISTIC: _logistic,
    OpCode.HARD_SWISH: _hard_swish,
    OpCode.SOFTMAX: _softmax,
    OpCode.QUANTIZE: _cast,
    OpCode.DEQUANTIZE: _cast,
}
