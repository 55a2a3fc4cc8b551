"""Bytes that kernels ask for while they run.

The reference kernels ask for nothing, but for MEAN. CMSIS-NN's depend on the processor's instructions, as the
buffer-size functions of its release of July 2026 do (arm_convolve_get_buffer_sizes_s8.c and its neighbours); the
formulas are checked against a table of what these functions return (tests/estimate/cmsis_nn_buffers.json).
"""

from __future__ import annotations

from enum import StrEnum

from pipeline.boards import Board
from pipeline.estimate.tflm.structures import aligned
from pipeline.graph.model import Graph, OpCode, Operator, Padding, Tensor, WindowOptions

#: Channels that the depthwise kernel for MVE takes at a time.
_DEPTHWISE_BLOCK = 124


class Extension(StrEnum):
    """The instructions that CMSIS-NN is compiled for."""

    SCALAR = "scalar"
    DSP = "dsp"
    MVE = "mve"


_EXTENSIONS = {
    Extension.SCALAR: ("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m23"),
    Extension.DSP: ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m35p"),
    Extension.MVE: ("cortex-m55", "cortex-m85"),
}


def extension_of(cpu: str) -> Extension:
    """Of a processor by its name.

    Raises:
        KeyError: It is none of ARM's that CMSIS-NN knows.
    """
    return {name: extension for extension, names in _EXTENSIONS.items() for name in names}[cpu]


def extension(board: Board) -> Extension:
    """Of a board's processor."""
    return extension_of(board.core.cpu)


def convolution(
    extension: Extension,
    source: tuple[int, int, int],
    window: tuple[int, int],
    output_width: int,
    *,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
) -> int:
    """CONV_2D in int8: columns of the input, unfolded.

    Args:
        extension: What the kernels are compiled for.
        source: Height, width and channels of the input.
        window: Height and width of the kernel.
        output_width: Of the output.
        stride: Down and along.
        dilation: Down and along.
        padding: Rows above and columns to the left.
    """
    height, width, channels = source
    if window == dilation == (1, 1) and padding == (0, 0):
        return 0  # it reads its input where it is
    column = channels * window[0] * window[1]
    if extension is not Extension.MVE:
        return 4 * aligned(column, 4)  # two columns of int16
    whole = 4 * aligned(column, 16)  # four columns of int8
    if height != 1 or window[0] != 1 or dilation[1] != 1 or stride[1] * channels % 4:
        return whole
    # A row: only its ends are unfolded. An odd pad stands at the right.
    left, step = padding[1], stride[1]
    odd = _remainder((output_width - 1) * step + window[1] - width, 2)
    at_left = max(1, -(-left // step)) if left else 0
    at_right = max(1, -(-(left + odd) // step)) if left + odd else 0
    if at_left + at_right > output_width:
        return whole
    end = (at_right if odd else left) * channels
    return max((window[1] + left) * channels, (window[1] - 1) * channels + end)


def depthwise(
    extension: Extension,
    source: tuple[int, int, int],
    window: tuple[int, int],
    output: tuple[int, int],
    *,
    batch: int = 1,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
) -> int:
    """DEPTHWISE_CONV_2D in int8; ``output`` is its width and channels, the rest as in :func:`convolution`."""
    width, channels = output
    if extension is Extension.MVE and source[2] == 1 and channels > 1:
        # It is run as a convolution, with the weights in another order.
        unfolded = convolution(extension, source, window, width, stride=stride, dilation=dilation, padding=padding)
        return unfolded + channels * window[0] * window[1]
    if source[2] != channels or batch != 1 or dilation != (1, 1):
        return 0
    if extension is Extension.MVE:
        return 4 * _DEPTHWISE_BLOCK * window[0] * window[1]
    if extension is Extension.SCALAR or (window == (3, 3) and max(padding) <= 1):
        return 0
    return 2 * channels * window[0] * window[1]  # a column of int16


def average_pool(extension: Extension, channels: int) -> int:
    """AVERAGE_POOL_2D in int8: a sum a channel."""
    return 4 * channels if extension is Extension.DSP else 0


def fully_connected(extension: Extension, outputs: int) -> int:
    """FULLY_CONNECTED in int8: a sum of each row of weights."""
    return 4 * outputs if extension is Extension.MVE else 0


def of_operator(graph: Graph, operator: Operator, extension: Extension | None) -> tuple[int, ...]:
    """The requests of one operator, in order, in bytes; ``extension`` is None for the reference kernels."""
    source, output = tensor(graph, operator, 0), graph.tensors[operator.outputs[0]]
    weights = tensor(graph, operator, 1)
    if source is None:
        return ()
    if operator.code is OpCode.MEAN:
        return (4 * output.elements, 4 * len(source.shape), 4 * (weights.elements if weights is not None else 1))
    if extension is None:
        return ()
    if operator.code is OpCode.FULLY_CONNECTED and weights is not None:
        return _fully_connected(extension, weights, output)
    size = 0
    if operator.code is OpCode.AVERAGE_POOL_2D:
        size = average_pool(extension, source.shape[-1])
    elif isinstance(operator.options, WindowOptions) and weights is not None:
        size = _window(extension, operator, operator.options, (source, weights, output))
    return (size,) if size else ()


def _fully_connected(extension: Extension, weights: Tensor, output: Tensor) -> tuple[int, ...]:
    if len(output.shape) > 2 and weights.shape[-1] % 4 == 0:
        # It is run as a 1×1 convolution, which wants a multiplier and a shift a channel.
        scales = 1 if weights.quantization is None else len(weights.quantization.scales)
        return () if scales > 1 else (8 * output.shape[-1],)
    size = fully_connected(extension, output.shape[-1])
    return (size,) if size else ()


def _window(
    extension: Extension, operator: Operator, options: WindowOptions, tensors: tuple[Tensor, Tensor, Tensor]
) -> int:
    """A convolution's, from its input, its weights and its output."""
    (batch, *size, channels), (_, *window, _), (_, *result, outputs) = (tensor.shape for tensor in tensors)
    padding = (_before(options, 0, (size, window, result)), _before(options, 1, (size, window, result)))
    shape, kernel = (size[0], size[1], channels), (window[0], window[1])
    if operator.code is OpCode.CONV_2D:
        return convolution(
            extension,
            shape,
            kernel,
            result[1],
            stride=options.stride,
            dilation=options.dilation,
            padding=padding,
        )
    return depthwise(
        extension,
        shape,
        kernel,
        (result[1], outputs),
        batch=batch,
        stride=options.stride,
        dilation=options.dilation,
        padding=padding,
    )


def _before(options: WindowOptions, axis: int, sizes: tuple[list[int], list[int], list[int]]) -> int:
    """Padding before the first element, from (input, window, output); an odd one stands behind the last."""
    if options.padding is Padding.VALID:
        return 0
    source, window, output = (size[axis] for size in sizes)
    return max(0, (output - 1) * options.stride[axis] + (window - 1) * options.dilation[axis] + 1 - source) // 2


def _remainder(value: int, divisor: int) -> int:
    """C's: it has the sign of ``value``."""
    return value - int(value / divisor) * divisor


def tensor(graph: Graph, operator: Operator, position: int) -> Tensor | None:
    """An operator's input; None where it is absent."""
    index = operator.inputs[position] if position < len(operator.inputs) else None
    return None if index is None else graph.tensors[index]
