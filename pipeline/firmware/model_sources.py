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

from numpy.typing import NDArray

from pipeline import resources
from pipeline.errors import UsageError
from pipeline.estimate.features import Features
from pipeline.estimate.model import INPUT, MemoryPlan, Segment
from pipeline.estimate.stages import Stage, StageKind, image_rows
from pipeline.firmware import filters
from pipeline.firmware.features import features, of_call
from pipeline.firmware.filters import CText
from pipeline.firmware.layout import Layout, value_text
from pipeline.firmware.lowering import Call, Form, Lowering
from pipeline.graph.model import Graph

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


@dataclass(frozen=True)
class ModelSources:
    """Files for ``src/`` (relative path → text), the kernels they call (file stems, sorted) and their parts."""

    files: dict[str, str]
    kernels: tuple[str, ...]
    features: Features


def runtime_files(kernels: tuple[str, ...]) -> tuple[Path, ...]:
    """The files of ``firmware_templates/runtime/`` that a program with these kernels needs, runtime.h included.

    Beside them it needs ``model_features.h``: :func:`pipeline.firmware.features.header`.
    """
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
    layout = Layout(graph, plan, lowering.pool)
    calls = [lowering.call(stage, flat=segment.flat) for segment in plan.segments for stage in segment.stages]
    kernels = tuple(sorted({kernel for call in calls for kernel in call.kernels}))
    segments = [segment for segment in plan.segments for _ in segment.stages]
    stages = [
        _stage_context(stage, segment, call, layout)
        for stage, segment, call in zip(plan.stages, segments, calls, strict=True)
    ]
    ends = list(itertools.accumulate(len(segment.stages) for segment in plan.segments))
    if layout.streamed is not None:
        layout.rows_of(layout.streamed)
        stages.insert(0, _input_context(graph))
        ends = [end + 1 for end in ends]
    text = " ".join(stage["arguments"] for stage in stages if stage["function"])
    context = {
        "headers": [f"{kernel}.h" for kernel in kernels],
        "arena_bytes": plan.arena_bytes,
        "stages": stages,
        "rows": [rows for _, rows in sorted(layout.rows.items())],
        "ends": CText(", ".join(str(filters.c_int(end)) for end in ends)),
        "uses_at": " at(" in f" {text}" or "{at(" in text,
        "uses_float": "floats_at(" in text,
        "uses_scratch": "scratch_at(" in text,
        "uses_sums": "sums_at(" in text,
        "streamed": None
        if layout.streamed is None
        else {**layout.rows[layout.streamed], "rows": image_rows(graph.input)},
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
    return ModelSources(files=files, kernels=kernels, features=features(calls))


def _stage_context(stage: Stage, segment: Segment, call: Call, layout: Layout) -> dict[str, Any]:
    """What the template prints of a stage."""
    names = [CText(f"kStage{filters.c_int(stage.index)}{suffix}") for suffix in ("", "Pointwise")]
    params = [
        {
            "name": name,
            "type": CText(part.type),
            "fields": [{"name": field.name, "text": value_text(field.value)} for field in part.fields],
        }
        for name, part in zip(names, call.params, strict=False)
    ]
    arguments = [*(str(part["name"]) for part in params), *_arguments(stage, segment, call, layout)]
    return {
        "code": stage.name,
        "comment": layout.tensors[call.output].name,
        "params": params,
        "function": CText(call.function),
        "arguments": CText(", ".join(arguments)),
        "pointers": _pointers(call, layout),
        "in_parts": of_call(call) != Features(),
        "schedule": _schedule(stage, segment, layout.streamed),
    }


def _arguments(stage: Stage, segment: Segment, call: Call, layout: Layout) -> list[CText]:
    """What a kernel takes after its parameters."""
    source, output = call.inputs[0], call.output
    if call.form in (Form.WINDOW, Form.BLOCKS):
        scratch = CText(f"scratch_at({filters.c_int(segment.scratch)})")
        rows = [layout.rows_of(source), CText("y"), layout.row_of(output)]
        return [*rows, scratch] if call.form is Form.BLOCKS else rows
    if call.form is Form.SUMS:
        sums = CText(f"sums_at({filters.c_int(segment.sums)})")
        return [layout.row_of(source), CText("y"), sums, layout.whole(output, call.output_type)]
    if call.form is Form.ELEMENTS and stage.kind is StageKind.ROWS and not segment.flat:
        return [*map(layout.row_of, call.inputs), layout.row_of(output)]
    inputs, outputs = _operands(call, layout)
    return [
        *(_array(len(inputs)) if call.gathered else inputs),
        *(_array(len(outputs)) if call.scattered else outputs),
    ]


def _operands(call: Call, layout: Layout) -> tuple[list[CText], list[CText]]:
    inputs = [layout.operand(index, call.input_type) for index in call.inputs]
    return inputs, [layout.whole(index, call.output_type) for index in call.scattered or (call.output,)]


def _array(count: int) -> list[CText]:
    return [CText("pointers"), filters.c_int(count)]


def _pointers(call: Call, layout: Layout) -> dict[str, CText] | None:
    """The array of a call's inputs or outputs, where it takes any number of them.

    It is a variable of its own block: those of several calls then share one place on the stack.
    """
    if not call.gathered and not call.scattered:
        return None
    inputs, outputs = _operands(call, layout)
    kind, elements = ("const int8_t*", inputs) if call.gathered else ("int8_t*", outputs)
    return {"type": CText(kind), "elements": CText("{" + ", ".join(elements) + "}")}


def _input_context(graph: Graph) -> dict[str, Any]:
    """The stage that takes the rows of a streamed input; it calls no kernel."""
    return {
        "code": INPUT,
        "comment": graph.input.name,
        "params": [],
        "function": "",
        "arguments": "",
        "pointers": None,
        "in_parts": False,
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


def _constant_context(array: NDArray[Any]) -> dict[str, Any]:
    return {
        "type": CText(_ARRAY_TYPES[array.dtype.name]),
        "size": array.size,
        "elements": filters.c_int_array(array),
    }
