"""Which activations are the same bytes: RESHAPE and SQUEEZE move nothing."""

from __future__ import annotations

from pipeline.errors import UsageError
from pipeline.graph.model import ALIASES, Graph


def roots(graph: Graph) -> dict[int, int]:
    """For each activation the one whose bytes it is: itself, but for RESHAPE and SQUEEZE.

    Raises:
        UsageError: ``unsupported-tensor`` for an activation that is read before it is written.
    """
    found = {index: index for index in graph.inputs}
    for position, operator in enumerate(graph.operators):
        for index in operator.inputs:
            if index is not None and index not in found and not graph.tensors[index].constant:
                raise UsageError(
                    "unsupported-tensor",
                    f"tensor {index} of operator {position}, {operator.code}: read before it is written",
                    next="Convert the model again.",
                )
        source = operator.inputs[0]
        for index in operator.outputs:
            found[index] = found.get(source, index) if operator.code in ALIASES and source is not None else index
    return found
