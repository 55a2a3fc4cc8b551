"""Which activations are the same bytes: RESHAPE and SQUEEZE move nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import UsageError, printable
from pipeline.estimate.shapes import of_graph
from pipeline.graph.model import ALIASES, Graph, Operator


@of_graph
def roots(graph: Graph) -> Mapping[int, int]:
    """For each activation the one whose bytes it is: itself, but for RESHAPE and SQUEEZE.

    Raises:
        UsageError: ``unsupported-tensor`` for an activation that is read before it is written, ``shape-mismatch``
            for one that RESHAPE or SQUEEZE cannot make of its input.
    """
    trunk = graph.trunk
    found = {index: index for index in graph.inputs} if trunk is None else dict(roots(trunk))
    done = 0 if trunk is None else len(trunk.operators)
    for position, operator in enumerate(graph.operators[done:], done):
        for index in operator.inputs:
            if index is not None and index not in found and not graph.tensors[index].constant:
                raise UsageError(
                    "unsupported-tensor",
                    f"tensor {index} of operator {position}, {operator.code}: read before it is written",
                    next="Convert the model again.",
                )
        for index in operator.outputs:
            found[index] = _alias(graph, operator, found) if operator.code in ALIASES else index
    return found


def _alias(graph: Graph, operator: Operator, found: dict[int, int]) -> int:
    """The root of what RESHAPE or SQUEEZE makes: its input's."""
    source, output = operator.inputs[0], graph.tensors[operator.outputs[0]]
    if source is None or source not in found:
        return output.index
    given = graph.tensors[source]
    if (given.nbytes, given.dtype) != (output.nbytes, output.dtype):
        raise UsageError(
            "shape-mismatch",
            f"the shapes of operator {operator.index} ({operator.code}, version {operator.version}) do not match",
            why=f"Tensor {output.index} '{printable(output.name)}' is {output.shape}, made of {given.shape}.",
            next="Export the model again; the file is damaged or inconsistent.",
        )
    return found[source]
