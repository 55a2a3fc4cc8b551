"""What is remembered of shapes and Graphs."""

from __future__ import annotations

import gc
import weakref

import plan_graphs
import pytest

from pipeline.estimate.instructions import instructions
from pipeline.estimate.planner import plan
from pipeline.estimate.roots import roots
from pipeline.estimate.stages import stages
from pipeline.estimate.storage import stores
from pipeline.genotype import Genotype
from pipeline.graph.model import Graph, OpCode, Padding
from pipeline.graph.skeleton import from_genotype


def _convolution(channels: int, kernel: int = 1) -> Graph:
    sketch = plan_graphs.Sketch((1, 8, 8, 3))
    return sketch.finish(sketch.window(OpCode.CONV_2D, 0, channels, (kernel, kernel), (1, 1), Padding.SAME))


def test_stages_of_the_same_shapes_know_the_same_and_others_do_not() -> None:
    (one,), (same,), (other,), (wider,) = map(
        stages, (_convolution(4), _convolution(4), _convolution(5), _convolution(4, 3))
    )
    assert one.known is same.known
    assert one.known is not other.known and one.known is not wider.known
    costs = [instructions(graph, stages(graph)[0], flat=flat) for graph in (_convolution(4),) for flat in (True, False)]
    assert costs[0] < costs[1], "both are remembered, each for itself"


def test_a_graph_is_not_kept_for_what_is_known_of_it() -> None:
    graph = _convolution(4)
    plan(graph)
    gone = weakref.ref(graph)
    del graph
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("name", ["32-mono-d00000-a01", "32-rgb-d11121-a03", "96-rgb-d23310-a10"])
def test_a_trunk_s_stages_and_stores_are_the_first(name: str) -> None:
    graph = from_genotype(Genotype.parse(name), 2)
    trunk = graph.trunk
    assert trunk is not None
    bare = Graph(graph.tensors, graph.operators, graph.inputs, graph.outputs)
    assert (stages(graph), roots(graph), stores(graph)) == (stages(bare), roots(bare), stores(bare))
    assert stages(graph)[: len(stages(trunk))] == stages(trunk)
    *first, _ = stores(trunk)
    assert stores(graph)[: len(first)] == tuple(first)
