"""Which kernel an operator calls, and which constants it brings: the layout that the renderer writes.

Source: pipeline/firmware/model_sources.py, "Bytes in flash"; a test compares the two byte by byte.
"""

from __future__ import annotations

from pipeline.estimate.model import INPUT, MemoryPlan
from pipeline.estimate.stages import ELEMENTWISE, Needs, Stage, StageKind
from pipeline.graph.model import DType, Graph, OpCode, Operator, without_leading_ones

#: Arrays start at multiples of this.
WORD = 4


#: The function of an operator that is not named after it.
_FUNCTIONS = {
    OpCode.PADV2: "pad",
    OpCode.RELU6: "relu",
    OpCode.LOGISTIC: "lookup",
    OpCode.HARD_SWISH: "lookup",
}
#: LOGISTIC and HARD_SWISH bring their value for each int8.
_LOOKUP_BYTES = 256


def words(size: int) -> int:
    """Bytes of an array with the padding behind it."""
    return -(-size // WORD) * WORD


def kernel_name(graph: Graph, stage: Stage) -> str:
    """Name of the function that a stage calls, and of its entry in the calibration table.

    It is the operator's name, but QUANTIZE from integers is another function than QUANTIZE from float32, ADD of
    operands that are repeated another than ADD of equal shapes, and sums over an image go row by row; PADV2 is PAD
    with another value, RELU6 RELU with another bound, and LOGISTIC and HARD_SWISH are two tables.
    """
    operator = stage.operators[0]
    source = operator.inputs[0]
    if len(stage.operators) > 1:
        return "separable_conv_2d"
    if stage.kind is StageKind.SUMS:
        return "mean_of_rows" if operator.code is OpCode.MEAN else "average_of_rows"
    if operator.code is OpCode.QUANTIZE and source is not None and graph.tensors[source].dtype is not DType.FLOAT32:
        return "requantize"
    if operator.code is OpCode.ADD:
        shapes = {without_leading_ones(graph.tensors[index].shape) for index in operator.inputs if index is not None}
        return "add" if len(shapes) == 1 else "add_broadcast"
    return _FUNCTIONS.get(operator.code, operator.code.value.lower())


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
    # Weights, and the bias of each channel: zeros where the model has none.
    shared = words(weights.nbytes) + WORD * channels
    # Multiplier and shift of each channel; a dense layer has one pair where its weights have one scale.
    scales = channels if weights.quantization is None else len(weights.quantization.scales)
    factors = 1 if operator.code is OpCode.FULLY_CONNECTED and scales == 1 else channels
    return shared + WORD * factors + words(factors)


#: Bytes in flash of a stage's steps and feeds, of a segment's end, and of where an activation's rows lie.
_SCHEDULE, _END, _ROWS = 10, 2, 12
#: Bytes in RAM of a stage's cycles and of its step counter.
_CYCLES, _DONE = 4, 2


def structure_bytes(graph: Graph, plan: MemoryPlan) -> int:
    """Bytes in flash of what says how the stages go together, beside the calls: names, steps, ends, rows."""
    stages = plan.stages
    called = [stage.name for stage in stages] + [INPUT] * plan.streams(graph.input.index)
    names = WORD * len(called) + sum(words(len(name) + 1) for name in set(called))
    with_rows = {
        tensor
        for segment in plan.segments
        for stage in segment.stages
        for tensor in _with_rows(stage, flat=segment.flat)
    }
    return names + words(_SCHEDULE * len(called)) + words(_END * len(plan.segments)) + _ROWS * len(with_rows)


def _with_rows(stage: Stage, *, flat: bool) -> tuple[int, ...]:
    """The activations that a stage finds by their rows."""
    sources = tuple(feed.tensor for feed in stage.feeds)
    if stage.kind is StageKind.WHOLE:
        return ()
    if stage.kind is StageKind.SUMS:
        return sources
    elementwise = stage.operators[0].code in ELEMENTWISE
    return () if elementwise and flat else (*sources, *stage.outputs)


def stage_state(count: int) -> int:
    """Bytes in RAM of the executor's counters for so many stages."""
    return _CYCLES * count + words(_DONE * count)


#: Pixels of a convolution's block.
BLOCK = 4


def stage_needs(graph: Graph, stage: Stage) -> Needs:
    """Scratch and sums of a stage, in bytes."""
    if stage.kind is StageKind.SUMS:
        return Needs(0, 4 * graph.tensors[stage.outputs[0]].shape[-1])
    if stage.kind is StageKind.WHOLE:
        return Needs(0, 0)
    return Needs(max(_scratch(graph, operator) for operator in stage.operators), 0)


def _scratch(graph: Graph, operator: Operator) -> int:
    """A block of pixels' inputs in int16, of a convolution."""
    if operator.code is not OpCode.CONV_2D or operator.inputs[1] is None:
        return 0
    _, rows, columns, channels = graph.tensors[operator.inputs[1]].shape
    return 2 * BLOCK * rows * words(columns * channels)
