"""Whether a model fits, before anything is built; and if not, by how much, and at which operator it is largest."""

from __future__ import annotations

from pipeline.errors import DoesNotFitError, printable
from pipeline.estimate.kernels import constant_bytes
from pipeline.estimate.model import Estimate, Limits, MemoryPlan
from pipeline.graph.model import Graph, Operator


def demand_fit(graph: Graph, plan: MemoryPlan, figures: Estimate, limits: Limits) -> None:
    """Refuse a model that needs more RAM or flash than there is.

    Args:
        graph: The model.
        plan: Its memory plan, which has the operator at which the activations are largest.
        figures: Its estimate.
        limits: What there is.

    Raises:
        DoesNotFitError: ``does-not-fit``.
    """
    if figures.ram_bytes > limits.ram_bytes:
        peak = _named(graph, graph.operators[plan.peak_operator])
        raise _refusal(
            "RAM", figures.ram_bytes, limits.ram_bytes, f"activations take {plan.arena_bytes:,} B, most at {peak}"
        )
    if figures.flash_bytes > limits.flash_bytes:
        largest = max(graph.operators, key=lambda operator: constant_bytes(graph, operator))
        size = constant_bytes(graph, largest)
        raise _refusal(
            "flash", figures.flash_bytes, limits.flash_bytes, f"most, {size:,} B, is for {_named(graph, largest)}"
        )


def _refusal(what: str, needed: int, limit: int, where: str) -> DoesNotFitError:
    return DoesNotFitError(
        "does-not-fit",
        f"the model needs {needed:,} B of {what}, {needed - limit:,} B more than the limit of {limit:,} B",
        why=f"By estimate; {where}.",
        next=f"Take a smaller model or a bigger board; where --{what.lower()} is the limit, raise it.",
    )


def _named(graph: Graph, operator: Operator) -> str:
    tensor = graph.tensors[operator.outputs[0]]
    return f"operator {operator.index}, {operator.code}, tensor {tensor.index} {printable(tensor.name, 80)!r}"
