"""The size of the .tflite that the quantize stage will write for a Genotype, from its Graph's shapes alone.

TensorFlow's converter hands the model to Python, which adds metadata and writes the file once more with the
``flatbuffers`` package, bytes last to first. That is done here with sizes in place of bytes: strings, vectors, tables,
and the tables' layouts (vtables), of which equal ones are written once. What a file contains beside the constants,
names above all, is what TensorFlow 2.21 makes of the Keras network in ``pipeline/quantize/``. A bias that training
left at zero in every channel is missing from the file, which is then smaller.

Source of the format: the FlatBuffers internals document; of the tables: TensorFlow Lite's schema.fbs.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.estimate.tflm.structures import aligned
from pipeline.estimate.tflm.tail import scales
from pipeline.graph.model import (
    Activation,
    ActivationOptions,
    DType,
    Graph,
    MeanOptions,
    OpCode,
    Operator,
    Padding,
    SoftmaxOptions,
    Tensor,
    WindowOptions,
)

_OFFSET = 4
#: Lengths in bytes of what the converter puts into every file.
_DESCRIPTION = len("MLIR Converted.")
_METADATA = ((len("min_runtime_version"), 16), (len("CONVERSION_METADATA"), 96))
_SIGNATURE = (len("image"), len("output_0"), len("serving_default"))
_SUBGRAPH = len("main")
_IDENTIFIER = 4
#: A convolution's stage and block in its tensors' names, all of one length: ``stage3_block0_``.
_BLOCK = "stageS_blockB"
_HEAD_BIAS = "network_1/head_1/BiasAdd"
#: Operator versions and numbers are left out of the file where they are these.
_FIRST_VERSION = 1
_FIRST_NUMBER = OpCode.ADD

#: A table's field: its number, and its bytes.
_Field = tuple[int, int]


class _Packer:
    """A flatbuffer's writer that keeps no bytes: ``size`` is what it has written so far."""

    def __init__(self) -> None:
        self.size = 0
        self._widest = 1
        self._layouts: set[tuple[int, ...]] = set()

    def string(self, length: int) -> None:
        """Its length, its characters, a zero."""
        self._align(_OFFSET, length + 1)
        self.size += length + 1 + _OFFSET

    def vector(self, item: int, count: int) -> None:
        """Items of so many bytes."""
        self._align(_OFFSET, item * count)
        self._align(item, item * count)
        self.size += item * count + _OFFSET

    def table(self, *fields: _Field) -> None:
        """A table of these fields, in the order of writing; those that are left out have their defaults."""
        end, places = self.size, {}
        for number, width in fields:
            self._align(width)
            self.size += width
            places[number] = self.size
        self._align(_OFFSET)
        self.size += _OFFSET
        start = self.size
        count = max(places, default=-1) + 1
        layout = (*(start - places[number] if number in places else 0 for number in range(count)), start - end)
        if layout not in self._layouts:
            self._layouts.add(layout)
            self.size += 2 * (count + 2)

    def finish(self) -> int:
        """The file's size."""
        self._align(self._widest, _OFFSET + _IDENTIFIER)
        return self.size + _OFFSET + _IDENTIFIER

    def _align(self, alignment: int, behind: int = 0) -> None:
        self._widest = max(self._widest, alignment)
        self.size = aligned(self.size + behind, alignment) - behind


def predicted_bytes(graph: Graph) -> int:
    """The size of the .tflite that a Graph made by :func:`pipeline.graph.skeleton.from_genotype` will be converted to.

    Of another Graph it is about what a converter would write for it.
    """
    order, names, channels = _order(graph), _names(graph), scales(graph)
    place = {index: position for position, index in enumerate(order)}
    codes = list(dict.fromkeys(operator.code for operator in graph.operators))
    versions = {operator.code: operator.version for operator in graph.operators}
    packer = _Packer()
    for code in codes:
        known = () if code is _FIRST_NUMBER else ((0, 1),)
        version = () if versions[code] == _FIRST_VERSION else ((2, 4),)
        packer.table(*known, *version, *(() if code is _FIRST_NUMBER else ((3, 4),)))
    packer.vector(_OFFSET, len(codes))
    axes = {op.inputs[1]: 3 for op in graph.operators if op.code is OpCode.DEPTHWISE_CONV_2D}
    for index in order:
        _tensor(packer, graph.tensors[index], len(names[index]), channels[index], axes.get(index, 0))
    packer.vector(_OFFSET, len(order))
    packer.vector(4, len(graph.inputs))
    packer.vector(4, len(graph.outputs))
    for operator in graph.operators:
        _operator(packer, operator, codes.index(operator.code))
    packer.vector(_OFFSET, len(graph.operators))
    packer.string(_SUBGRAPH)
    packer.table((0, 4), (1, 4), (2, 4), (3, 4), (4, 4))
    packer.vector(_OFFSET, 1)
    packer.string(_DESCRIPTION)
    packer.table()  # the empty buffer
    for index in order:
        _buffer(packer, graph.tensors[index].nbytes if graph.tensors[index].constant else None)
    for _, size in _METADATA:
        _buffer(packer, size)
    packer.vector(_OFFSET, 1 + len(order) + len(_METADATA))
    for length, _ in _METADATA:
        packer.string(length)
        packer.table((0, 4), (1, 4))
    packer.vector(_OFFSET, len(_METADATA))
    _signature(packer, place[graph.inputs[0]], place[graph.outputs[0]])
    packer.table((0, 4), (1, 4), (2, 4), (3, 4), (4, 4), (6, 4), (7, 4))
    return packer.finish()


def _tensor(packer: _Packer, tensor: Tensor, name: int, channels: int, axis: int) -> None:
    packer.vector(4, len(tensor.shape))
    packer.string(name)
    if channels:
        packer.vector(4, channels)
        packer.vector(8, channels)
        packer.table((2, 4), (3, 4), *(((6, 4),) if axis else ()))
    else:
        packer.table()
    kind = () if tensor.dtype is DType.FLOAT32 else ((1, 1),)
    packer.table((0, 4), *kind, (2, 4), (3, 4), (4, 4), (8, 1))


def _buffer(packer: _Packer, size: int | None) -> None:
    if size is None:
        packer.table()
    else:
        packer.vector(1, size)
        packer.table((0, 4))


def _signature(packer: _Packer, source: int, output: int) -> None:
    """What the model is called with: a map of one name each."""
    given, found, key = _SIGNATURE
    for length, index in ((given, source), (found, output)):
        packer.string(length)
        packer.table((0, 4), *(((1, 4),) if index else ()))
        packer.vector(_OFFSET, 1)
    packer.string(key)
    packer.table((0, 4), (1, 4), (2, 4))
    packer.vector(_OFFSET, 1)


def _operator(packer: _Packer, operator: Operator, number: int) -> None:
    packer.vector(4, len(operator.inputs))
    packer.vector(4, len(operator.outputs))
    options = _options(operator)
    if options is not None:
        packer.table(*options)
    packer.table(*(((0, 4),) if number else ()), (1, 4), (2, 4), *(((3, 1), (4, 4)) if options is not None else ()))


def _options(operator: Operator) -> list[_Field] | None:
    """Fields of an operator's options that do not have their defaults; None where it has none."""
    match operator.options:
        case WindowOptions() as window:
            depthwise = operator.code is OpCode.DEPTHWISE_CONV_2D
            fields = [(0, 1)] if window.padding is Padding.VALID else []
            fields += [(1, 4), (2, 4), *([(3, 4)] if depthwise else [])]
            fields += [(3 + depthwise, 1)] if window.activation is not Activation.NONE else []
            return fields + [(4 + depthwise + i, 4) for i in (0, 1) if window.dilation[1 - i] != 1]
        case ActivationOptions() as fused:
            return [(0, 1)] if fused.activation is not Activation.NONE else []
        case MeanOptions() as mean:
            return [(0, 1)] if mean.keep_dims else []
        case SoftmaxOptions():
            return [(0, 4)]
        case _:
            return None


def _order(graph: Graph) -> list[int]:
    """Tensors as the converter numbers them: the input, constants from the last operator to the first, activations."""
    convolutions = (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED)
    last, rest = [], []
    for operator in graph.operators:
        constants = [i for i in operator.inputs if i is not None and graph.tensors[i].constant]
        if operator.code in convolutions:
            last += constants
        else:
            rest += constants
    given = [*graph.inputs, *dict.fromkeys((*rest, *reversed(last)))]
    return given + sorted({tensor.index for tensor in graph.tensors} - set(given))


def _names(graph: Graph) -> list[str]:
    """Names of tensors, as long as those that the converter gives."""
    names = [tensor.name for tensor in graph.tensors]
    names[graph.inputs[0]] = "serving_default_image:0"
    for operator in graph.operators:
        constants = [i for i in operator.inputs if i is not None and graph.tensors[i].constant]
        made = _made_names(operator, graph)
        for index, name in zip((*operator.outputs, *constants), made, strict=False):
            names[index] = name
    names[graph.outputs[0]] = "StatefulPartitionedCall_1:0"
    return names


def _made_names(operator: Operator, graph: Graph) -> Sequence[str]:
    """Names of an operator's output, and of its constants in their order."""
    found: Sequence[str] = ()
    match operator.code:
        case OpCode.CONV_2D:
            found = _convolution_names(operator)
        case OpCode.DEPTHWISE_CONV_2D:
            of = f"network_1/{_BLOCK}_depthwise"
            kernel = f"{of}_norm_1/batchnorm/mul_1;{of}_conv_1/depthwise;{of}_norm_1/batchnorm/mul"
            bias = f"{of}_relu6_1/Relu6;{of}_norm_1/batchnorm/add_1;{kernel};{of}_norm_1/batchnorm/sub"
            found = (f"{bias}1", kernel, bias)
        case OpCode.RESHAPE:
            of = f"network_1/{_BLOCK}_sum_1/Squeeze"
            alone = sum(other.code is OpCode.RESHAPE for other in graph.operators) == 1
            # Several have one shape constant between them, which then bears no operator's name.
            found = (f"{of}1", of) if alone else (of, "arith.constant")
        case OpCode.ADD:
            squeezed = any(i is not None and len(graph.tensors[i].shape) == 1 for i in operator.inputs)
            found = (f"network_1/{_BLOCK}_sum_1/{'BiasAdd' if squeezed else 'Add'}",)
        case OpCode.MEAN:
            found = ("network_1/mean_1/Mean", "network_1/mean_1/Mean/reduction_indices")
        case OpCode.FULLY_CONNECTED:
            found = ("network_1/head_1/MatMul;network_1/head_1/BiasAdd", "network_1/head_1/MatMul", _HEAD_BIAS)
    return found


def _convolution_names(operator: Operator) -> Sequence[str]:
    """The stem, an expansion (with RELU6) or a projection (without)."""
    activated = isinstance(operator.options, WindowOptions) and operator.options.activation is not Activation.NONE
    part = "stem" if not operator.index else f"{_BLOCK}_{'expand' if activated else 'project'}"
    of = f"network_1/{part}"
    kernel = f"{of}_conv_1/convolution"
    bias = f"{of}_norm_1/batchnorm/add_1;{kernel};{of}_norm_1/batchnorm/sub"
    if activated:
        bias = f"{of}_relu6_1/Relu6;{bias}"
    return (f"{bias}1", kernel, bias)
