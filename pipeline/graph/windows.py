"""Where the window of a convolution or a pool stands: sizes, strides and pads, worked out once for everybody."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.graph.model import OpCode, Operator, Padding, Tensor, WindowOptions


@dataclass(frozen=True)
class Axis:
    """A window along rows or columns: output o sees inputs [o · stride − before, o · stride − before + kernel)."""

    size: int
    kernel: int
    stride: int
    before: int
    output: int


@dataclass(frozen=True)
class Window:
    """A window over an image [row][column][channel]."""

    rows: Axis
    columns: Axis


def window(tensors: tuple[Tensor, ...], operator: Operator) -> Window:
    """The window of a CONV_2D, DEPTHWISE_CONV_2D or pool.

    Pads of SAME are split with the smaller half before. Source: TensorFlow Lite, kernels/padding.h, ComputePadding.

    Raises:
        ValueError: A tensor is no image, or the output's size does not follow from the input's; the tensor's index.
    """
    options = operator.options
    if not isinstance(options, WindowOptions):
        raise TypeError(f"operator {operator.index} has {type(options).__name__}")
    source, output = tensors[_present(operator, 0)], tensors[operator.outputs[0]]
    kernel = options.filter
    if operator.code in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D):
        weights = tensors[_present(operator, 1)]
        if len(weights.shape) != 4:
            raise ValueError(weights.index)
        kernel = (weights.shape[1], weights.shape[2])
    for tensor in (source, output):
        if len(tensor.shape) != 4:
            raise ValueError(tensor.index)
    top, bottom, left, right = options.pads or (0, 0, 0, 0)
    return Window(
        _axis((source, output), 1, kernel[0], options, (top, bottom)),
        _axis((source, output), 2, kernel[1], options, (left, right)),
    )


def _axis(
    tensors: tuple[Tensor, Tensor], axis: int, kernel: int, options: WindowOptions, pads: tuple[int, int]
) -> Axis:
    source, output = tensors
    size, made, stride = source.shape[axis], output.shape[axis], options.stride[axis - 1]
    padded = size + sum(pads)
    if min(size, kernel, stride, made) < 1:
        raise ValueError(source.index)
    if options.padding is Padding.SAME:
        if made != -(-size // stride):
            raise ValueError(output.index)
        return Axis(size, kernel, stride, max((made - 1) * stride + kernel - size, 0) // 2, made)
    if made != (padded - kernel) // stride + 1:
        raise ValueError(output.index)
    return Axis(size, kernel, stride, pads[0], made)


def _present(operator: Operator, position: int) -> int:
    index = operator.inputs[position] if position < len(operator.inputs) else None
    if index is None:
        raise ValueError(operator.outputs[0])
    return index
