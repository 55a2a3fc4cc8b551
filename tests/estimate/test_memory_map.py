"""The memory map says of each moment what the plan says, for both engines."""

from __future__ import annotations

from itertools import pairwise

import plan_graphs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.estimate import tflm
from pipeline.estimate.memory_map import MemoryMap, Use, memory_map
from pipeline.estimate.model import Prefer
from pipeline.estimate.planner import plan, spread
from pipeline.estimate.ram import arena_parts
from pipeline.estimate.tflm_map import interpreter_map
from pipeline.genotype import Genotype
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype

GRAPH = from_genotype(Genotype.parse("96-rgb-d32100-a03"), 2)


def _is_sound(found: MemoryMap) -> None:
    for buffer in found.buffers:
        assert 0 <= buffer.offset < buffer.end <= found.arena_bytes
        assert 0 <= buffer.first <= buffer.last < len(found.moments)
    for number, moment in enumerate(found.moments):
        covered: set[int] = set()
        for buffer in found.alive(number):
            covered.update(range(buffer.offset, buffer.end))
        assert moment.alive == len(covered)
        assert moment.gaps == found.arena_bytes - moment.alive
    assert found.moments[found.peak].alive == max(moment.alive for moment in found.moments)


@given(plan_graphs.graphs(), st.sampled_from(Prefer))
@settings(max_examples=15)
def test_a_moment_has_the_peak_of_its_segment(graph: Graph, prefer: Prefer) -> None:
    made = plan(graph, prefer=prefer)
    found = memory_map(graph, made)
    _is_sound(found)
    if made.segments:
        assert [moment.alive for moment in found.moments] == [segment.peak for segment in made.segments]
        assert made.peak_operator in {index for index, _ in found.moments[found.peak].operators}
    assert {index for buffer in found.buffers for index in buffer.tensors} == {p.tensor for p in made.placements}


def test_the_peak_has_the_parts_that_the_estimate_has() -> None:
    made = plan(GRAPH)
    found = memory_map(GRAPH, made)
    parts = {part.name: part.bytes for part in arena_parts(made)}
    assert found.moments[found.peak].gaps == parts["gaps"]
    rings = [buffer for buffer in found.buffers if buffer.use is Use.RING]
    assert rings and all(buffer.rows is not None and buffer.rows[0] <= buffer.rows[1] for buffer in rings)


def test_where_nothing_runs_there_is_one_empty_moment() -> None:
    sketch = plan_graphs.Sketch((1, 2, 2, 3))
    graph = sketch.finish(sketch.reshape(0, (1, 12)))
    found = memory_map(graph, spread(graph))
    _is_sound(found)
    assert [moment.label for moment in found.moments] == ["nothing runs"]
    assert found.buffers[0].tensors == (0, 1), "the bytes of a RESHAPE have two names"


@pytest.mark.parametrize("kernels", ["reference", "cmsis_nn"])
def test_the_interpreters_map_is_its_arena(kernels: tflm.Kernels) -> None:
    made, arena = tflm.plan(GRAPH, kernels), tflm.arena(GRAPH, kernels)
    found = interpreter_map(GRAPH, made, kernels)
    _is_sound(found)
    assert [moment.operators[0][0] for moment in found.moments] == [operator.index for operator in GRAPH.operators]
    (persistent,) = (buffer for buffer in found.buffers if buffer.use is Use.PERSISTENT)
    assert (persistent.nbytes, persistent.end) == (arena.tail, made.arena_bytes)
    assert max(buffer.end for buffer in found.buffers if buffer is not persistent) == arena.head
    assert any(buffer.use is Use.SCRATCH for buffer in found.buffers)
    for number in range(len(found.moments)):
        for below, above in pairwise(found.alive(number)):
            assert below.end <= above.offset, "the interpreter never shares bytes"
