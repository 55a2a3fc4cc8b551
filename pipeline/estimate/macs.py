"""Multiply-accumulates of a Graph: those of convolutions and dense layers, taps on padding included."""

from __future__ import annotations

from pipeline.estimate.shapes import of_graph
from pipeline.graph.model import Graph, OpCode, Operator, Tensor


@of_graph
def macs(graph: Graph) -> int:
    """Multiply-accumulates of one inference."""
    done, of_trunk = (0, 0) if graph.trunk is None else (len(graph.trunk.operators), macs(graph.trunk))
    return of_trunk + sum(operator_macs(graph.tensors, operator) for operator in graph.operators[done:])


def operator_macs(tensors: tuple[Tensor, ...], operator: Operator) -> int:
    """Multiply-accumulates of one operator; 0 for those that have no weights."""
    if operator.code not in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED):
        return 0
    index = operator.inputs[1]
    if index is None:
        return 0
    weights, output = tensors[index], tensors[operator.outputs[0]]
    # Each output element sums over a filter: of CONV_2D and FULLY_CONNECTED the weights of one output channel, of
    # DEPTHWISE_CONV_2D the kernel's height × width.
    return output.elements * (weights.elements // output.shape[-1])
