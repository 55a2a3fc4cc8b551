"""Random Graphs of shapes alone: chains, skips, branches that meet again, reshapes, windows that leave rows unused."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from pipeline.graph.model import (
    ActivationOptions,
    ConcatenationOptions,
    DType,
    Graph,
    MeanOptions,
    NoOptions,
    OpCode,
    Operator,
    Options,
    Padding,
    PadOptions,
    SoftmaxOptions,
    Tensor,
    WindowOptions,
)

Shape = tuple[int, ...]
_KINDS = (
    *("conv", "conv", "conv", "pointwise", "pointwise", "depthwise", "separable", "separable", "padded"),
    *("max_pool", "average_pool", "relu", "add", "add", "add", "shortcut", "mean", "reshape", "rows", "dense"),
    *("split", "concatenation", "inverted", "inverted"),
)


class Sketch:
    """Collects tensors and operators; each method gives the index of an output."""

    def __init__(self, shape: Shape) -> None:
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.activation(shape)

    def activation(self, shape: Shape) -> int:
        self.tensors.append(Tensor(len(self.tensors), "", shape, DType.INT8, None, constant=False))
        return len(self.tensors) - 1

    def constant(self, shape: Shape) -> int:
        self.tensors.append(Tensor(len(self.tensors), "", shape, DType.INT8, None, constant=True))
        return len(self.tensors) - 1

    def operator(self, code: OpCode, inputs: tuple[int, ...], shape: Shape, options: Options) -> int:
        output = self.activation(shape)
        self.operators.append(Operator(len(self.operators), code, 1, inputs, (output,), options))
        return output

    def shape(self, tensor: int) -> Shape:
        return self.tensors[tensor].shape

    def window(self, code: OpCode, source: int, channels: int, kernel: Shape, stride: Shape, padding: Padding) -> int:
        _, height, width, depth = self.shape(source)
        sizes = [
            -(-size // step) if padding is Padding.SAME else (size - taps) // step + 1
            for size, taps, step in zip((height, width), kernel, stride, strict=True)
        ]
        options = WindowOptions((stride[0], stride[1]), padding=padding, filter=(kernel[0], kernel[1]))
        inputs: tuple[int, ...] = (source,)
        if code is OpCode.CONV_2D:
            inputs = (source, self.constant((channels, *kernel, depth)))
        elif code is OpCode.DEPTHWISE_CONV_2D:
            inputs = (source, self.constant((1, *kernel, channels)))
        return self.operator(code, inputs, (1, *sizes, channels), options)

    def pointwise(self, source: int, channels: int) -> int:
        return self.window(OpCode.CONV_2D, source, channels, (1, 1), (1, 1), Padding.SAME)

    def separable(self, source: int, channels: int, kernel: int, stride: int) -> int:
        depth = self.shape(source)[3]
        inner = self.window(OpCode.DEPTHWISE_CONV_2D, source, depth, (kernel, kernel), (stride, stride), Padding.SAME)
        return self.pointwise(inner, channels)

    def add(self, first: int, second: int) -> int:
        return self.operator(OpCode.ADD, (first, second), self.shape(first), ActivationOptions())

    def reshape(self, source: int, shape: Shape) -> int:
        return self.operator(OpCode.RESHAPE, (source,), shape, NoOptions())

    def finish(self, output: int) -> Graph:
        return Graph(tuple(self.tensors), tuple(self.operators), (0,), (output,))


@st.composite
def graphs(draw: st.DrawFn, most: int = 12) -> Graph:
    """Up to ``most`` operators, or a few more."""
    size = st.integers(1, 12)
    sketch = Sketch((1, draw(size), draw(size), draw(st.integers(1, 6))))
    made = [0]
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(_KINDS))
        # Most networks read what was made last.
        back = draw(st.sampled_from((0, 0, 0, 0, 0, 1, 1, 2, 3, 5)))
        source = made[max(0, len(made) - 1 - back)]
        output = _grow(draw, sketch, kind, source, made)
        made.append(output)
    return sketch.finish(made[-1] if draw(st.integers(0, 9)) else made[-1 - draw(st.integers(0, len(made) - 2))])


def _grow(  # noqa: PLR0911
    draw: st.DrawFn, sketch: Sketch, kind: str, source: int, made: list[int]
) -> int:
    """One more operator, or a few."""
    shape = sketch.shape(source)
    channels = draw(st.integers(1, 9))
    if kind in {"add", "concatenation"}:
        fitting = [index for index in made if sketch.shape(index) == shape]
        other = draw(st.sampled_from(fitting[-4:]))
        if kind == "add":
            return sketch.add(*draw(st.sampled_from(((source, other), (other, source)))))
        joined = (*shape[:-1], 2 * shape[-1])
        return sketch.operator(OpCode.CONCATENATION, (source, other), joined, ConcatenationOptions(len(shape) - 1))
    if kind == "relu":
        return sketch.operator(OpCode.RELU, (source,), shape, NoOptions())
    if kind == "dense":
        weights = sketch.constant((channels, math.prod(shape)))
        dense = sketch.operator(OpCode.FULLY_CONNECTED, (source, weights), (1, channels), ActivationOptions())
        return sketch.operator(OpCode.SOFTMAX, (dense,), (1, channels), SoftmaxOptions())
    if kind == "reshape":
        flat = math.prod(shape)
        sizes = [n for n in range(1, 13) if flat % n == 0]
        height = draw(st.sampled_from(sizes))
        return sketch.reshape(source, draw(st.sampled_from(((1, flat), (1, height, 1, flat // height)))))
    if len(shape) != 4:
        return sketch.reshape(source, (1, 1, 1, math.prod(shape)))
    return _image(draw, sketch, kind, source, channels)


def _image(  # noqa: PLR0911
    draw: st.DrawFn, sketch: Sketch, kind: str, source: int, channels: int
) -> int:
    shape = sketch.shape(source)
    padding = draw(st.sampled_from(Padding))
    sizes = shape[1:3]
    kernel = tuple(draw(st.integers(1, 7 if padding is Padding.SAME else min(7, size))) for size in sizes)
    stride = tuple(draw(st.sampled_from((1, 1, 2, 3))) for _ in range(2))
    window = {"conv": OpCode.CONV_2D, "depthwise": OpCode.DEPTHWISE_CONV_2D}
    pools = {"max_pool": OpCode.MAX_POOL_2D, "average_pool": OpCode.AVERAGE_POOL_2D}
    if kind == "conv":
        return sketch.window(window[kind], source, channels, kernel, stride, padding)
    if kind == "depthwise":
        multiplier = draw(st.sampled_from((1, 1, 2)))
        return sketch.window(window[kind], source, shape[3] * multiplier, kernel, stride, padding)
    if kind in pools:
        if draw(st.booleans()) and kind == "average_pool":
            kernel, padding = sizes, Padding.VALID
        return sketch.window(pools[kind], source, shape[3], kernel, stride, padding)
    if kind == "pointwise":
        return sketch.pointwise(source, channels)
    if kind == "separable":
        return sketch.separable(source, channels, kernel[0], stride[0])
    if kind == "inverted":
        inner = sketch.separable(sketch.pointwise(source, 3 * channels), shape[3], 3, 1)
        return sketch.add(source, inner)
    if kind == "shortcut":
        long = sketch.window(OpCode.CONV_2D, source, channels, (3, 3), (2, 2), Padding.SAME)
        long = sketch.window(OpCode.CONV_2D, long, channels, (3, 3), (1, 1), Padding.SAME)
        short = sketch.window(OpCode.CONV_2D, source, channels, (1, 1), (2, 2), Padding.SAME)
        return sketch.add(long, short)
    if kind == "padded":
        pads = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(2)]
        padded = (1, *(size + sum(pad) for size, pad in zip(sizes, pads, strict=True)), shape[3])
        x = sketch.operator(OpCode.PAD, (source,), padded, PadOptions(((0, 0), *pads, (0, 0))))
        kernel = tuple(draw(st.integers(1, min(5, size))) for size in padded[1:3])
        code = draw(st.sampled_from((OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D)))
        outputs = channels if code is OpCode.CONV_2D else shape[3]
        return sketch.window(code, x, outputs, kernel, stride, Padding.VALID)
    if kind == "mean":
        kept = draw(st.booleans())
        made = (1, 1, 1, shape[3]) if kept else (1, shape[3])
        return sketch.operator(OpCode.MEAN, (source,), made, MeanOptions((1, 2), keep_dims=kept))
    if kind == "rows":  # The same rows under another name.
        return sketch.reshape(source, (1, shape[1], 1, shape[2] * shape[3]))
    # Split: two outputs at once, the second of which is read later or never.
    first, second = sketch.activation(shape), sketch.activation(shape)
    operator = Operator(len(sketch.operators), OpCode.CONCATENATION, 1, (source,), (first, second), NoOptions())
    sketch.operators.append(operator)
    return draw(st.sampled_from((first, second)))
