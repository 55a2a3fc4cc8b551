"""A model cut off behind one of its tensors: what remains computes that tensor, and gives it as its output.

So any tensor of any model can be had from a device, whatever its memory plan keeps: a tensor that the whole model
overwrites, or never holds in one piece, is there in whole where it is the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.graph.model import Graph, Operator
from pipeline.graph.writer import write


def truncated(graph: Graph, tensor: int) -> bytes:
    """The bytes of a .tflite that computes ``tensor`` of ``graph`` from the same input.

    Operators that the tensor does not depend on are left out, as are tensors that nobody uses then; those that remain
    keep their order, names and quantization, but not their indices.

    Args:
        graph: A model with data.
        tensor: Index of an activation that an operator writes.

    Raises:
        ValueError: No operator writes the tensor, or a constant has no data (a skeleton).
    """
    writers = {index: operator for operator in graph.operators for index in operator.outputs}
    if tensor not in writers:
        raise ValueError(f"no operator writes tensor {tensor}")
    needed: set[int] = set()
    waiting = [writers[tensor]]
    while waiting:
        operator = waiting.pop()
        if operator.index not in needed:
            needed.add(operator.index)
            waiting += [writers[index] for index in operator.inputs if index in writers]
    return _written(graph, [one for one in graph.operators if one.index in needed], graph.inputs, tensor)


def isolated(graph: Graph, operator: Operator, tensor: int) -> bytes | None:
    """The bytes of a .tflite of one operator alone, which takes what the operator reads and gives ``tensor``.

    Args:
        graph: A model with data.
        operator: One of its operators.
        tensor: The output in question.

    Returns:
        None where the operator reads other than one activation: a model has one input.
    """
    read = {index for index in operator.inputs if index is not None and not graph.tensors[index].constant}
    return _written(graph, [operator], tuple(read), tensor) if len(read) == 1 else None


def _written(graph: Graph, operators: Sequence[Operator], inputs: tuple[int, ...], output: int) -> bytes:
    kept = sorted({*inputs, *(index for operator in operators for index in _used(operator))})
    place = {index: number for number, index in enumerate(kept)}
    return write(
        Graph(
            tensors=tuple(replace(graph.tensors[index], index=number) for number, index in enumerate(kept)),
            operators=tuple(_moved(operator, number, place) for number, operator in enumerate(operators)),
            inputs=tuple(place[index] for index in inputs),
            outputs=(place[output],),
        )
    )


def _used(operator: Operator) -> tuple[int, ...]:
    return (*(index for index in operator.inputs if index is not None), *operator.outputs)


def _moved(operator: Operator, number: int, place: dict[int, int]) -> Operator:
    return replace(
        operator,
        index=number,
        inputs=tuple(None if index is None else place[index] for index in operator.inputs),
        outputs=tuple(place[index] for index in operator.outputs),
    )
