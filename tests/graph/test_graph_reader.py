"""A .tflite is read exactly, or refused with an id, the operator, its version and the tensor; never anything else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graph_samples
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.graph import flatfile
from pipeline.graph.model import (
    Activation,
    ActivationOptions,
    ConcatenationOptions,
    DType,
    Graph,
    MeanOptions,
    NoOptions,
    OpCode,
    Padding,
    PadOptions,
    SoftmaxOptions,
    SqueezeOptions,
    WindowOptions,
)
from pipeline.graph.reader import LAST_VERSION, parse, read
from pipeline.graph.writer import ModelWriter, pack, write

_SAMPLE = graph_samples.content()


def _refusal(content: bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse(content)
    assert caught.value.next
    return caught.value


# --- what is read ----------------------------------------------------------------------------------------------------


def test_every_operator_is_read_with_its_options() -> None:
    graph = parse(_SAMPLE)
    assert [(operator.code, operator.options) for operator in graph.operators] == [
        (OpCode.CONV_2D, WindowOptions(stride=(2, 2), activation=Activation.RELU6)),
        (OpCode.DEPTHWISE_CONV_2D, WindowOptions()),
        (OpCode.ADD, ActivationOptions(Activation.RELU)),
        (OpCode.PAD, PadOptions(((0, 0), (0, 1), (1, 1), (0, 0)))),
        (OpCode.MAX_POOL_2D, WindowOptions(padding=Padding.VALID, filter=(2, 2))),
        (OpCode.AVERAGE_POOL_2D, WindowOptions(stride=(2, 2), filter=(3, 3))),
        (OpCode.MEAN, MeanOptions((1, 2), keep_dims=True)),
        (OpCode.RESHAPE, NoOptions()),
        (OpCode.FULLY_CONNECTED, ActivationOptions()),
        (OpCode.SOFTMAX, SoftmaxOptions()),
    ]
    assert [operator.index for operator in graph.operators] == list(range(10))
    assert [operator.version for operator in graph.operators] == [3, 1, 1, 1, 2, 2, 2, 1, 4, 2]
    assert [tensor.index for tensor in graph.tensors] == list(range(len(graph.tensors)))
    assert graph.operators[8].inputs[2] is None
    assert graph.file_bytes == len(_SAMPLE) and re.fullmatch("[0-9a-f]{64}", graph.sha256)


def test_tensors_carry_quantization_and_contents() -> None:
    graph = parse(_SAMPLE)
    x = graph.input
    assert (x.shape, x.dtype, x.constant, x.data) == ((1, 9, 8, 3), DType.INT8, False, None)
    assert x.quantization is not None
    assert (x.quantization.scale, x.quantization.zero_point) == (float(np.float32(0.05)), -3)
    weights = graph.tensors[graph.operators[1].inputs[1] or 0]
    assert weights.constant and weights.quantization is not None and weights.data is not None
    assert (weights.quantization.axis, len(weights.quantization.scales)) == (3, 8)
    assert weights.data.shape == (1, 3, 3, 8) and weights.data.dtype == np.int8
    bias = graph.tensors[graph.operators[1].inputs[2] or 0]
    assert bias.dtype is DType.INT32 and bias.data is not None and np.abs(bias.data).max() > 127


def test_float_edges_are_read() -> None:
    graph = parse(graph_samples.content(cast=True))
    assert (graph.input.dtype, graph.output.dtype) == (DType.FLOAT32, DType.FLOAT32)
    assert {graph.operators[0].code, graph.operators[-1].code} == {OpCode.QUANTIZE, OpCode.DEQUANTIZE}


def _same(first: Graph, second: Graph) -> bool:
    def facts(graph: Graph) -> object:
        tensors = [
            (t.name, t.shape, t.dtype, t.quantization, t.constant, None if t.data is None else t.data.tobytes())
            for t in graph.tensors
        ]
        return tensors, graph.operators, graph.inputs, graph.outputs

    return facts(first) == facts(second)


@pytest.mark.parametrize("cast", [False, True])
def test_writing_a_graph_and_reading_it_gives_the_same_graph(cast: bool) -> None:
    graph = parse(graph_samples.content(cast=cast))
    assert _same(parse(write(graph)), graph)


@given(name=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
@settings(max_examples=40)
def test_hostile_names_are_kept_and_shown_harmlessly(name: str) -> None:
    writer = ModelWriter()
    x = writer.tensor((1, 2), DType.INT8, name=name + "\x1b[2J\n*/</script>$(reboot)", scale=1.0)
    y = writer.tensor((1, 2), DType.INT8, name=name, scale=1.0)
    writer.operator(OpCode.RESHAPE, [x], [y], NoOptions())
    assert parse(writer.finish([x], [y])).input.name.startswith(name)
    writer.operator("\x1b]0;owned\x07", [y], [writer.tensor((1, 2), DType.INT8, name=name + "\n", scale=1.0)])
    error = _refusal(writer.finish([x], [y]))
    assert error.id == "unsupported-operator"
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", str(error))


def test_an_open_batch_dimension_in_the_signature_alone_is_fixed_enough() -> None:
    model = graph_samples.schema_model()
    model.subgraphs[0].tensors[0].shapeSignature = [-1, 9, 8, 3]
    assert parse(pack(model)).input.shape == (1, 9, 8, 3)


def test_a_tensor_that_nobody_uses_is_not_judged() -> None:
    writer, x, y = graph_samples.network()
    spare = writer.tensor((3, 0), schema.TensorType.STRING, data=b"anything")
    assert parse(writer.finish([x], [y])).tensors[spare].elements == 0


# --- what is refused -------------------------------------------------------------------------------------------------


def _tensor(number: int, **changes: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in changes.items():
            setattr(model.subgraphs[0].tensors[number], name, value)

    return change


def _quantization(number: int, **changes: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in changes.items():
            setattr(model.subgraphs[0].tensors[number].quantization, name, value)

    return change


def _options(number: int, **changes: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in changes.items():
            setattr(model.subgraphs[0].operators[number].builtinOptions, name, value)

    return change


def _operator(number: int, **changes: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in changes.items():
            setattr(model.subgraphs[0].operators[number], name, value)

    return change


def _version(number: int, version: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model.operatorCodes[model.subgraphs[0].operators[number].opcodeIndex].version = version

    return change


def _two_subgraphs(model: Any) -> None:
    model.subgraphs.append(model.subgraphs[0])


def _two_outputs(model: Any) -> None:
    model.subgraphs[0].outputs.append(1)


def _two_inputs(model: Any) -> None:
    model.subgraphs[0].inputs = [*model.subgraphs[0].inputs, 1]


def _no_operators(model: Any) -> None:
    model.subgraphs[0].operators = []


def _reversed(model: Any) -> None:
    model.subgraphs[0].operators.reverse()


_ADD_OPTIONS = schema.AddOptionsT()

# Of the sample: tensor 0 the input, 1 operator 0's output, 2 and 3 its weights and bias; 4 the depthwise's output,
# 5 and 6 its weights and bias.
_DAMAGES: list[tuple[str, Callable[[Any], None], str, str]] = [
    ("two subgraphs", _two_subgraphs, "unsupported-model", "2 subgraphs"),
    ("two outputs", _two_outputs, "unsupported-model", "2 outputs"),
    ("two inputs", _two_inputs, "unsupported-model", "2 inputs"),
    ("no operators", _no_operators, "unsupported-model", "no operators"),
    ("newer version", _version(0, 99), "unsupported-operator", "operator 0, CONV_2D version 99"),
    ("int16 activations", _tensor(1, type=schema.TensorType.INT16), "unsupported-tensor", "tensor 1 't1'"),
    ("float activations", _tensor(1, type=schema.TensorType.FLOAT32), "partly-quantized", "tensor 1 't1'"),
    ("uint8 inside", _tensor(1, type=schema.TensorType.UINT8), "unsupported-tensor", "tensor 1 't1'"),
    ("int4 weights", _tensor(2, type=schema.TensorType.INT4), "unsupported-tensor", "tensor 2 't2'"),
    ("int64 bias", _tensor(3, type=schema.TensorType.INT64), "unsupported-tensor", "tensor 3 't3'"),
    ("float bias", _tensor(3, type=schema.TensorType.FLOAT32), "unsupported-tensor", "CONV_2D version 3, tensor 3"),
    ("variable", _tensor(1, isVariable=True), "unsupported-tensor", "variables"),
    ("sparse weights", _tensor(2, sparsity=schema.SparsityParametersT()), "unsupported-options", "tensor 2 't2'"),
    ("other file", _tensor(2, externalBuffer=1), "external-weights", "tensor 2 't2'"),
    ("open width", _tensor(0, shapeSignature=[1, 9, -1, 3]), "dynamic-shape", "tensor 0 't0'"),
    ("negative size", _tensor(0, shape=[1, 9, -1, 3]), "dynamic-shape", "tensor 0 't0'"),
    ("empty dimension", _tensor(0, shape=[1, 9, 0, 3]), "unsupported-tensor", "tensor 0 't0'"),
    ("huge", _tensor(0, shape=[1, 9000, 9000, 9000]), "unsupported-tensor", "tensor 0 't0'"),
    ("rank 5", _tensor(0, shape=[1, 1, 9, 8, 3]), "unsupported-tensor", "tensor 0 't0'"),
    ("batch 2", _tensor(0, shape=[2, 9, 8, 3]), "dynamic-shape", "batch size 2"),
    ("short weights", _tensor(2, shape=[8, 3, 3, 4]), "not-a-tflite", "tensor 2 't2'"),
    ("no such buffer", _tensor(2, buffer=999), "not-a-tflite", ""),
    ("no quantization", _tensor(1, quantization=None), "unsupported-tensor", "tensor 1 't1'"),
    ("two scales", _quantization(1, scale=[1.0, 2.0], zeroPoint=[0, 0]), "unsupported-tensor", "2 scales"),
    ("zero scale", _quantization(1, scale=[0.0]), "unsupported-tensor", "tensor 1 't1'"),
    ("nan scale", _quantization(1, scale=[float("nan")]), "unsupported-tensor", "tensor 1 't1'"),
    ("infinite scale", _quantization(2, scale=[float("inf")] * 8), "unsupported-tensor", "tensor 2 't2'"),
    ("zero point 128", _quantization(1, zeroPoint=[128]), "unsupported-tensor", "zero point outside"),
    ("weights' zero point", _quantization(2, zeroPoint=[1] * 8), "unsupported-tensor", "zero point other than 0"),
    ("weights' axis", _quantization(2, quantizedDimension=3), "unsupported-tensor", "dimension 3"),
    ("depthwise axis", _quantization(5, quantizedDimension=0), "unsupported-tensor", "dimension 0"),
    ("enormous factor", _quantization(1, scale=[1e-20]), "unsupported-tensor", "far above"),
    ("dilation", _options(0, dilationHFactor=2), "unsupported-options", "dilation (2, 1)"),
    ("tanh", _options(0, fusedActivationFunction=4), "unsupported-options", "TANH"),
    ("activation 77", _options(0, fusedActivationFunction=77), "unsupported-options", "77"),
    ("padding 9", _options(0, padding=9), "unsupported-options", "padding 9"),
    ("stride 0", _options(0, strideW=0), "unsupported-options", "stride (2, 0)"),
    ("wrong shape", _options(0, strideW=1), "not-a-tflite", "follows from its inputs"),
    ("empty filter", _options(4, filterWidth=0), "unsupported-options", "filter (2, 0)"),
    ("shuffled weights", _options(8, weightsFormat=1), "unsupported-options", "shuffled"),
    ("negative beta", _options(9, beta=-1.0), "unsupported-options", "beta -1"),
    ("no options", _operator(9, builtinOptions=None, builtinOptionsType=0), "unsupported-options", "beta 0"),
    ("no weights", _operator(0, inputs=[0]), "unsupported-options", "1 inputs"),
    ("absent input", _operator(0, inputs=[-1, 2, 3]), "unsupported-options", "input 0 is absent"),
    ("absent weights", _operator(0, inputs=[0, -1, 3]), "unsupported-options", "input 1 is absent"),
    ("no bias", _operator(0, inputs=[0, 2]), "unsupported-options", "no bias"),
    ("absent bias", _operator(1, inputs=[1, 5, -1]), "unsupported-options", "no bias"),
    (
        "others' options",
        _operator(0, builtinOptions=schema.AddOptionsT(), builtinOptionsType=11),
        "unsupported-options",
        "stride",
    ),
    ("too few zero points", _quantization(2, zeroPoint=[0]), "unsupported-tensor", "8 scales and 1 zero points"),
    ("too few bias scales", _quantization(3, scale=[1.0] * 3, zeroPoint=[0] * 3), "unsupported-tensor", "3 scales"),
    ("name that is no text", _tensor(1, name=b"\xff\xfe"), "not-a-tflite", "codec"),
    ("computed weights", _operator(1, inputs=[1, 1, 6]), "unsupported-options", "computed at run time"),
    ("constant input", _operator(0, inputs=[2, 2, 3]), "unsupported-options", "input 0 is a constant"),
    ("no inputs", _operator(0, inputs=[]), "not-a-tflite", "operator 0, CONV_2D version 3"),
    ("no such tensor", _operator(0, inputs=[0, 2, 9999]), "not-a-tflite", "9999"),
    ("negative tensor", _operator(0, outputs=[-1]), "not-a-tflite", "tensor -1"),
    ("no such code", _operator(0, opcodeIndex=99), "not-a-tflite", "operator code 99"),
    ("read too early", _reversed, "unsupported-tensor", "read before it is written"),
    ("written twice", _operator(1, outputs=[1]), "unsupported-tensor", "written a second time"),
    ("weights written", _operator(1, outputs=[2]), "unsupported-tensor", "written a second time"),
    ("input written", _operator(1, outputs=[0]), "unsupported-tensor", "written a second time"),
]


@pytest.mark.parametrize(("change", "id", "words"), [case[1:] for case in _DAMAGES], ids=[case[0] for case in _DAMAGES])
def test_what_is_not_supported_is_refused_by_name(change: Callable[[Any], None], id: str, words: str) -> None:  # noqa: A002
    model = graph_samples.schema_model()
    change(model)
    error = _refusal(pack(model))
    assert error.id == id
    assert words in str(error)


@pytest.mark.parametrize("code", [schema.BuiltinOperator.SPLIT_V, schema.BuiltinOperator.GELU, 4000, "MyOp"])
def test_an_operator_without_a_kernel_is_named(code: int | str) -> None:
    writer = ModelWriter()
    x, y = (writer.tensor((1, 4), DType.INT8, name=name, scale=1.0) for name in ("in", "out"))
    writer.operator(code, [x], [y], version=3)
    error = _refusal(writer.finish([x], [y]))
    assert error.id == "unsupported-operator"
    assert "version 3" in error.what and "'out'" in error.what and "CONV_2D" in error.why


def test_each_supported_version_is_one_that_the_table_knows() -> None:
    assert set(LAST_VERSION) == set(OpCode)


def test_a_float_model_is_called_that() -> None:
    writer = ModelWriter()
    x, y = writer.tensor((1, 4), DType.FLOAT32), writer.tensor((1, 4), DType.FLOAT32, name="probs")
    writer.operator(OpCode.SOFTMAX, [x], [y], SoftmaxOptions())
    error = _refusal(writer.finish([x], [y]))
    assert error.id == "float-model" and "float32" in error.what


def test_uint8_without_a_quantize_is_partly_quantized() -> None:
    writer = ModelWriter()
    x, y = (writer.tensor((1, 4), DType.UINT8, scale=1 / 256) for _ in range(2))
    writer.operator(OpCode.RESHAPE, [x], [y], NoOptions())
    assert _refusal(writer.finish([x], [y])).id == "partly-quantized"


@pytest.mark.parametrize("told", [(1, 6), (-1, -1), (4,), (1, 1, 4), (0, 4)])
def test_a_reshape_that_is_told_another_shape_is_refused(told: tuple[int, ...]) -> None:
    writer = ModelWriter()
    x, y = (writer.tensor((1, 4), DType.INT8, scale=1.0) for _ in range(2))
    shape = writer.tensor((len(told),), DType.INT32, data=told)
    writer.operator(OpCode.RESHAPE, [x, shape], [y], NoOptions())
    assert _refusal(writer.finish([x], [y])).id == "not-a-tflite"


@pytest.mark.parametrize(
    ("axes", "id"), [((0, 1, 2), "unsupported-options"), ((1, 7), "not-a-tflite"), ((), "unsupported-tensor")]
)
def test_mean_over_other_axes(axes: tuple[int, ...], id: str) -> None:  # noqa: A002
    writer = ModelWriter()
    x, y = writer.tensor((1, 2, 2, 4), DType.INT8, scale=1.0), writer.tensor((1, 4), DType.INT8, scale=1.0)
    writer.operator(OpCode.MEAN, [x], [y], MeanOptions(axes))
    assert _refusal(writer.finish([x], [y])).id == id


def test_add_takes_an_operand_without_its_leading_ones() -> None:
    """The converter writes a residual on a 1×1 feature map so."""
    writer = ModelWriter()
    a, d = (writer.tensor((1, 1, 1, 4), DType.INT8, scale=1.0) for _ in range(2))
    b = writer.tensor((4,), DType.INT8, scale=1.0)
    writer.operator(OpCode.RESHAPE, [a], [b], NoOptions())
    writer.operator(OpCode.ADD, [a, b], [d], ActivationOptions())
    assert parse(writer.finish([a], [d])).operators[1].inputs == (a, b)


def _elementwise(
    code: OpCode,
    second: tuple[int, ...],
    output: tuple[int, ...],
    *,
    scale: float = 1.0,
    options: object = ActivationOptions(),
    dtype: DType = DType.INT8,
    scales: int = 1,
) -> bytes:
    """(1, 2, 2, 4) and a constant of another shape."""
    writer = ModelWriter()
    a, d = writer.tensor((1, 2, 2, 4), DType.INT8, scale=1.0), writer.tensor(output, DType.INT8, scale=scale)
    axis = max(len(second) - 1, 0)
    data = np.zeros(second, np.int8)
    b = writer.tensor(second, dtype, scale=[1.0] * scales, axis=axis, data=data, name="second")
    writer.operator(code, [a, b], [d], options)
    return writer.finish([a], [d])


@pytest.mark.parametrize("code", [OpCode.ADD, OpCode.SUB, OpCode.MUL])
@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 1, 1, 4), (1, 2, 2, 1), (1, 2, 2, 4)])
def test_operands_repeat_and_may_be_constants(code: OpCode, shape: tuple[int, ...]) -> None:
    options = ActivationOptions(Activation.RELU6)
    graph = parse(_elementwise(code, shape, (1, 2, 2, 4), options=options))
    (operator,) = graph.operators
    assert (operator.code, operator.options) == (code, options)
    assert graph.tensors[operator.inputs[1] or 0].shape == shape


@pytest.mark.parametrize("code", [OpCode.ADD, OpCode.SUB, OpCode.MUL])
@pytest.mark.parametrize(
    ("changes", "id", "words"),
    [
        ({"second": (3,)}, "not-a-tflite", "operands of shapes (1, 2, 2, 4) and (3,)"),
        ({"output": (1, 2, 2, 5)}, "not-a-tflite", "(1, 2, 2, 4) follows from its inputs"),
        ({"scale": 1e-10}, "unsupported-tensor", "far below its operands'"),
        ({"scales": 4}, "unsupported-tensor", "'second'"),
        ({"dtype": DType.UINT8}, "unsupported-tensor", "'second'"),
    ],
)
def test_operands_that_no_kernel_takes(code: OpCode, changes: dict[str, Any], id: str, words: str) -> None:  # noqa: A002
    error = _refusal(_elementwise(code, **{"second": (4,), "output": (1, 2, 2, 4), **changes}))
    assert error.id == id and words in error.what and f"{code} version 1" in error.what


def test_two_constants_have_no_kernel() -> None:
    writer = ModelWriter()
    x, y = (writer.tensor((1, 4), DType.INT8, scale=1.0) for _ in range(2))
    constants = [writer.tensor((4,), DType.INT8, scale=1.0, data=np.zeros(4)) for _ in range(2)]
    folded = writer.tensor((4,), DType.INT8, scale=1.0)
    writer.operator(OpCode.MUL, constants, [folded], ActivationOptions())
    writer.operator(OpCode.SUB, [x, folded], [y], ActivationOptions())
    error = _refusal(writer.finish([x], [y]))
    assert error.id == "unsupported-options" and "both operands are constants" in error.what


@pytest.mark.parametrize(
    ("code", "scale", "zero_point"),
    [
        (OpCode.RELU, 1e-10, 0),
        (OpCode.RELU6, 1e-10, 0),
        (OpCode.LOGISTIC, 1 / 256, 0),
        (OpCode.LOGISTIC, 1 / 255, -128),
        (OpCode.HARD_SWISH, 0.005, 0),
    ],
)
def test_activations_of_their_own_need_fitting_scales(code: OpCode, scale: float, zero_point: int) -> None:
    def model(shape: tuple[int, ...], scale: float, zero_point: int) -> bytes:
        writer = ModelWriter()
        x = writer.tensor((1, 4), DType.INT8, scale=1.0)
        y = writer.tensor(shape, DType.INT8, scale=scale, zero_point=zero_point)
        writer.operator(code, [x], [y], NoOptions())
        return writer.finish([x], [y])

    assert parse(model((1, 4), 1 / 256 if code is OpCode.LOGISTIC else 0.5, -128)).operators[0].code is code
    assert _refusal(model((1, 4), scale, zero_point)).id == "unsupported-tensor"
    assert _refusal(model((1, 5), 1 / 256, -128)).id in ("not-a-tflite", "unsupported-tensor")


@pytest.mark.parametrize(
    ("named", "output", "axes"), [((), (4,), (0, 1, 2)), ((1, -2), (1, 4), (1, 2)), ((2,), (1, 1, 4), (2,))]
)
def test_squeeze_drops_what_it_names(named: tuple[int, ...], output: tuple[int, ...], axes: tuple[int, ...]) -> None:
    graph = parse(_squeeze(named, output))
    assert graph.operators[0].options == SqueezeOptions(axes)
    assert _same(parse(write(graph)), graph)


@pytest.mark.parametrize(("named", "output"), [((3,), (1, 1, 1)), ((4,), (1, 1, 4)), ((1,), (1, 4))])
def test_squeeze_of_other_dimensions_is_refused(named: tuple[int, ...], output: tuple[int, ...]) -> None:
    assert _refusal(_squeeze(named, output)).id == "not-a-tflite"


def _squeeze(named: tuple[int, ...], output: tuple[int, ...]) -> bytes:
    writer = ModelWriter()
    x, z = (writer.tensor((1, 1, 1, 4), DType.INT8, scale=1.0) for _ in range(2))
    y = writer.tensor(output, DType.INT8, scale=1.0)
    writer.operator(OpCode.SQUEEZE, [x], [y], SqueezeOptions(named))
    writer.operator(OpCode.ADD, [y, x], [z], ActivationOptions())
    return writer.finish([x], [z])


def _pad_v2(*, scale: float = 0.5, shape: tuple[int, ...] = (1,), data: bool = True) -> bytes:
    writer = ModelWriter()
    x, y = writer.tensor((1, 4), DType.INT8, scale=0.5), writer.tensor((1, 6), DType.INT8, scale=0.5)
    table = writer.tensor((2, 2), DType.INT32, data=[[0, 0], [1, 1]])
    value = writer.tensor(shape, DType.INT8, scale=scale, data=np.full(shape, -7)) if data else x
    writer.operator(OpCode.PADV2, [x, table, value], [y], PadOptions(((0, 0), (1, 1))))
    return writer.finish([x], [y])


def test_pad_v2_has_its_value() -> None:
    graph = parse(_pad_v2())
    assert graph.operators[0].options == PadOptions(((0, 0), (1, 1)), -7)
    assert _same(parse(write(graph)), graph)


@pytest.mark.parametrize(
    ("changes", "id"),
    [
        ({"scale": 0.25}, "unsupported-tensor"),
        ({"shape": (2,)}, "unsupported-options"),
        ({"data": False}, "unsupported-options"),
    ],
)
def test_pad_v2_with_another_value_is_refused(changes: dict[str, Any], id: str) -> None:  # noqa: A002
    assert _refusal(_pad_v2(**changes)).id == id


def _concatenation(
    *,
    other: tuple[int, ...] = (1, 2, 3),
    output: tuple[int, ...] = (1, 2, 7),
    axis: int = -1,
    scale: float = 1.0,
    count: int = 1,
    activation: int = schema.ActivationFunctionType.NONE,
    constants: bool = False,
) -> bytes:
    writer = ModelWriter()
    x, z = (writer.tensor((1, 2, 4), DType.INT8, scale=1.0) for _ in range(2))
    y = writer.tensor(output, DType.INT8, scale=1.0)
    constant = writer.tensor(other, DType.INT8, scale=scale, data=np.zeros(other), name="other")
    options = schema.ConcatenationOptionsT()
    options.axis, options.fusedActivationFunction = axis, activation
    writer.operator(OpCode.CONCATENATION, [constant if constants else x, *[constant] * count], [y], options)
    if constants:
        writer.operator(OpCode.RELU, [x], [z], NoOptions())
    return writer.finish([x], [z if constants else y])


def test_concatenation_is_read_with_its_axis() -> None:
    graph = parse(_concatenation())
    assert graph.operators[0].options == ConcatenationOptions(2)
    assert _same(parse(write(graph)), graph)


@pytest.mark.parametrize(
    ("changes", "id", "words"),
    [
        ({"axis": 3}, "not-a-tflite", "axis 3"),
        ({"axis": 1}, "not-a-tflite", "along axis 1"),
        ({"other": (2, 3)}, "not-a-tflite", "'other'"),
        ({"output": (1, 2, 8)}, "not-a-tflite", "(1, 2, 7) follows"),
        ({"scale": 0.5}, "unsupported-tensor", "'other': its quantization differs"),
        ({"count": 8, "output": (1, 2, 28)}, "unsupported-options", "9 inputs"),
        ({"activation": schema.ActivationFunctionType.RELU}, "unsupported-options", "fused activation"),
        ({"constants": True, "output": (1, 2, 6)}, "unsupported-options", "all its inputs are constants"),
    ],
)
def test_concatenation_that_no_kernel_does(changes: dict[str, Any], id: str, words: str) -> None:  # noqa: A002
    error = _refusal(_concatenation(**changes))
    assert error.id == id and words in error.what


# --- bytes that are no model -----------------------------------------------------------------------------------------


def test_files_that_are_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path / "missing\x1b.tflite")
    assert caught.value.id == "no-such-model" and "\x1b" not in str(caught.value)
    with pytest.raises(UsageError) as caught:
        read(tmp_path)
    assert caught.value.id == "no-such-model"
    path = tmp_path / "model.tflite"
    path.write_bytes(_SAMPLE)
    assert read(path).file_bytes == len(_SAMPLE)
    monkeypatch.setattr("pipeline.graph.reader.MAX_FILE_BYTES", 1000)
    with pytest.raises(UsageError) as caught:
        read(path)
    assert caught.value.id == "model-too-large" and "limit" in str(caught.value)


def test_the_budget_for_numbers_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flatfile, "MAX_NUMBERS", 100)
    assert _refusal(_SAMPLE).id == "not-a-tflite"


def _either(content: bytes) -> None:
    try:
        graph = parse(content)
    except UsageError as error:
        assert error.id and error.what
    else:
        assert isinstance(graph, Graph)


@given(st.binary(max_size=400))
@settings(max_examples=150)
def test_random_bytes_never_crash(tail: bytes) -> None:
    _either(tail)
    _either(b"\x1c\0\0\0TFL3" + tail)


@pytest.mark.parametrize("step", [1, 4])
def test_truncated_models_never_crash(step: int) -> None:
    for length in range(0, len(_SAMPLE), 37 * step):
        _either(_SAMPLE[:length])


@given(
    st.lists(
        st.tuples(st.integers(0, len(_SAMPLE) - 4), st.sampled_from([1, 2, 4]), st.integers(0, 2**32 - 1)),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=200)
def test_mutated_models_never_crash(changes: list[tuple[int, int, int]]) -> None:
    content = bytearray(_SAMPLE)
    for position, width, value in changes:
        content[position : position + width] = value.to_bytes(4, "little")[:width]
    _either(bytes(content))


@pytest.mark.slow
def test_every_single_word_may_be_wrong() -> None:
    for position in range(0, len(_SAMPLE) - 4, 4):
        for value in (0, 0x7FFFFFFF, 0xFFFFFFFF, 0x00010000):
            content = bytearray(_SAMPLE)
            content[position : position + 4] = value.to_bytes(4, "little")
            _either(bytes(content))
