"""Small int8 models with random weights, and their memory plans, for tests of rendering and building."""

from __future__ import annotations

import numpy as np

from pipeline.estimate.model import MemoryPlan
from pipeline.estimate.planner import plan
from pipeline.graph.model import ActivationOptions, DType, Graph, MeanOptions, OpCode, SoftmaxOptions, WindowOptions
from pipeline.graph.reader import parse
from pipeline.graph.writer import ModelWriter


def tiny(*, seed: int = 0, classes: int = 2, side: int = 8, name: str = "input") -> tuple[Graph, MemoryPlan]:
    """A convolution, the mean over the image, a dense layer, softmax; input [1, side, side, 3]."""
    random = np.random.default_rng(seed)
    channels = 4
    writer = ModelWriter()
    x = writer.tensor((1, side, side, 3), DType.INT8, name=name, scale=1 / 255, zero_point=-128)
    weights = random.integers(-127, 128, (channels, 3, 3, 3)).astype(np.int8)
    w = writer.tensor((channels, 3, 3, 3), DType.INT8, scale=[0.01] * channels, data=weights)
    bias = random.integers(-500, 500, channels).astype(np.int32)
    b = writer.tensor((channels,), DType.INT32, scale=[0.01 / 255] * channels, data=bias)
    half = -(-side // 2)
    y = writer.tensor((1, half, half, channels), DType.INT8, scale=0.02)
    writer.operator(OpCode.CONV_2D, [x, w, b], [y], WindowOptions(stride=(2, 2)), version=3)
    axes = writer.tensor((2,), DType.INT32, data=np.array([1, 2], np.int32))
    m = writer.tensor((1, channels), DType.INT8, scale=0.02)
    writer.operator(OpCode.MEAN, [y, axes], [m], MeanOptions((1, 2)), version=2)
    dense = random.integers(-127, 128, (classes, channels)).astype(np.int8)
    dw = writer.tensor((classes, channels), DType.INT8, scale=0.02, data=dense)
    db = writer.tensor((classes,), DType.INT32, scale=0.02 * 0.02, data=np.zeros(classes, np.int32))
    logits = writer.tensor((1, classes), DType.INT8, scale=0.05)
    writer.operator(OpCode.FULLY_CONNECTED, [m, dw, db], [logits], ActivationOptions(), version=4)
    out = writer.tensor((1, classes), DType.INT8, scale=1 / 256, zero_point=-128)
    writer.operator(OpCode.SOFTMAX, [logits], [out], SoftmaxOptions(), version=2)
    graph = parse(writer.finish([x], [out]))
    return graph, plan(graph)
