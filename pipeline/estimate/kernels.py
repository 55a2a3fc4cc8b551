"""Which kernel an operator calls, and which constants it brings: the layout that the renderer writes.

Source: pipeline/firmware/model_sources.py, "Bytes in flash"; a test compares the two byte by byte.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.estimate.model import INPUT, MemoryPlan
from pipeline.estimate.shapes import of_shapes
from pipeline.estimate.stages import BLOCK, ELEMENTWISE, Stage, StageKind
from pipeline.graph.model import DType, Graph, OpCode, Operator, Tensor, WindowOptions, without_leading_ones

#: Arrays start at multiples of this.
WORD = 4


#: The function of an operator that is not named after it.
_FUNCTIONS = {
    OpCode.FULLY_CONNECTED: "conv_2d",
    OpCode.PADV2: "pad",
    OpCode.RELU6: "relu",
    OpCode.LOGISTIC: "lookup",
    OpCode.HARD_SWISH: "lookup",
    OpCode.STRIDED_SLICE: "strided_copy",
    OpCode.TRANSPOSE: "strided_copy",
}
#: LOGISTIC and HARD_SWISH bring their value for each int8.
_LOOKUP_BYTES = 256


def words(size: int) -> int:
    """Bytes of an array with the padding behind it."""
    return -(-size // WORD) * WORD


@of_shapes
def kernel_name(graph: Graph, stage: Stage) -> str:
    """Name of the function that a stage calls, and of its entry in the calibration table.

    It is the operator's name, but QUANTIZE from integers is another function than QUANTIZE from float32, ADD of
    operands that are repeated another than ADD of equal shapes, SUB is either of them, and sums over an image go row
    by row; PADV2 is PAD with another value, RELU6 RELU with another bound, LOGISTIC and HARD_SWISH are two tables,
    STRIDED_SLICE and TRANSPOSE two walks.
    """
    operator = stage.operators[0]
    source = operator.inputs[0]
    if len(stage.operators) > 1:
        return "separable_conv_2d"
    if stage.kind is StageKind.SUMS:
        return "mean_of_rows" if operator.code is OpCode.MEAN else "average_of_rows"
    if operator.code is OpCode.QUANTIZE and source is not None and graph.tensors[source].dtype is not DType.FLOAT32:
        return "requantize"
    if operator.code in (OpCode.ADD, OpCode.SUB):
        shapes = {without_leading_ones(graph.tensors[index].shape) for index in operator.inputs if index is not None}
        return "add" if len(shapes) == 1 else "add_broadcast"
    return _FUNCTIONS.get(operator.code, operator.code.value.lower())


@of_shapes
def stage_constant_bytes(graph: Graph, stage: Stage) -> int:
    """Bytes in flash of the constant arrays of a stage's operators."""
    return sum(constant_bytes(graph, operator) for operator in stage.operators)


def constant_bytes(graph: Graph, operator: Operator) -> int:
    """Bytes in flash of the constant arrays of one operator; parameters are not among them."""
    if operator.code in (OpCode.LOGISTIC, OpCode.HARD_SWISH):
        return _LOOKUP_BYTES
    if operator.code in (OpCode.ADD, OpCode.SUB, OpCode.MUL, OpCode.CONCATENATION):
        widths = WORD * len(operator.inputs) if operator.code is OpCode.CONCATENATION else 0
        operands = [graph.tensors[index] for index in operator.inputs if index is not None]
        return widths + sum(words(tensor.nbytes) for tensor in operands if tensor.constant)
    if operator.code not in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED):
        return 0
    index = operator.inputs[1]
    if index is None:
        return 0
    weights = graph.tensors[index]
    channels = graph.tensors[operator.outputs[0]].shape[-1]
    if operator.code is OpCode.DEPTHWISE_CONV_2D:
        return _depthwise_bytes(graph, operator, weights, channels)
    # A record of each channel, and its filter in fours; channels are in twos.
    return (channels + channels % 2) * (2 * WORD + window_elements(weights))


def window_elements(weights: Tensor) -> int:
    """Elements of a filter [channel, (row, column,) input channel], each row filled up to whole words."""
    rows = weights.shape[1] if len(weights.shape) == 4 else 1
    return rows * words(weights.elements // weights.shape[0] // rows)


def _depthwise_bytes(graph: Graph, operator: Operator, weights: Tensor, channels: int) -> int:
    """A stream of weights and records (depthwise_conv_2d.h), in a short form where there is a kernel for it."""
    if not depthwise_short(graph, operator):
        return words(12 * channels + weights.nbytes)
    _, height, width, _ = weights.shape
    pairs = height // 2 * width
    _, stride = window_of(graph, operator)
    last_row = height % 2 * (1 if depthwise_special((height, width), stride) else width)
    return channels * (4 * -(-pairs // 2) + 8 + last_row)


#: Bytes in flash of a stage's steps and feeds, of a segment's end, and of where an activation's rows lie.
_SCHEDULE, _END, _ROWS = 10, 2, 12
#: Bytes in RAM of a stage's cycles and of its step counter.
_CYCLES, _DONE = 4, 2


def structure_bytes(graph: Graph, plan: MemoryPlan) -> int:
    """Bytes in flash of what says how the stages go together, beside the calls: names, steps, ends, rows."""
    rows = {tensor for each in plan.segments for stage in each.stages for tensor in with_rows(stage, flat=each.flat)}
    return schedule_bytes(
        frozenset(stage.name for stage in plan.stages),
        stages=len(plan.stages),
        segments=len(plan.segments),
        rows=len(rows),
        streams=plan.streams(graph.input.index),
    )


def schedule_bytes(names: frozenset[str], *, stages: int, segments: int, rows: int, streams: bool) -> int:
    """The same of so many stages with these names in so many segments, with ``rows`` activations found by their rows.

    ``streams``: there is a stage that takes the input's rows.
    """
    called = stages + streams
    different = names | {INPUT} if streams else names
    text = WORD * called + sum([words(len(name) + 1) for name in different])
    return text + words(_SCHEDULE * called) + words(_END * segments) + _ROWS * rows


def with_rows(stage: Stage, *, flat: bool) -> tuple[int, ...]:
    """The activations that a stage finds by their rows."""
    sources = tuple(feed.tensor for feed in stage.feeds)
    if stage.kind is StageKind.WHOLE:
        dense = stage.operators[0].code is OpCode.FULLY_CONNECTED
        return (*sources, *stage.outputs) if dense else ()
    if stage.kind is StageKind.SUMS:
        return sources
    elementwise = stage.operators[0].code in ELEMENTWISE
    return () if elementwise and flat else (*sources, *stage.outputs)


def stage_state(count: int) -> int:
    """Bytes in RAM of the executor's counters for so many stages."""
    return _CYCLES * count + words(_DONE * count)


@dataclass(frozen=True)
class Needs:
    """What a stage needs besides activations, in bytes.

    ``scratch`` is shared by all stages of a segment, ``sums`` are kept from the first to the last step of the stage.
    """

    scratch: int
    sums: int


@of_shapes
def stage_needs(graph: Graph, stage: Stage) -> Needs:
    """Scratch and sums of a stage, in bytes."""
    if stage.kind is StageKind.SUMS:
        return Needs(0, 4 * graph.tensors[stage.outputs[0]].shape[-1])
    if len(stage.operators) > 1:  # a separable convolution: both have theirs, a block of few pixels
        depthwise, pointwise = stage.operators
        kernel, stride = window_of(graph, depthwise)
        pairs = _convolution_scratch(graph, pointwise, stage.block)
        # Where there are no loops that make pairs, bytes lie behind them first.
        loose = 0 if depthwise_special(kernel, stride) else pairs // 2
        return Needs(pairs + loose + depthwise_bytes(kernel, stride, BLOCK), 0)
    (operator,) = stage.operators
    if operator.code in (OpCode.CONV_2D, OpCode.FULLY_CONNECTED):
        return Needs(_convolution_scratch(graph, operator, stage.block), 0)
    if operator.code is OpCode.DEPTHWISE_CONV_2D:
        kernel, stride = window_of(graph, operator)
        return Needs(depthwise_bytes(kernel, stride, depthwise_pixels(kernel, stride)), 0)
    return Needs(0, 0)


def _convolution_scratch(graph: Graph, operator: Operator, block: int) -> int:
    """A block of pixels' windows in int16, of a convolution or a dense layer."""
    weights = _weights(graph, operator)
    vectors = graph.tensors[operator.outputs[0]].elements // weights.shape[0]
    if operator.code is not OpCode.CONV_2D:
        block = min(vectors, block)
    return 2 * block * window_elements(weights)


#: A depthwise kernel takes channels in groups of as many as a word has bytes.
GROUP = 4
#: The most bytes that its transposed block takes, and its pixels at most and at least.
_DEPTHWISE_BYTES = 800
_DEPTHWISE_PIXELS = range(16, 3, -4)


def depthwise_special(kernel: tuple[int, ...], stride: int) -> bool:
    """Whether the loops for 3×3 kernels apply, for a kernel (rows, columns) and the stride along a row."""
    return tuple(kernel) == (3, 3) and stride <= 2


def depthwise_short(graph: Graph, operator: Operator) -> bool:
    """Whether the depthwise kernel for four channels at a time applies; data may forbid it all the same."""
    source, channels = operator.inputs[0], graph.tensors[operator.outputs[0]].shape[3]
    return source is not None and graph.tensors[source].shape[3] == channels and channels % GROUP == 0


def depthwise_pixels(kernel: tuple[int, int], stride: int) -> int:
    """Pixels of a depthwise kernel's block, for a kernel (rows, columns) and the stride along a row."""
    fitting = (n for n in _DEPTHWISE_PIXELS if depthwise_bytes(kernel, stride, n) <= _DEPTHWISE_BYTES)
    return next(fitting, _DEPTHWISE_PIXELS[-1])


def depthwise_bytes(kernel: tuple[int, int], stride: int, pixels: int) -> int:
    """Bytes of scratch of a depthwise kernel's block: a word for each two kernel rows and channel of a group."""
    return WORD * GROUP * -(-kernel[0] // 2) * ((pixels - 1) * stride + kernel[1])


def window_of(graph: Graph, operator: Operator) -> tuple[tuple[int, int], int]:
    """Kernel (rows, columns) and stride along a row."""
    options = operator.options
    if not isinstance(options, WindowOptions):
        raise TypeError(f"operator {operator.index} has {type(options).__name__}")
    shape = _weights(graph, operator).shape
    return (shape[1], shape[2]), options.stride[1]


def _weights(graph: Graph, operator: Operator) -> Tensor:
    index = operator.inputs[1]
    if index is None:
        raise ValueError(f"operator {operator.index} has no weights")
    return graph.tensors[index]
