"""What the writer makes, LiteRT must read and run."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from pipeline.graph.model import (
    Activation,
    ActivationOptions,
    DType,
    MeanOptions,
    NoOptions,
    OpCode,
    Options,
    Padding,
    PadOptions,
    SoftmaxOptions,
    WindowOptions,
)
from pipeline.graph.writer import BUFFER_ALIGNMENT, ModelWriter

_WINDOW = WindowOptions(stride=(2, 1), padding=Padding.VALID, filter=(3, 2), activation=Activation.RELU6)


def _one(code: OpCode, shape: tuple[int, ...], out: tuple[int, ...], options: Options, **kind: DType) -> bytes:
    writer = ModelWriter()
    dtype_in, dtype_out = kind.get("dtype_in", DType.INT8), kind.get("dtype_out", DType.INT8)
    x = writer.tensor(shape, dtype_in, name="x", scale=None if dtype_in is DType.FLOAT32 else 1 / 256)
    zero_point = -128 if code is OpCode.SOFTMAX else 0
    y = writer.tensor(out, dtype_out, scale=None if dtype_out is DType.FLOAT32 else 1 / 256, zero_point=zero_point)
    writer.operator(code, [x], [y], options, version=1 if code is OpCode.RESHAPE else 2)
    return writer.finish([x], [y])


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (_one(OpCode.MAX_POOL_2D, (1, 5, 4, 3), (1, 2, 3, 3), _WINDOW), (1, 2, 3, 3)),
        (_one(OpCode.MEAN, (1, 5, 4, 3), (1, 3), MeanOptions((1, 2))), (1, 3)),
        (_one(OpCode.PAD, (1, 2, 2, 3), (1, 3, 4, 3), PadOptions(((0, 0), (1, 0), (1, 1), (0, 0)))), (1, 3, 4, 3)),
        (_one(OpCode.RESHAPE, (1, 2, 2, 3), (1, 12), NoOptions()), (1, 12)),
        (_one(OpCode.SOFTMAX, (1, 5), (1, 5), SoftmaxOptions()), (1, 5)),
        (_one(OpCode.QUANTIZE, (1, 5), (1, 5), NoOptions(), dtype_in=DType.FLOAT32), (1, 5)),
        (_one(OpCode.DEQUANTIZE, (1, 5), (1, 5), NoOptions(), dtype_out=DType.FLOAT32), (1, 5)),
    ],
)
def test_litert_runs_a_single_operator(model: bytes, shape: tuple[int, ...]) -> None:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    interpreter.set_tensor(given["index"], np.ones(given["shape"], given["dtype"]))
    interpreter.invoke()
    (got,) = interpreter.get_output_details()
    assert interpreter.get_tensor(got["index"]).shape == shape


def test_weights_biases_and_options_arrive() -> None:
    writer = ModelWriter()
    weights = np.arange(2 * 12, dtype=np.int8).reshape(2, 12)
    x = writer.tensor((1, 12), DType.INT8, scale=1.0)
    w = writer.tensor((2, 12), DType.INT8, scale=1.0, data=weights)
    b = writer.tensor((2,), DType.INT32, scale=1.0, data=[5, -1000])
    y = writer.tensor((1, 2), DType.INT8, scale=8.0, zero_point=-128)
    writer.operator(OpCode.FULLY_CONNECTED, [x, w, b], [y], ActivationOptions(Activation.RELU))
    model = writer.finish([x], [y])
    assert model.find(weights.tobytes()) % BUFFER_ALIGNMENT == 0
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(x, np.ones((1, 12), np.int8))
    interpreter.invoke()
    sums = weights.astype(int).sum(axis=1) + np.array([5, -1000])
    expected = np.clip(np.floor(np.maximum(sums, 0) / 8 + 0.5) - 128, -128, 127)
    assert interpreter.get_tensor(y).tolist() == [expected.tolist()]


def test_an_absent_optional_input_is_minus_one() -> None:
    writer = ModelWriter()
    x = writer.tensor((1, 4, 4, 1), DType.INT8, scale=1.0)
    w = writer.tensor((2, 1, 1, 1), DType.INT8, scale=[1.0, 2.0], data=[3, 4])
    y = writer.tensor((1, 4, 4, 2), DType.INT8, scale=1.0)
    writer.operator(OpCode.CONV_2D, [x, w, None], [y], WindowOptions())
    model = writer.model([x], [y])
    assert model.subgraphs[0].operators[0].inputs == [x, w, -1]
    assert model.subgraphs[0].tensors[w].quantization.scale == [1.0, 2.0]


def test_one_operator_code_serves_equal_operators() -> None:
    writer = ModelWriter()
    tensors = [writer.tensor((1, 4), DType.INT8, scale=1.0) for _ in range(3)]
    writer.operator(OpCode.SOFTMAX, tensors[:1], tensors[1:2], SoftmaxOptions())
    writer.operator(OpCode.SOFTMAX, tensors[1:2], tensors[2:], SoftmaxOptions())
    assert len(writer.model(tensors[:1], tensors[2:]).operatorCodes) == 1
