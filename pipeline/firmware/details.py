"""What weights and quantizations decide of a Graph's operators, for the cost model: known once it is lowered."""

from __future__ import annotations

from pipeline.estimate.cost.counts import Detail
from pipeline.estimate.cost.terms import Form
from pipeline.estimate.model import MemoryPlan
from pipeline.firmware.lowering import Call, Lowering, Params, Value
from pipeline.firmware.lowering.values import Enumerator
from pipeline.graph.model import Graph

_INT8 = (-128, 127)
_FORMS = {"Form::kRelu": Form.RELU, "Form::kLinear": Form.LINEAR, "Form::kPlain": Form.PLAIN}


def details(graph: Graph, plan: MemoryPlan) -> dict[int, Detail]:
    """By the index of the operator, for those of which shapes do not tell everything.

    Args:
        graph: With data.
        plan: Its memory plan.

    Raises:
        UsageError: A kernel does not cover an operator.
    """
    lowering = Lowering(graph)
    found: dict[int, Detail] = {}
    for segment in plan.segments:
        for stage in segment.stages:
            call = lowering.call(stage, flat=segment.flat)
            for operator, params in zip(stage.operators, call.params, strict=True):
                found[operator.index] = _detail(call, params)
    return found


def _detail(call: Call, params: Params) -> Detail:
    values: dict[str, Value] = {field.name: field.value for field in params.fields}
    for inner in ("filters", "sum"):
        nested = values.get(inner)
        if isinstance(nested, tuple):
            values.update({field.name: field.value for field in nested})
    bounds = (values.get("output_min", _INT8[0]), values.get("output_max", _INT8[1]))
    form = values.get("form")
    return Detail(
        form=_FORMS[form.name] if isinstance(form, Enumerator) else None,
        clamped=bounds != _INT8,
        reference=call.function == "add_reference",
    )
