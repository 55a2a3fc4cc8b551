"""Renders a Graph and its memory plan as C++: the ``aot`` runtime's model.

:func:`model_sources` gives three files for ``src/``: ``model.cpp`` (the functions of runtime.h), ``constants.cpp`` and
``constants.h``. :func:`runtime_files` lists what they need from ``firmware_templates/runtime/``; all of it belongs in
one folder that is on the include path, since files include each other by bare name.

Bytes in flash
--------------
Every object starts at a multiple of 4 and counts rounded up to that. For a 32-bit target:

==================== ===== ====================================================================================
operator             param constant arrays
==================== ===== ====================================================================================
CONV_2D              40    a stream of weights (1 B an element, each kernel row filled up to 4) and records (8 B a
                           channel); channels count in twos. 12 B a channel, in ones, where the factors, the sums or
                           the weights leave what the short forms can do
DEPTHWISE_CONV_2D    36    one stream: weights (1 B an element; a 2x2 kernel's and the like fill words), 8 B a channel;
                           12 B where the depth multiplier is not 1 or the channels are no multiple of four
FULLY_CONNECTED      40    as CONV_2D, whose kernel it takes
ADD, SUB             20    a constant operand (1 B an element); 36 B of parameters where an operand is repeated, 44
                           where only the reference's own arithmetic will do
MUL                  32    a constant operand (1 B an element)
AVERAGE_POOL_2D      28    none
MAX_POOL_2D          28    none
MEAN                 24    none
PAD, PADV2           26    none
CONCATENATION        8     widths (4 B an input), constant operands (1 B an element)
SPLIT                8     none
STRIDED_SLICE        28    none
TRANSPOSE            28    none
RELU, RELU6          16    none
LOGISTIC, HARD_SWISH 8     a value for each int8 (256 B)
SOFTMAX              16    none
QUANTIZE             12    none (16 B of parameters where the input is int8 or uint8)
DEQUANTIZE           12    none
==================== ===== ====================================================================================

Arrays of equal type and bytes are kept once, so the sum over the operators is an upper bound that is nearly always
met. RESHAPE and SQUEEZE cost nothing. What says how the stages go together (names, steps, segments, rows) is counted in
pipeline/estimate/kernels.py; in RAM a stage takes 6 B (``cycles_of``, ``done``); the arena is in the section
``.arena``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import resources
from pipeline.errors import UsageError, printable
from pipeline.estimate.model import ALIGNMENT, INPUT, MemoryPlan, Placement, Segment
from pipeline.estimate.stages import Stage, StageKind, image_rows
from pipeline.firmware import filters
from pipeline.firmware.filters import CText
from pipeline.firmware.lowering import Call, Constant, ConstantPool, Enumerator, Float32, Form, Lowering, Value
from pipeline.graph.model import DType, Graph, Tensor

#: Headers of firmware_templates/runtime/aot that kernels share.
SHARED_HEADERS = (
    "block_armv7em.h",
    "block_portable.h",
    "broadcast.h",
    "depthwise_3x3.h",
    "fixed_point.h",
    "pipeline.h",
    "requantize.h",
    "row_sums.h",
    "rows.h",
    "simd.h",
    "window.h",
)

_ARRAY_TYPES = {"int8": "int8_t", "int32": "int32_t", "uint32": "uint32_t"}
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
    if not plan.stages:
        raise UsageError("no-operators", "the model has no operators", next="Give a model that computes something.")
    lowering = Lowering(graph)
    layout = Layout(graph, plan)
    calls = [lowering.call(stage, flat=segment.flat) for segment in plan.segments for stage in segment.stages]
    kernels = tuple(sorted({kernel for call in calls for kernel in call.kernels}))
    segments = [segment for segment in plan.segments for _ in segment.stages]
    rows: dict[int, dict[str, Any]] = {}
    stages = [
        _stage_context(stage, segment, call, lowering.pool, layout, rows)
        for stage, segment, call in zip(plan.stages, segments, calls, strict=True)
    ]
    ends = list(itertools.accumulate(len(segment.stages) for segment in plan.segments))
    if layout.streamed is not None:
        rows[graph.input.index] = layout.rows(graph.input.index)
        stages.insert(0, _input_context(graph))
        ends = [end + 1 for end in ends]
    text = " ".join(stage["arguments"] for stage in stages if stage["function"])
    context = {
        "headers": [f"{kernel}.h" for kernel in kernels],
        "arena_bytes": plan.arena_bytes,
        "stages": stages,
        "rows": [rows[tensor] for tensor in sorted(rows)],
        "ends": CText(", ".join(str(filters.c_int(end)) for end in ends)),
        "uses_at": " at(" in f" {text}" or "{at(" in text,
        "uses_float": "floats_at(" in text,
        "uses_scratch": "scratch_at(" in text,
        "uses_sums": "sums_at(" in text,
        "streamed": None
        if layout.streamed is None
        else {**rows[layout.streamed], "rows": image_rows(graph.input)},
        "input": layout.edge(graph.input),
        "output": layout.edge(graph.output),
        # Last: the calls' arguments may add constants.
        "constants": [_constant_context(array) for array in lowering.pool.arrays],
    }
    environment = filters.environment(resources.firmware_templates() / "model")
    files = {
        name: environment.get_template(f"{name}.j2").render(context)
        for name in ("model.cpp", "constants.cpp", "constants.h")
    }
    return ModelSources(files=files, kernels=kernels)


class Layout:
    """Where the activations of a Graph lie, after a check that the plan is whole and stays inside the arena."""

    def __init__(self, graph: Graph, plan: MemoryPlan) -> None:
        self.tensors = graph.tensors
        #: The input whose rows come one by one; None where it is kept in whole.
        self.streamed = graph.input.index if plan.streams(graph.input.index) else None
        self._placements: dict[int, Placement] = {}
        for placement in plan.placements:
            tensor = graph.tensors[placement.tensor]
            kept = image_rows(tensor) if placement.ring is None else placement.ring
            if placement.offset % ALIGNMENT or placement.size < tensor.nbytes // image_rows(tensor) * kept:
                raise ValueError(f"the plan misplaces tensor {tensor.index}")
            if not 0 <= placement.offset <= plan.arena_bytes - placement.size:
                raise ValueError(f"the plan puts tensor {tensor.index} outside the arena")
            self._placements[tensor.index] = placement
        for tensor in (graph.input, graph.output):
            if tensor.constant or tensor.dtype not in _EDGE_TYPES:
                raise UsageError(
                    "unsupported-tensor",
                    f"tensor {tensor.index} '{printable(tensor.name)}' cannot be the model's input or output",
                    why="It is a constant, or neither int8, uint8 nor float32.",
                    next="Export the model again.",
                )
            self.offset(tensor.index)

    def __contains__(self, tensor: int) -> bool:
        return tensor in self._placements

    def offset(self, tensor: int) -> int:
        """Offset of an activation in the arena."""
        if tensor not in self._placements:
            raise ValueError(f"the plan leaves out tensor {tensor}")
        return self._placements[tensor].offset

    def rows(self, tensor: int) -> dict[str, Any]:
        """The Rows of an activation."""
        height = image_rows(self.tensors[tensor])
        ring = self._placements[tensor].ring if tensor in self._placements else None
        return {
            "name": CText(f"kRows{filters.c_int(tensor)}"),
            "offset": self.offset(tensor),
            "bytes": self.tensors[tensor].nbytes // height,
            "kept": height if ring is None else ring,
        }

    def edge(self, tensor: Tensor) -> dict[str, Any]:
        """The model's input or output."""
        quantization = None if tensor.dtype is DType.FLOAT32 else tensor.quantization
        return {
            "offset": self.offset(tensor.index),
            "bytes": tensor.nbytes,
            "type": CText(_EDGE_TYPES[tensor.dtype]),
            "scale": quantization.scale if quantization else 0.0,
            "zero_point": quantization.zero_point if quantization else 0,
        }


def _stage_context(
    stage: Stage,
    segment: Segment,
    call: Call,
    pool: ConstantPool,
    layout: Layout,
    rows: dict[int, dict[str, Any]],
) -> dict[str, Any]:
    """What the template prints of a stage; the Rows that it names are gathered in ``rows``."""

    def rows_of(tensor: int) -> CText:
        rows[tensor] = layout.rows(tensor)
        name: CText = rows[tensor]["name"]
        return name

    def row_of(tensor: int) -> CText:
        return CText(f"row_of({rows_of(tensor)}, y)")

    names = [CText(f"kStage{filters.c_int(stage.index)}{suffix}") for suffix in ("", "Pointwise")]
    params = [
        {
            "name": name,
            "type": CText(part.type),
            "fields": [{"name": field.name, "text": _value_text(field.value)} for field in part.fields],
        }
        for name, part in zip(names, call.params, strict=False)
    ]
    source, output = call.inputs[0], call.output
    if call.form is Form.WINDOW or call.form is Form.BLOCKS:
        arguments = [rows_of(source), CText("y"), row_of(output)]
        if call.form is Form.BLOCKS:
            arguments.append(CText(f"scratch_at({filters.c_int(segment.scratch)})"))
    elif call.form is Form.SUMS:
        sums = CText(f"sums_at({filters.c_int(segment.sums)})")
        arguments = [row_of(source), CText("y"), sums, _argument(layout, output, call.output_type, pool)]
    elif call.form is Form.ELEMENTS and stage.kind is StageKind.ROWS and not segment.flat:
        arguments = [*map(row_of, call.inputs), row_of(output)]
    else:
        arguments = [_argument(layout, index, call.input_type, pool, constants=layout.tensors) for index in call.inputs]
        if call.gathered:
            arguments = [CText("{" + ", ".join(arguments) + "}")]
        outputs = [_argument(layout, index, call.output_type, pool) for index in call.scattered or (output,)]
        arguments += [CText("{" + ", ".join(outputs) + "}")] if call.scattered else outputs
    return {
        "code": stage.name,
        "comment": layout.tensors[output].name,
        "params": params,
        "function": CText(call.function),
        "arguments": CText(", ".join([*(str(part["name"]) for part in params), *arguments])),
        "schedule": _schedule(stage, segment, layout.streamed),
    }


def _input_context(graph: Graph) -> dict[str, Any]:
    """The stage that takes the rows of a streamed input; it calls no kernel."""
    return {
        "code": INPUT,
        "comment": graph.input.name,
        "params": [],
        "function": "",
        "arguments": "",
        "schedule": _schedule_text(image_rows(graph.input), []),
    }


def _schedule(stage: Stage, segment: Segment, streamed: int | None) -> CText:
    """The steps of a stage, and of each input that its segment makes how many stages back, stride and first need.

    The source of a streamed input's rows stands before the first stage.
    """
    feeds = []
    for feed in stage.feeds:
        maker = next((other.index for other in segment.stages if feed.tensor in other.outputs), None)
        if feed.tensor == streamed:
            maker = -1
        if maker is not None and stage.kind is not StageKind.WHOLE:
            back = filters.c_int(stage.index - maker)
            feeds.append(f"{{{back}, {filters.c_int(feed.stride)}, {filters.c_int(feed.kernel - feed.pad)}}}")
    return _schedule_text(1 if segment.flat else stage.steps, feeds)


def _schedule_text(steps: int, feeds: list[str]) -> CText:
    feeds = feeds + ["{aot::kNoFeed, 0, 0}"] * (2 - len(feeds))
    return CText(f"{{{filters.c_int(steps)}, {{{', '.join(feeds)}}}}}")


def _argument(
    layout: Layout, index: int, dtype: DType, pool: ConstantPool, *, constants: tuple[Tensor, ...] | None = None
) -> CText:
    """Where a kernel finds a tensor: in the arena, or among the constants where they are given."""
    if index in layout or constants is None:
        function = "floats_at" if dtype is DType.FLOAT32 else "at"
        return CText(f"{function}({filters.c_int(layout.offset(index))})")
    tensor = constants[index]
    if tensor.data is None or tensor.dtype is not DType.INT8:
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
    if isinstance(value, Enumerator):
        return CText(f"aot::{value.name}")
    if isinstance(value, Float32):
        return filters.c_float(value.value)
    if isinstance(value, tuple):
        return CText("{" + ", ".join(_value_text(field.value) for field in value) + "}")
    return filters.c_int(value)


def _constant_context(array: NDArray[Any]) -> dict[str, Any]:
    return {
        "type": CText(_ARRAY_TYPES[array.dtype.name]),
        "size": array.size,
        "elements": filters.c_int_array(array),
    }
