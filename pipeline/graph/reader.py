"""A .tflite file read into a Graph, or refused with the operator and tensor that do not fit.

What is accepted: one subgraph with one input and one output; static shapes of batch 1; int8 activations, int8 weights
with one scale or one a channel, int32 biases; other types only at the edges, beside a QUANTIZE or DEQUANTIZE.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from pipeline.errors import UsageError, printable
from pipeline.graph import operators as operator_rules
from pipeline.graph import tensors as tensor_rules
from pipeline.graph.flatfile import MAX_FILE_BYTES, FileModel, FileOperator, decode, too_large
from pipeline.graph.folding import fold
from pipeline.graph.model import DType, Graph, OpCode, Tensor
from pipeline.graph.tensors import TYPE_NAMES

#: Versions that LiteRT's reference kernels know, by which all options that a newer version may bring are known too.
LAST_VERSION = {
    OpCode.CONV_2D: 8,
    OpCode.DEPTHWISE_CONV_2D: 6,
    OpCode.FULLY_CONNECTED: 14,
    OpCode.ADD: 5,
    OpCode.SUB: 5,
    OpCode.MUL: 7,
    OpCode.AVERAGE_POOL_2D: 3,
    OpCode.MAX_POOL_2D: 3,
    OpCode.MEAN: 3,
    OpCode.PAD: 6,
    OpCode.PADV2: 6,
    OpCode.CONCATENATION: 7,
    OpCode.SPLIT: 4,
    OpCode.STRIDED_SLICE: 4,
    OpCode.TRANSPOSE: 6,
    OpCode.RESHAPE: 1,
    OpCode.SQUEEZE: 1,
    OpCode.RELU: 3,
    OpCode.RELU6: 3,
    OpCode.LOGISTIC: 3,
    OpCode.HARD_SWISH: 1,
    OpCode.SOFTMAX: 3,
    OpCode.QUANTIZE: 6,
    OpCode.DEQUANTIZE: 9,
}

_OPERATOR_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
_FLOATS = frozenset({"FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16", "FLOAT8_E4M3FN", "FLOAT8_E5M2"})
_EDGE_CODES = {schema.BuiltinOperator.QUANTIZE: OpCode.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE: OpCode.DEQUANTIZE}


def read(path: Path) -> Graph:
    """Read a .tflite file.

    Raises:
        UsageError: ``no-such-model``, ``model-too-large``, ``not-a-tflite``, ``unsupported-model``,
            ``unsupported-operator``, ``float-model``, ``partly-quantized``, ``unsupported-tensor``,
            ``unsupported-options``, ``dynamic-shape`` or ``external-weights``; each names the operator, its version
            and the tensor where there is one.
    """
    return parse(content_of(path))


def content_of(path: Path) -> bytes:
    """The bytes of a model file of a sensible size.

    Raises:
        UsageError: ``no-such-model`` or ``model-too-large``.
    """
    try:
        if not path.is_file():
            raise FileNotFoundError("there is no such file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise too_large(size)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(
            "no-such-model", f"cannot read the model {printable(path)}", why=printable(error), next="Check the path."
        ) from error


def parse(content: bytes) -> Graph:
    """The Graph in the bytes of a .tflite file; raises as :func:`read`."""
    model = fold(decode(content))
    _refuse_edges(model)
    _refuse_float(model)
    codes = tuple(_code(model, operator) for operator in model.operators)
    tensors = _tensors(model)
    _refuse_disorder(model, tensors)
    operators = tuple(
        operator_rules.operator(tensors, index, code, raw)
        for index, (code, raw) in enumerate(zip(codes, model.operators, strict=True))
    )
    graph = Graph(
        tensors,
        operators,
        model.inputs,
        model.outputs,
        sha256=hashlib.sha256(content).hexdigest(),
        file_bytes=len(content),
    )
    _refuse_inner_casts(graph)
    return graph


def _name(code: int, custom: str = "") -> str:
    name = _OPERATOR_NAMES.get(code, f"operator number {code}")
    return f"{name} {printable(custom, 60)!r}" if custom else name


def _refuse_edges(model: FileModel) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        edges = [
            ", ".join(f"tensor {index} {printable(model.tensors[index].name, 80)!r}" for index in indices[:8]) or "none"
            for indices in (model.inputs, model.outputs)
        ]
        raise UsageError(
            "unsupported-model",
            f"the model has {len(model.inputs)} inputs and {len(model.outputs)} outputs",
            why=f"One input and one output are supported. Inputs: {edges[0]}; outputs: {edges[1]}.",
            next="Convert a model with one input and one output.",
        )
    if not model.operators:
        raise UsageError("unsupported-model", "the model has no operators", next="Convert a model that computes.")


def _refuse_float(model: FileModel) -> None:
    """Tell floating-point from quantized before anything else: it is the commonest mistake."""
    edges = _edge_tensors(model)
    activations = sorted(
        {index for operator in model.operators for index in (*operator.inputs, *operator.outputs) if index >= 0}
    )
    activations = [index for index in activations if model.tensors[index].data is None]
    floats = [
        index for index in activations if TYPE_NAMES.get(model.tensors[index].type) in _FLOATS and index not in edges
    ]
    if not floats:
        return
    tensor = model.tensors[floats[0]]
    quantized = any(t.type == schema.TensorType.INT8 for t in model.tensors)
    what = f"tensor {floats[0]} {printable(tensor.name, 80)!r} is {TYPE_NAMES[tensor.type].lower()}"
    if quantized:
        raise UsageError(
            "partly-quantized",
            f"the model is only partly quantized: {what}",
            why=f"{len(floats)} of its {len(activations)} activations are floating point.",
            next="Convert with a representative data set and TFLITE_BUILTINS_INT8 as the only supported operators.",
        )
    raise UsageError(
        "float-model",
        f"the model is not quantized: {what}",
        why="Only full-int8 models run on the device.",
        next="Convert it to full int8: with a representative data set and TFLITE_BUILTINS_INT8 alone.",
    )


def _edge_tensors(model: FileModel) -> frozenset[int]:
    """Tensors that may have another type than int8: before the first QUANTIZE and behind the last DEQUANTIZE."""
    readers = Counter(index for operator in model.operators for index in set(operator.inputs))
    found: set[int] = set()
    for operator in model.operators:
        if operator.code not in _EDGE_CODES or len(operator.inputs) != 1 or len(operator.outputs) != 1:
            continue
        (given,), (made,) = operator.inputs, operator.outputs
        if given in model.inputs and readers[given] == 1:
            found.add(given)
        if made in model.outputs:
            found.add(made)
    return frozenset(found)


def _code(model: FileModel, operator: FileOperator) -> OpCode:
    name = _name(operator.code, operator.custom)
    where = [i for i in (*operator.outputs, *operator.inputs) if i >= 0]
    tensor = f" (tensor {where[0]} {printable(model.tensors[where[0]].name, 80)!r})" if where else ""
    known = OpCode.__members__.get(name)
    if known is None or not 1 <= operator.version <= LAST_VERSION[known]:
        supported = f"{known} up to version {LAST_VERSION[known]}" if known else ", ".join(OpCode)
        raise UsageError(
            "unsupported-operator",
            f"operator {operator.index}, {name} version {operator.version}, has no kernel{tensor}",
            why=f"Supported: {supported}.",
            next="Build the network without the operator, or convert it with another converter version.",
        )
    return known


def _tensors(model: FileModel) -> tuple[Tensor, ...]:
    users: dict[int, str] = {}
    for operator in model.operators:
        for tensor in (*operator.inputs, *operator.outputs):
            users.setdefault(
                tensor, f" of operator {operator.index}, {_name(operator.code)} version {operator.version}"
            )
    edges = {*model.inputs, *model.outputs}
    return tuple(
        tensor_rules.tensor(index, raw, user=users.get(index, ""), edge=index in edges)
        if index in users or index in edges
        else tensor_rules.unused(index, raw)
        for index, raw in enumerate(model.tensors)
    )


def _refuse_disorder(model: FileModel, tensors: tuple[Tensor, ...]) -> None:
    """Each activation is written once, before it is read; constants and the input are never written."""
    ready = set(model.inputs)
    for operator in model.operators:
        name = f"operator {operator.index}, {_name(operator.code)} version {operator.version}"
        for tensor in operator.inputs:
            if tensor >= 0 and not tensors[tensor].constant and tensor not in ready:
                raise UsageError(
                    "unsupported-tensor",
                    f"tensor {tensor} {printable(tensors[tensor].name, 80)!r} of {name}: read before it is written",
                    next="Convert the model again.",
                )
        for tensor in operator.outputs:
            if tensor in ready or tensors[tensor].constant:
                raise UsageError(
                    "unsupported-tensor",
                    f"tensor {tensor} {printable(tensors[tensor].name, 80)!r} of {name}: written a second time",
                    next="Convert the model again.",
                )
            ready.add(tensor)
    for tensor in model.outputs:
        if tensor not in ready or tensor in model.inputs:
            raise UsageError(
                "unsupported-tensor",
                f"output tensor {tensor} {printable(tensors[tensor].name, 80)!r}: no operator writes it",
                next="Convert the model again.",
            )


def _refuse_inner_casts(graph: Graph) -> None:
    """Types other than int8 are for the edges: everything between them runs in int8."""
    edges = {*graph.inputs, *graph.outputs}
    for operator in graph.operators:
        # SPLIT's first input is its constant.
        given = operator.inputs[1 if operator.code is OpCode.SPLIT else 0]
        for index in (given, *operator.outputs):
            if index is None:
                continue
            tensor = graph.tensors[index]
            cast = operator.code in (OpCode.QUANTIZE, OpCode.DEQUANTIZE)
            if tensor.dtype is not DType.INT8 and not (cast and index in edges):
                raise UsageError(
                    "partly-quantized",
                    f"tensor {index} {printable(tensor.name, 80)!r} of operator {operator.index}, {operator.code} "
                    f"version {operator.version}: {tensor.dtype} inside the network",
                    next="Convert the model again to full int8.",
                )
