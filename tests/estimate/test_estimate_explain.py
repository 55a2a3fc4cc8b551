"""Why a plan is as it is: what is alive adds up, and what other cuts would have cost is true."""

from __future__ import annotations

import plan_graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.estimate.explain import explain
from pipeline.estimate.memory_map import Use
from pipeline.estimate.model import Prefer
from pipeline.estimate.planner import plan
from pipeline.genotype import Genotype
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype


@given(plan_graphs.graphs(), st.sampled_from(Prefer), st.booleans())
@settings(max_examples=30)
def test_what_is_alive_adds_up_to_the_peak(graph: Graph, prefer: Prefer, streamed: bool) -> None:
    try:
        found = plan(graph, prefer=prefer, streamed_input=streamed)
    except UsageError as error:
        assert streamed and error.id == "input-not-streamable"
        return
    explained = explain(graph, found, streamed_input=streamed)
    assert all((part.alone or 0) < 1 << 40 and (part.fused or 0) < 1 << 40 for part in explained)
    assert [part.peak for part in explained] == [segment.peak for segment in found.segments]
    for part in explained:
        assert sum(alive.nbytes for alive in part.alive) == part.peak
        assert part.reasons
    assert [index for part in explained for index, _ in part.operators] == [
        operator.index for stage in found.stages for operator in stage.operators
    ]


def test_a_mobilenet_names_its_peak_its_rings_and_the_other_cuts() -> None:
    graph = from_genotype(Genotype.parse("96-rgb-d32100-a03"), 2)
    found = plan(graph, prefer=Prefer.RAM)
    explained = explain(graph, found)
    (highest,) = {part.peak for part in explained if part.highest}
    assert highest == max(segment.peak for segment in found.segments)
    fused = [part for part in explained if len(part.operators) > 2]
    assert any(alive.use is Use.RING for part in fused for alive in part.alive)
    # What runs row by row would need more if it did not.
    assert any(part.alone is not None and part.alone > part.peak for part in fused)
    assert any(part.fused is not None and part.fused > found.arena_bytes for part in explained)
    assert "one by one" in next(part for part in explained if part.alone is not None).reasons[0]


def test_a_reshape_alone_has_no_segments() -> None:
    sketch = plan_graphs.Sketch((1, 2, 2, 3))
    graph = sketch.finish(sketch.reshape(0, (1, 12)))
    assert explain(graph, plan(graph)) == ()
