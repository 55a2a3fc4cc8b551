"""The memory plan: every byte that is read is its owner's, and the arena is no smaller or larger than is said."""

from __future__ import annotations

import plan_graphs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_runner import Runner

from pipeline.errors import UsageError
from pipeline.estimate.kernels import stage_needs
from pipeline.estimate.model import ALIGNMENT, MemoryPlan, Prefer
from pipeline.estimate.planner import BALANCED, align, plan, spread
from pipeline.estimate.stages import roots
from pipeline.estimate.storage import rows_alive
from pipeline.graph.model import Graph


def check(graph: Graph, found: MemoryPlan) -> None:
    """All that is true of any plan."""
    made = {output for stage in found.stages for output in stage.outputs} | set(graph.inputs)
    assert {placement.tensor for placement in found.placements} == {
        n for n, root in roots(graph).items() if root in made
    }
    ends = [placement.offset + placement.size for placement in found.placements]
    for placement in found.placements:
        assert placement.offset % ALIGNMENT == 0 and placement.offset >= 0
        assert placement.ring is not None or placement.size == graph.tensors[placement.tensor].nbytes
    rings = {placement.tensor: placement.ring for placement in found.placements}
    for segment in found.segments:
        needs = [stage_needs(graph, stage) for stage in segment.stages]
        assert segment.scratch_bytes == max(need.scratch for need in needs)
        assert segment.sums_bytes == sum(need.sums for need in needs)
        assert segment.scratch % ALIGNMENT == segment.sums % ALIGNMENT == 0
        ends += [segment.scratch + segment.scratch_bytes, segment.sums + segment.sums_bytes]
        for tensor, alive in rows_alive(segment.stages).items():
            assert alive <= (rings[tensor] or alive)
    assert found.arena_bytes == align(max(ends))
    assert [stage.index for stage in found.stages] == list(range(len(found.stages)))
    Runner(graph, found).run()


@given(plan_graphs.graphs(), st.sampled_from(Prefer), st.booleans(), st.one_of(st.none(), st.integers(1, 4000)))
@settings(max_examples=150, deadline=None)
def test_each_byte_that_is_read_is_its_owner_s(graph: Graph, prefer: Prefer, streamed: bool, limit: int | None) -> None:
    try:
        found = plan(graph, prefer=prefer, streamed_input=streamed, limit=limit)
    except UsageError as error:
        assert streamed and error.id == "input-not-streamable"
        return
    assert found.streams(graph.input.index) is streamed
    check(graph, found)
    assert max((segment.peak for segment in found.segments), default=0) <= found.arena_bytes
    assert found.arena_bytes >= found.least
