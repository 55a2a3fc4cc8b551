"""The published formulas for RAM and flash, to stand beside our own estimate of the same network.

arXiv 2502.12690 scores a candidate with::

    RAM   = max(input, max over layers (inputs of the layer + outputs of the layer))
    flash = parameters

where an activation and a parameter take one byte an element. What a layer is, the paper leaves to the framework. Here
each operator of the model is one: a convolution, a depthwise convolution and an addition are three layers, and an
addition has two inputs, which count both. An activation function or a batch normalization that the converter has
folded is no layer any more. Parameters are the elements of all weights and biases of the converted model; shapes, axes
and paddings, which a .tflite holds as constants too, are none.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.graph.model import Graph, OpCode, Operator

SOURCE = "arXiv 2502.12690"

#: Operators whose constant inputs are weights.
_WEIGHTED = (
    OpCode.CONV_2D,
    OpCode.DEPTHWISE_CONV_2D,
    OpCode.FULLY_CONNECTED,
    OpCode.ADD,
    OpCode.SUB,
    OpCode.MUL,
    OpCode.CONCATENATION,
)


@dataclass(frozen=True)
class Published:
    """What the published formulas give, in bytes; ``operator`` is the layer that decides, None where the input does."""

    ram_bytes: int
    flash_bytes: int
    operator: int | None


def published(graph: Graph) -> Published:
    """The formulas on a Graph; one without data will do."""
    ram, decides = graph.input.elements, None
    for operator in graph.operators:
        size = _activations(graph, operator)
        if size > ram:
            ram, decides = size, operator.index
    weights = {
        index
        for operator in graph.operators
        if operator.code in _WEIGHTED
        for index in operator.inputs
        if index is not None and graph.tensors[index].constant
    }
    return Published(ram, sum(graph.tensors[index].elements for index in weights), decides)


def _activations(graph: Graph, operator: Operator) -> int:
    """Elements of all that a layer reads and makes; what it reads twice is there once."""
    there = {index for index in (*operator.inputs, *operator.outputs) if index is not None}
    return sum(graph.tensors[index].elements for index in there if not graph.tensors[index].constant)


def percent(value: int, of: int) -> float:
    """How far ``value`` is from ``of``, in percent of that; 0 where both are 0.

    Raises:
        ZeroDivisionError: Only ``of`` is 0.
    """
    return 0.0 if value == of else 100 * (value - of) / of
