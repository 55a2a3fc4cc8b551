"""What the interpreter keeps in the arena's tail, and the most that both ends take while it starts.

The allocations are done here as the interpreter does them, one after the other, with their alignments: those of the
tail stay, those of the head are lists and descriptions of tensors that are dropped again. Source: micro_allocator.cc,
micro_interpreter.cc, the arena allocators, and each kernel's Init and Prepare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.estimate.areas import ALIGNMENT
from pipeline.estimate.tflm import scratch
from pipeline.estimate.tflm.scratch import Extension
from pipeline.estimate.tflm.structures import Sizes, aligned
from pipeline.graph.model import DType, Graph, OpCode, Operator

#: Requests for scratch that one operator may have; the list of them is kept that much longer.
_MOST_REQUESTS = 12
#: Numbers of a planned buffer beside its requirements and its entry: size, number, offset.
_PLANNED_NUMBERS = 3


class _Kernel(NamedTuple):
    """Structures of an operator, empty where it has none; ``data_cmsis_nn`` where CMSIS-NN's is another."""

    options: str
    data: str
    data_cmsis_nn: str = ""


_KERNELS = {
    OpCode.CONV_2D: _Kernel("TfLiteConvParams", "OpDataConv", "CmsisNnConv"),
    OpCode.DEPTHWISE_CONV_2D: _Kernel("TfLiteDepthwiseConvParams", "OpDataConv", "CmsisNnConv"),
    OpCode.FULLY_CONNECTED: _Kernel("TfLiteFullyConnectedParams", "OpDataFullyConnected", "CmsisNnFullyConnected"),
    OpCode.ADD: _Kernel("TfLiteAddParams", "OpDataAdd"),
    OpCode.SUB: _Kernel("TfLiteSubParams", "OpDataSub"),
    OpCode.MUL: _Kernel("TfLiteMulParams", "OpDataMul"),
    OpCode.AVERAGE_POOL_2D: _Kernel("TfLitePoolParams", "OpDataPooling", "CmsisNnPooling"),
    OpCode.MAX_POOL_2D: _Kernel("TfLitePoolParams", "OpDataPooling", "CmsisNnPooling"),
    OpCode.MEAN: _Kernel("TfLiteReducerParams", "OpDataReduce"),
    OpCode.PAD: _Kernel("", "OpDataPad"),
    OpCode.PADV2: _Kernel("", "OpDataPad"),
    OpCode.CONCATENATION: _Kernel("TfLiteConcatenationParams", "ConcatenationParams"),
    OpCode.SPLIT: _Kernel("TfLiteSplitParams", ""),
    OpCode.STRIDED_SLICE: _Kernel("TfLiteStridedSliceParams", "StridedSliceParams"),
    OpCode.TRANSPOSE: _Kernel("", ""),
    OpCode.RESHAPE: _Kernel("TfLiteReshapeParams", ""),
    OpCode.SQUEEZE: _Kernel("TfLiteSqueezeParams", ""),
    OpCode.RELU: _Kernel("", "ReluOpData"),
    OpCode.RELU6: _Kernel("", "Relu6OpData"),
    OpCode.LOGISTIC: _Kernel("", "OpDataLogistic"),
    OpCode.HARD_SWISH: _Kernel("", "HardSwishParams"),
    OpCode.SOFTMAX: _Kernel("TfLiteSoftmaxParams", "SoftmaxParams", "CmsisNnSoftmax"),
    OpCode.QUANTIZE: _Kernel("", "OpDataQuantizeReference"),
    OpCode.DEQUANTIZE: _Kernel("", "DequantizeOpData"),
}


@dataclass(frozen=True)
class Tail:
    """The arena's tail, in bytes.

    Attributes:
        bytes: What stays: the tail as the interpreter reports it.
        starting: The most that both ends take while it starts, without the head of the plan.
    """

    bytes: int
    starting: int


class _Ends:
    """The arena's two ends, from which the interpreter takes: ``tail`` stays, ``head`` is dropped and taken again."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self.tail = 0
        self.head = 0
        self.most = 0

    def keep(self, name: str, count: int = 1) -> None:
        """An array of structures in the tail, at their own alignment."""
        size, alignment = self._sizes.layout(name)
        self.keep_bytes(size * count, alignment)

    def keep_bytes(self, size: int, alignment: int = ALIGNMENT) -> None:
        """Bytes in the tail; what kernels ask for starts at a multiple of 16."""
        self.tail = aligned(self.tail + size, alignment)
        self._note()

    def look(self, name: str, count: int = 1) -> None:
        """An array of structures in the head."""
        size, alignment = self._sizes.layout(name)
        self.look_bytes(size * count, alignment)

    def look_bytes(self, size: int, alignment: int) -> None:
        """Bytes in the head."""
        self.head = aligned(self.head, alignment) + size
        self._note()

    def drop_to(self, size: int) -> None:
        """What was taken from the head is dropped but for that much."""
        self.head = size
        self._note()

    def _note(self) -> None:
        self.most = max(self.most, self.tail + self.head)


def tail(graph: Graph, extension: Extension | None, planned: int, sizes: Sizes) -> Tail:
    """The tail of a Graph; one without data will do.

    Args:
        graph: The model.
        extension: Of CMSIS-NN's kernels; None for the reference kernels.
        planned: How many buffers the planner places.
        sizes: Of the structures.
    """
    ends, channels = _Ends(sizes), scales(graph)
    kind = "Recording" if sizes.recording else ""
    for name in (f"{kind}SingleArenaBufferAllocator", "GreedyMemoryPlanner", f"{kind}MicroAllocator"):
        ends.keep(name)
    ends.keep("MicroBuiltinDataAllocator")
    requests = sizes.of("ScratchBufferRequest")
    ends.drop_to(requests * _MOST_REQUESTS)
    ends.keep("SubgraphAllocations")
    ends.keep("TfLiteEvalTensor", len(graph.tensors))
    ends.keep("NodeAndRegistration", len(graph.operators))
    for operator in graph.operators:
        if options := _KERNELS[operator.code].options:
            ends.keep(options)
    for operator in graph.operators:
        kernel = _KERNELS[operator.code]
        if data := (extension and kernel.data_cmsis_nn) or kernel.data:
            ends.keep_bytes(sizes.of(data))
    asked = 0
    for operator in graph.operators:
        before, after = _looked_at(operator, extension)
        _describe(ends, channels, before)
        for size in _multipliers(graph, operator, channels):
            ends.keep_bytes(size)
        _describe(ends, channels, after)
        asked += len(scratch.of_operator(graph, operator, extension))
        ends.drop_to(requests * (asked + _MOST_REQUESTS))
    if asked:
        ends.keep("ScratchBufferHandle", asked)
    # The planner's lists; it is given all that is left, between two multiples of 16.
    ends.look_bytes(sizes.pointer, sizes.pointer)
    ends.look("AllocationInfo", len(graph.tensors) + asked)
    each = sizes.of("BufferRequirements") + sizes.of("ListEntry") + 4 * _PLANNED_NUMBERS
    lists = aligned(ends.head, ALIGNMENT) + each * planned + aligned(ends.tail, ALIGNMENT)
    starting = max(ends.most, lists)
    for index in (*graph.inputs, *graph.outputs):
        ends.keep_bytes(sizes.pointer)
        ends.keep("TfLiteTensor")
        if channels[index]:
            ends.keep("TfLiteAffineQuantization")
            ends.keep_bytes(4 + 4 * channels[index], 4)
    return Tail(ends.tail, starting)


def scales(graph: Graph) -> list[int]:
    """How many scales each tensor has.

    A skeleton has no quantizations; its tensors have those that the converter gives: activations one, weights and
    biases one a channel of the output.
    """
    if any(tensor.quantization is not None for tensor in graph.tensors):
        return [0 if tensor.quantization is None else len(tensor.quantization.scales) for tensor in graph.tensors]
    found = [int(tensor.dtype is DType.INT8 and not tensor.constant) for tensor in graph.tensors]
    for operator in graph.operators:
        if operator.code in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED):
            for source in operator.inputs[1:]:
                if source is not None:
                    found[source] = graph.tensors[operator.outputs[0]].shape[-1]
    return found


def _describe(ends: _Ends, channels: Sequence[int], tensors: Sequence[int | None]) -> None:
    """Descriptions of tensors in the head, with a zero point for each scale."""
    for index in tensors:
        if index is None:
            continue
        ends.look("TfLiteTensor")
        if channels[index]:
            ends.look("TfLiteAffineQuantization")
            ends.look_bytes(4 + 4 * channels[index], 4)


def _looked_at(operator: Operator, extension: Extension | None) -> tuple[list[int | None], list[int | None]]:
    """The tensors whose descriptions a kernel makes before it keeps its multipliers, and after."""
    inputs, output = list(operator.inputs), operator.outputs[0]
    before: list[int | None] = [*inputs, output]
    after: list[int | None] = []
    match operator.code:
        case OpCode.CONV_2D | OpCode.DEPTHWISE_CONV_2D:
            before, after = [*inputs[:2], output], before
        case OpCode.CONCATENATION:
            before = [inputs[0], output, *inputs]
        case OpCode.MEAN:
            before = 2 * before
        case OpCode.AVERAGE_POOL_2D if extension is not None:
            before = 2 * before
        case OpCode.RELU6 | OpCode.SPLIT:
            before = inputs[:1]
        case OpCode.RESHAPE:
            before = [inputs[0], output]
    return before, after


def _multipliers(graph: Graph, operator: Operator, channels: Sequence[int]) -> tuple[int, ...]:
    """Bytes of the multipliers and of the shifts that a kernel keeps, one a channel."""
    count = 0
    if operator.code in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D):
        count = graph.tensors[operator.outputs[0]].shape[-1]
    elif operator.code is OpCode.FULLY_CONNECTED and operator.inputs[1] is not None:
        count = channels[operator.inputs[1]] if channels[operator.inputs[1]] > 1 else 0
    return (4 * count, 4 * count) if count else ()
