"""Renders a Graph and its memory plan as C++: the ``aot`` runtime's model.

:func:`model_sources` gives three files for ``src/``: ``model.cpp`` (the functions of runtime.h), ``constants.cpp`` and
``constants.h``. :func:`runtime_files` lists what they need from ``firmware_templates/runtime/``; all of it belongs in
one folder that is on the include path, since files include each other by bare name.

Bytes in flash
--------------
Every object starts at a multiple of 4 (of 8 for ``factors``) and counts rounded up to that. For a 32-bit target:

==================== ===== ====================================================================================
operator             param constant arrays
==================== ===== ====================================================================================
CONV_2D              48    weights (1 B an element), bias (4 B a channel; zeros where the model has none),
                           multipliers (4 B a channel), shifts (1 B a channel)
DEPTHWISE_CONV_2D    48    the same
FULLY_CONNECTED      28    weights, bias, factors (8 B an output, or 8 B in all where the weights have one scale)
ADD                  24    a constant operand (1 B an element); 40 B of parameters where an operand is repeated
SUB                  40    a constant operand (1 B an element)
MUL                  32    the same
AVERAGE_POOL_2D      28    none
MAX_POOL_2D          28    none
MEAN                 20    none
PAD, PADV2           26    none
CONCATENATION        8     widths (4 B an input), constant operands (1 B an element)
RESHAPE, SQUEEZE     4, 0  none; no parameters and no call where the plan shares the bytes
RELU, RELU6          16    none
LOGISTIC, HARD_SWISH 8     a value for each int8 (256 B)
SOFTMAX              16    none
QUANTIZE             12    none (16 B of parameters where the input is int8 or uint8)
DEQUANTIZE           12    none
==================== ===== ====================================================================================

Arrays of equal type and bytes are kept once, so the sum over the operators is an upper bound that is nearly always
met (short arrays of shifts are the ones that coincide). Weights with one scale get their multipliers and shifts for
each channel all the same. Besides: 4 B an operator for the table of names, each name once (length + 1, rounded up),
and in RAM 4 B an operator (``cycles_of``, in .bss); the arena is in the section ``.arena``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import resources
from pipeline.errors import UsageError, printable
from pipeline.estimate.model import ALIGNMENT, MemoryPlan
from pipeline.firmware import filters
from pipeline.firmware.filters import CText
from pipeline.firmware.lowering import Call, Constant, ConstantPool, Float32, Lowering, Value
from pipeline.graph.model import ALIASES, DType, Graph, Operator, Tensor

#: Headers of firmware_templates/runtime/aot that kernels share.
SHARED_HEADERS = (
    "broadcast.h",
    "depthwise_3x3.h",
    "fixed_point.h",
    "requantize.h",
    "rows.h",
    "simd.h",
    "window.h",
)

_ARRAY_TYPES = {"int8": ("int8_t", 4), "int32": ("int32_t", 4), "float64": ("double", 8)}
_EDGE_TYPES = {DType.INT8: "kInt8", DType.UINT8: "kUint8", DType.FLOAT32: "kFloat32"}


@dataclass(frozen=True)
class ModelSources:
    """Files for ``src/`` (relative path → text) and the kernels they call (file stems, sorted)."""

    files: dict[str, str]
    kernels: tuple[str, ...]


def runtime_files(kernels: tuple[str, ...]) -> tuple[Path, ...]:
    """The files of ``firmware_templates/runtime/`` that a program with these kernels needs, runtime.h included."""
    folder = resources.firmware_templates() / "runtime"
    aot = folder / "aot"
    headers = [folder / "runtime.h", *(aot / name for name in SHARED_HEADERS)]
    return (*headers, *(aot / f"{kernel}{suffix}" for kernel in kernels for suffix in (".h", ".cpp")))


def model_sources(graph: Graph, plan: MemoryPlan) -> ModelSources:
    """Render a Graph, whose constants have data, with its memory plan.

    Raises:
        UsageError: A kernel does not cover an operator; see :meth:`pipeline.firmware.lowering.Lowering.call`.
        ValueError: The plan does not fit the Graph (a bug), or the Graph is a skeleton.
    """
    if not graph.operators:
        raise UsageError("no-operators", "the model has no operators", next="Give a model that computes something.")
    lowering = Lowering(graph)
    places = _places(graph, plan)
    calls = {operator.index: _call_of(operator, lowering, places) for operator in graph.operators}
    kernels = tuple(sorted({call.kernel for call in calls.values() if call is not None}))
    context = {
        "headers": [f"{kernel}.h" for kernel in kernels],
        "arena_bytes": plan.arena_bytes,
        "operators": [
            _operator_context(graph, operator, calls[operator.index], lowering.pool, places)
            for operator in graph.operators
        ],
        "uses_calls": any(call is not None for call in calls.values()),
        "uses_float": any(
            DType.FLOAT32 in (call.input_type, call.output_type) for call in calls.values() if call is not None
        ),
        "input": _edge_context(graph.input, places),
        "output": _edge_context(graph.output, places),
        # Last: the calls' arguments may add constants.
        "constants": [_constant_context(array) for array in lowering.pool.arrays],
    }
    environment = filters.environment(resources.firmware_templates() / "model")
    files = {
        name: environment.get_template(f"{name}.j2").render(context)
        for name in ("model.cpp", "constants.cpp", "constants.h")
    }
    return ModelSources(files=files, kernels=kernels)


def _places(graph: Graph, plan: MemoryPlan) -> dict[int, int]:
    """Offset of each planned tensor, after a check that the plan is whole and stays inside the arena."""
    places = {}
    for placement in plan.placements:
        tensor = graph.tensors[placement.tensor]
        if placement.offset % ALIGNMENT or placement.size < tensor.nbytes:
            raise ValueError(f"the plan misplaces tensor {tensor.index}")
        if not 0 <= placement.offset <= plan.arena_bytes - placement.size:
            raise ValueError(f"the plan puts tensor {tensor.index} outside the arena")
        places[tensor.index] = placement.offset
    for operator in graph.operators:
        for index in (*operator.inputs, *operator.outputs):
            if index is not None and index not in places and not graph.tensors[index].constant:
                raise ValueError(f"the plan leaves out tensor {index}")
    for tensor in (graph.input, graph.output):
        if tensor.index not in places or tensor.dtype not in _EDGE_TYPES:
            raise UsageError(
                "unsupported-tensor",
                f"tensor {tensor.index} '{printable(tensor.name)}' cannot be the model's input or output",
                why="It is a constant, or neither int8, uint8 nor float32.",
                next="Export the model again.",
            )
    return places


def _call_of(operator: Operator, lowering: Lowering, places: dict[int, int]) -> Call | None:
    """The operator's call; None for a RESHAPE or SQUEEZE whose output lies where its input lies."""
    call = lowering.call(operator)
    source = call.inputs[0]
    shared = operator.code in ALIASES and places.get(source) == places[call.output]
    return None if shared else call


def _operator_context(
    graph: Graph, operator: Operator, call: Call | None, pool: ConstantPool, places: dict[int, int]
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "index": operator.index,
        "code": operator.code.value,
        "comment": graph.tensors[operator.outputs[0]].name,
        "call": None,
    }
    if call is not None:
        arguments = [
            _argument(graph.tensors[index], call.input_type, pool, places, const=True) for index in call.inputs
        ]
        if call.gathered:
            arguments = [CText("{" + ", ".join(arguments) + "}")]
        arguments.append(_argument(graph.tensors[call.output], call.output_type, pool, places, const=False))
        made["call"] = {
            "function": CText(call.function),
            "params": CText(call.params),
            "fields": [{"name": field.name, "text": _value_text(field.value)} for field in call.fields],
            "arguments": CText(", ".join(arguments)),
        }
    return made


def _argument(tensor: Tensor, dtype: DType, pool: ConstantPool, places: dict[int, int], *, const: bool) -> CText:
    """Where a kernel finds a tensor: in the arena, or among the constants."""
    if tensor.index in places:
        function = "floats_at" if dtype is DType.FLOAT32 else "at"
        return CText(f"{function}({filters.c_int(places[tensor.index])})")
    if not const or tensor.data is None or tensor.dtype is not DType.INT8:
        raise UsageError(
            "unsupported-tensor",
            f"tensor {tensor.index} '{printable(tensor.name)}' is a constant where the aot runtime takes an activation",
            why=f"It has the type {tensor.dtype}.",
            next="Export the model again with constants folded.",
        )
    return _value_text(pool.add(np.asarray(tensor.data, np.int8)))


def _value_text(value: Value) -> CText:
    if isinstance(value, Constant):
        return CText(f"model::kConstant{filters.c_int(value.number)}")
    if isinstance(value, Float32):
        return filters.c_float(value.value)
    if isinstance(value, tuple):
        return CText("{" + ", ".join(_value_text(field.value) for field in value) + "}")
    return filters.c_int(value)


def _constant_context(array: NDArray[Any]) -> dict[str, Any]:
    name, alignment = _ARRAY_TYPES[array.dtype.name]
    elements = filters.c_double_array(array.tolist()) if name == "double" else filters.c_int_array(array)
    return {"type": CText(name), "alignment": alignment, "size": array.size, "elements": elements}


def _edge_context(tensor: Tensor, places: dict[int, int]) -> dict[str, Any]:
    quantization = None if tensor.dtype is DType.FLOAT32 else tensor.quantization
    return {
        "offset": places[tensor.index],
        "bytes": tensor.nbytes,
        "type": CText(_EDGE_TYPES[tensor.dtype]),
        "scale": quantization.scale if quantization else 0.0,
        "zero_point": quantization.zero_point if quantization else 0,
    }
