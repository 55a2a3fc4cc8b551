"""Which kernel an operator calls, and which constants it brings: the layout that the renderer writes.

Source: pipeline/firmware/model_sources.py, "Bytes in flash"; a test compares the two byte by byte.
"""

from __future__ import annotations

from pipeline.estimate.stages import Needs, Stage, StageKind
from pipeline.graph.model import DType, Graph, OpCode, Operator, without_leading_ones

#: Arrays start at multiples of this.
WORD = 4


#: Operators that share another one's kernel, or go by a kernel that is named after no operator.
_SHARED_KERNELS = {
    OpCode.PADV2: "PAD",
    OpCode.RELU6: "RELU",
    OpCode.LOGISTIC: "LOOKUP",
    OpCode.HARD_SWISH: "LOOKUP",
}
#: LOGISTIC and HARD_SWISH bring their value for each int8.
_LOOKUP_BYTES = 256


def words(size: int) -> int:
    """Bytes of an array with the padding behind it."""
    return -(-size // WORD) * WORD


def kernel_name(graph: Graph, operator: Operator) -> str:
    """Name of an operator's kernel in the calibration table.

    It is the operator's name, but QUANTIZE from integers is another function than QUANTIZE from float32, and ADD of
    operands that are repeated another than ADD of equal shapes; PADV2 is PAD with another value, RELU6 RELU with
    another bound, and LOGISTIC and HARD_SWISH are two tables.
    """
    source = operator.inputs[0]
    if operator.code is OpCode.QUANTIZE and source is not None and graph.tensors[source].dtype is not DType.FLOAT32:
        return "QUANTIZE_INTEGERS"
    if operator.code is OpCode.ADD:
        shapes = {without_leading_ones(graph.tensors[index].shape) for index in operator.inputs if index is not None}
        return "ADD" if len(shapes) == 1 else "ADD_BROADCAST"
    return _SHARED_KERNELS.get(operator.code, operator.code.value)


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


def name_bytes(graph: Graph) -> int:
    """Bytes in flash of the table of operator names: a pointer an operator, and each name once."""
    names = {operator.code.value for operator in graph.operators}
    return WORD * len(graph.operators) + sum(words(len(name) + 1) for name in names)


def stage_needs(graph: Graph, stage: Stage) -> Needs:
    """Scratch and sums of a stage, in bytes."""
    if stage.kind is StageKind.SUMS:
        return Needs(0, 4 * graph.tensors[stage.outputs[0]].shape[-1])
    if stage.kind is StageKind.WHOLE:
        return Needs(0, 0)
    return Needs(max(_scratch(graph, operator, stage.block) for operator in stage.operators), 0)


def _scratch(graph: Graph, operator: Operator, block: int) -> int:
    """A block of pixels' inputs in int16, of a convolution."""
    if operator.code is not OpCode.CONV_2D or operator.inputs[1] is None:
        return 0
    weights = graph.tensors[operator.inputs[1]].shape
    return 2 * block * words(weights[1] * weights[2] * weights[3])
