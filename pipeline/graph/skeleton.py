"""A Genotype's Graph from its shapes alone: no TensorFlow, no weights, a fraction of a millisecond.

It has the operators, their order and options, and the tensors' shapes and types that TensorFlow 2.21's full-int8
conversion of the Keras network gives. What only weights decide is missing: constants have no data, quantizations no
scales; and where a trained bias is zero in every channel the converter leaves it out, while the skeleton has it.
"""

from __future__ import annotations

from functools import lru_cache

from pipeline.genotype import QUARTERS, RESOLUTIONS, Block, DataConfig, Genotype, architecture
from pipeline.graph.model import (
    Activation,
    ActivationOptions,
    DType,
    Graph,
    MeanOptions,
    NoOptions,
    OpCode,
    Operator,
    Options,
    Padding,
    SoftmaxOptions,
    Tensor,
    WindowOptions,
)

#: Operator versions as the converter writes them for these options.
_VERSIONS = {
    OpCode.CONV_2D: 3,
    OpCode.DEPTHWISE_CONV_2D: 3,
    OpCode.ADD: 2,
    OpCode.MEAN: 2,
    OpCode.RESHAPE: 1,
    OpCode.FULLY_CONNECTED: 4,
    OpCode.SOFTMAX: 2,
}
_NO_OPTIONS = ActivationOptions()
#: Trunks that are kept: about 900 lie between two that one needs, where the whole space is gone through in order.
_TRUNKS = 4096
#: Tensors and operators that are kept: most networks have the same ones at the same places.
_PARTS = 1 << 14


@lru_cache(maxsize=_PARTS)
def _tensor(index: int, shape: tuple[int, ...], dtype: DType, constant: bool) -> Tensor:
    return Tensor(index, f"t{index}", shape, dtype, None, constant)


@lru_cache(maxsize=_PARTS)
def _operator(index: int, code: OpCode, inputs: tuple[int, ...], output: int, options: Options) -> Operator:
    return Operator(index, code, _VERSIONS[code], inputs, (output,), options)


class _Builder:
    """Collects tensors and operators behind those of a trunk; each method takes and gives indices of activations."""

    def __init__(self, trunk: Graph | None = None) -> None:
        self.trunk = trunk
        self.tensors: list[Tensor] = [] if trunk is None else list(trunk.tensors)
        self.operators: list[Operator] = [] if trunk is None else list(trunk.operators)

    def graph(self, given: tuple[int, ...], output: int) -> Graph:
        return Graph(tuple(self.tensors), tuple(self.operators), given, (output,), trunk=self.trunk)

    def activation(self, shape: tuple[int, ...]) -> int:
        return self._tensor(shape, DType.INT8, constant=False)

    def constant(self, shape: tuple[int, ...], dtype: DType = DType.INT8) -> int:
        return self._tensor(shape, dtype, constant=True)

    def _tensor(self, shape: tuple[int, ...], dtype: DType, *, constant: bool) -> int:
        index = len(self.tensors)
        self.tensors.append(_tensor(index, shape, dtype, constant))
        return index

    def operator(self, code: OpCode, inputs: tuple[int, ...], shape: tuple[int, ...], options: Options) -> int:
        output = self.activation(shape)
        self.operators.append(_operator(len(self.operators), code, inputs, output, options))
        return output

    def convolution(self, source: int, channels: int, kernel: int, stride: int, activation: Activation) -> int:
        _, height, width, depth = self.tensors[source].shape
        weights = self.constant((channels, kernel, kernel, depth))
        bias = self.constant((channels,), DType.INT32)
        shape = (1, -(-height // stride), -(-width // stride), channels)
        options = WindowOptions((stride, stride), padding=Padding.SAME, activation=activation)
        return self.operator(OpCode.CONV_2D, (source, weights, bias), shape, options)

    def depthwise(self, source: int, kernel: int, stride: int) -> int:
        _, height, width, channels = self.tensors[source].shape
        weights = self.constant((1, kernel, kernel, channels))
        bias = self.constant((channels,), DType.INT32)
        shape = (1, -(-height // stride), -(-width // stride), channels)
        options = WindowOptions((stride, stride), padding=Padding.SAME, activation=Activation.RELU6)
        return self.operator(OpCode.DEPTHWISE_CONV_2D, (source, weights, bias), shape, options)

    def add(self, first: int, second: int) -> int:
        shape = self.tensors[first].shape
        if shape[1:3] == (1, 1):
            # Of a 1×1 feature map the converter takes the second operand for a bias, and squeezes it. Those that do
            # have one constant between them: all are of stage 6, and have its channels.
            before = (operator.inputs[1] for operator in self.operators if operator.code is OpCode.RESHAPE)
            axis = next(before, None)
            if axis is None:
                axis = self.constant((1,), DType.INT32)
            second = self.operator(OpCode.RESHAPE, (second, axis), shape[3:], NoOptions())
        return self.operator(OpCode.ADD, (first, second), shape, _NO_OPTIONS)

    def block(self, source: int, block: Block) -> int:
        inner = source
        if block.expands:
            inner = self.convolution(inner, block.hidden, 1, 1, Activation.RELU6)
        inner = self.depthwise(inner, block.kernel, block.stride)
        inner = self.convolution(inner, block.outputs, 1, 1, Activation.NONE)
        return self.add(source, inner) if block.residual else inner


def from_genotype(genotype: Genotype, classes: int) -> Graph:
    """The Graph of the network that a Genotype stands for.

    Its trunk is all but the head.

    Args:
        genotype: A design of either space.
        classes: Outputs of the dense head, at least 1.
    """
    return headed(grown(genotype.data, architecture(genotype)), classes)


def headed(trunk: Graph, classes: int) -> Graph:
    """The Graph of a trunk with the head."""
    build = _Builder(trunk)
    source = trunk.outputs[0]
    channels = build.tensors[source].shape[3]
    axes = build.constant((2,), DType.INT32)
    source = build.operator(OpCode.MEAN, (source, axes), (1, channels), MeanOptions((1, 2)))
    weights, bias = build.constant((classes, channels)), build.constant((classes,), DType.INT32)
    source = build.operator(OpCode.FULLY_CONNECTED, (source, weights, bias), (1, classes), _NO_OPTIONS)
    source = build.operator(OpCode.SOFTMAX, (source,), (1, classes), SoftmaxOptions())
    return build.graph(trunk.inputs, source)


@lru_cache(maxsize=_TRUNKS)
def grown(data: DataConfig, blocks: tuple[Block, ...]) -> Graph:
    """The trunk of a network: its stem and some first blocks, at least one."""
    trunk = grown(data, blocks[:-1]) if len(blocks) > 1 else _stem(data, blocks[0].inputs)
    return _grown(trunk, blocks[-1])


@lru_cache(maxsize=2 * len(RESOLUTIONS) * len(QUARTERS))
def _stem(data: DataConfig, channels: int) -> Graph:
    build = _Builder()
    given = build.activation((1, *data.shape))
    return build.graph((given,), build.convolution(given, channels, 3, 2, Activation.RELU6))


def _grown(trunk: Graph, block: Block) -> Graph:
    """A trunk with one more block."""
    build = _Builder(trunk)
    return build.graph(trunk.inputs, build.block(trunk.outputs[0], block))
