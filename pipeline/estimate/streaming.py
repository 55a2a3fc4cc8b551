"""Which models can take their input row by row, and why others cannot."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import UsageError, printable
from pipeline.estimate.stages import Stage, StageKind
from pipeline.estimate.storage import Store
from pipeline.graph.model import Graph


def demand_streamable(graph: Graph, stages: Sequence[Stage], stores: Sequence[Store]) -> None:
    """Refuse a model that needs its input in whole.

    Raises:
        UsageError: ``input-not-streamable`` with the operator that needs it.
    """
    why = _obstacle(graph, stages, stores)
    if why is not None:
        raise not_streamable(graph, why)


def not_streamable(graph: Graph, why: str) -> UsageError:
    """The error of a model that needs its input in whole."""
    return UsageError(
        "input-not-streamable",
        f"the input '{printable(graph.input.name)}' cannot be streamed",
        why=why,
        next="Leave out --input streamed: the input is then kept in whole.",
    )


def _obstacle(graph: Graph, stages: Sequence[Stage], stores: Sequence[Store]) -> str | None:
    tensor = graph.input
    store = next(store for store in stores if tensor.index in store.tensors)
    readers = [stage for stage in stages if any(feed.tensor in store.tensors for feed in stage.feeds)]
    if store.last >= len(stages):
        return "It is the model's output as well."
    if not readers:
        return "No operator reads it."
    if store.rows < 2:
        return f"It has no rows: its shape is {list(tensor.shape)}."
    return _hungry(store, readers)


def _hungry(store: Store, readers: Sequence[Stage]) -> str | None:
    """The reader that needs more than a few rows, and for what."""
    whole = next((stage for stage in readers if stage.kind is StageKind.WHOLE), None)
    reader = readers[-1] if whole is None else whole
    who = f"Operator {reader.operators[0].index}, {reader.name},"
    if whole is not None:
        return f"{who} needs all of it before it can begin."
    if not store.ring:
        return f"{who} reads it again after something was made of all of it, or under another shape."
    return f"{who} needs all {store.rows} rows of it at once." if store.ring >= store.rows else None
