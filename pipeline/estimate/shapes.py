"""What has been found out is kept: of a stage for all stages of the same shapes, of a Graph or a segment with it.

The networks of a search are made of the same few hundred layers: what a layer needs, takes and calls is asked for each
of thousands of networks, and its answer is known after the first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from pipeline.graph.model import Operator, Tensor

if TYPE_CHECKING:
    from pipeline.estimate.model import Segment
    from pipeline.estimate.stages import Stage
    from pipeline.graph.model import Graph

_Words = ParamSpec("_Words")
_Fact = TypeVar("_Fact")

#: What is known of a stage, by the function that found it and its arguments.
Known = dict[Hashable, Any]
#: How many different shapes of stages are remembered.
_MOST = 4096


def known_of(tensors: Sequence[Tensor], operators: tuple[Operator, ...]) -> Known:
    """What is known of stages of these operators with these shapes; to be added to."""
    return _known(
        tuple(
            (
                operator.code,
                operator.options,
                tuple(None if index is None else _shape(tensors[index]) for index in operator.inputs),
                tuple(_shape(tensors[index]) for index in operator.outputs),
            )
            for operator in operators
        )
    )


def _shape(tensor: Tensor) -> tuple[tuple[int, ...], str, bool]:
    return tensor.shape, tensor.dtype, tensor.constant


@lru_cache(maxsize=_MOST)
def _known(key: Hashable) -> Known:
    del key
    return {}


def of_shapes(
    function: Callable[Concatenate[Graph, Stage, _Words], _Fact],
) -> Callable[Concatenate[Graph, Stage, _Words], _Fact]:
    """Remember what a function says of a stage; it may look at operators' shapes, types and options, and the block."""

    def remembered(graph: Graph, stage: Stage, /, *args: _Words.args, **kwargs: _Words.kwargs) -> _Fact:
        key = (function, stage.kind, stage.steps, stage.block, *args, *kwargs.values())
        try:
            fact: _Fact = stage.known[key]
        except KeyError:
            fact = stage.known[key] = function(graph, stage, *args, **kwargs)
        return fact

    update_wrapper(remembered, function)
    return remembered


def of_graph(function: Callable[[Graph], _Fact]) -> Callable[[Graph], _Fact]:
    """Remember what a function says of a Graph, as long as that exists; the answer should not refer to the Graph."""

    def remembered(graph: Graph, /) -> _Fact:
        try:
            fact: _Fact = graph.known[function]
        except KeyError:
            fact = graph.known[function] = function(graph)
        return fact

    update_wrapper(remembered, function)
    return remembered


def of_segment(function: Callable[[Graph, Segment], _Fact]) -> Callable[[Graph, Segment], _Fact]:
    """Remember what a function says of a segment, which many plans may have: those of Graphs with the same trunk.

    It may look at the segment's stages, and at the shapes, types and options of their operators.
    """

    def remembered(graph: Graph, segment: Segment, /) -> _Fact:
        try:
            fact: _Fact = segment.known[function]
        except KeyError:
            fact = segment.known[function] = function(graph, segment)
        return fact

    update_wrapper(remembered, function)
    return remembered
