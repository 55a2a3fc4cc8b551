"""The buffers that the arena's head holds, and when each lives.

Scope 0 is the model's input alone, each operator has the next one (source: micro_allocation_info.cc). The interpreter
writes nothing over its input: RESHAPE is a copy.
"""

from __future__ import annotations

from pipeline.estimate.tflm import scratch
from pipeline.estimate.tflm.planner import Buffer
from pipeline.estimate.tflm.scratch import Extension
from pipeline.graph.model import Graph


def buffers(graph: Graph, extension: Extension | None) -> list[Buffer]:
    """What is placed, in the order in which the planner is told; ``extension`` is None for the reference kernels."""
    return [*_activations(graph), *_scratch(graph, extension)]


def _activations(graph: Graph) -> list[Buffer]:
    """One buffer a tensor that has no data, by rising index."""
    lives = {index: Buffer(index, graph.tensors[index].nbytes, 0, 0) for index in graph.inputs}
    for operator in graph.operators:
        scope = operator.index + 1
        for index in operator.outputs:
            lives.setdefault(index, Buffer(index, graph.tensors[index].nbytes, scope, scope)).last = scope
        for source in operator.inputs:
            if source is not None and source in lives:
                lives[source].last = scope
    for index in graph.outputs:
        if index in lives:
            lives[index].last = len(graph.operators)
    return [lives[index] for index in sorted(lives)]


def _scratch(graph: Graph, extension: Extension | None) -> list[Buffer]:
    """What kernels ask for, in the order in which they ask; each lives while its operator runs."""
    return [
        Buffer(-1, size, operator.index + 1, operator.index + 1)
        for operator in graph.operators
        for size in scratch.of_operator(graph, operator, extension)
    ]
