"""The memory plan: every byte that is read is its owner's, and the arena is no smaller or larger than is said."""

from __future__ import annotations

import random
from dataclasses import replace

import plan_graphs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_runner import Runner

from pipeline.errors import UsageError
from pipeline.estimate.areas import ALIGNMENT
from pipeline.estimate.features import block_code, expected
from pipeline.estimate.kernels import stage_needs
from pipeline.estimate.model import MemoryPlan, Prefer
from pipeline.estimate.planner import BALANCED, align, plan, spread
from pipeline.estimate.roots import roots
from pipeline.estimate.storage import rows_alive
from pipeline.genotype import ALPHAS, Genotype
from pipeline.graph.filling import filled_bytes
from pipeline.graph.model import Graph, NoOptions, OpCode, Padding
from pipeline.graph.reader import parse
from pipeline.graph.skeleton import from_genotype
from pipeline.search.space import all_data, all_depths


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
    assert found.arena_bytes >= max((segment.peak for segment in found.segments), default=0)
    assert [stage.index for stage in found.stages] == list(range(len(found.stages)))
    Runner(graph, found).run()


def examine(graph: Graph, prefer: Prefer, streamed: bool, limit: int | None) -> None:
    try:
        found = plan(graph, prefer=prefer, streamed_input=streamed, limit=limit)
    except UsageError as error:
        assert streamed and error.id == "input-not-streamable"
        return
    assert found.streams(graph.input.index) is streamed
    check(graph, found)
    assert found.arena_bytes >= found.least


ANY = (plan_graphs.graphs(), st.sampled_from(Prefer), st.booleans(), st.one_of(st.none(), st.integers(1, 4000)))


@given(*ANY)
@settings(max_examples=50)
def test_each_byte_that_is_read_is_its_owner_s(graph: Graph, prefer: Prefer, streamed: bool, limit: int | None) -> None:
    examine(graph, prefer, streamed, limit)


@pytest.mark.slow
@given(plan_graphs.graphs(most=20), *ANY[1:])
@settings(max_examples=200)
def test_each_byte_is_its_owner_s_in_larger_graphs(
    graph: Graph, prefer: Prefer, streamed: bool, limit: int | None
) -> None:
    examine(graph, prefer, streamed, limit)


@given(plan_graphs.graphs())
@settings(max_examples=25)
def test_nothing_is_shared_where_tensors_are_spread(graph: Graph) -> None:
    found = spread(graph)
    Runner(graph, found).run()
    bytes_of = [placement.size for placement in found.placements if placement.alias_of is None]
    assert found.arena_bytes >= sum(bytes_of)


@given(plan_graphs.graphs(), st.booleans())
@settings(max_examples=20)
def test_what_is_preferred_orders_the_arenas(graph: Graph, streamed: bool) -> None:
    try:
        ram = plan(graph, prefer=Prefer.RAM, streamed_input=streamed)
    except UsageError as error:
        assert streamed and error.id == "input-not-streamable"
        return
    flash, balanced, speed = (
        plan(graph, prefer=prefer, streamed_input=streamed) for prefer in (Prefer.FLASH, Prefer.BALANCED, Prefer.SPEED)
    )
    assert block_code(expected(graph, flash)) <= block_code(expected(graph, balanced))
    assert ram.arena_bytes <= 1.02 * balanced.arena_bytes + ALIGNMENT  # To within what the search stops at.
    assert balanced.arena_bytes <= ram.arena_bytes * BALANCED
    assert speed.arena_bytes >= ram.least
    within = plan(graph, prefer=Prefer.SPEED, limit=ram.arena_bytes + 200, streamed_input=streamed)
    assert within.arena_bytes <= ram.arena_bytes + 200


def described(graph: Graph, found: MemoryPlan) -> list[object]:
    """Everything about a plan but the numbering of tensors."""
    return [
        found.arena_bytes,
        found.least,
        found.peak_operator,
        sorted((p.offset, p.size, p.first, p.last, p.ring or 0) for p in found.placements),
        [
            (
                s.flat,
                s.peak,
                s.scratch,
                s.scratch_bytes,
                s.sums,
                [(x.index, x.name, x.steps, x.block) for x in s.stages],
            )
            for s in found.segments
        ],
    ]


def some(count: int, seed: int, *, widest: float = 1.0) -> list[Genotype]:
    rng = random.Random(seed)
    alphas = [alpha for alpha in ALPHAS if alpha <= widest]
    return [
        Genotype(rng.choice(list(all_data())), rng.choice(list(all_depths())), rng.choice(alphas)) for _ in range(count)
    ]


@pytest.mark.parametrize("genotype", some(6, 1, widest=0.2), ids=lambda genotype: genotype.id)
def test_a_genotype_and_its_model_have_one_plan(genotype: Genotype) -> None:
    skeleton = from_genotype(genotype, 2)
    model = parse(filled_bytes(skeleton, seed=1))
    assert described(model, plan(model)) == described(skeleton, plan(skeleton))


@pytest.mark.slow
def test_many_genotypes_and_their_models_have_one_plan() -> None:
    for genotype in some(500, 2, widest=0.3):
        skeleton = from_genotype(genotype, 2)
        model = parse(filled_bytes(skeleton, seed=1))
        prefer = (Prefer.BALANCED, Prefer.SPEED)[genotype.depths[0] % 2]
        assert described(model, plan(model, prefer=prefer)) == described(skeleton, plan(skeleton, prefer=prefer))


@pytest.mark.parametrize("name", ["32-mono-d00000-a01", "32-mono-d11121-a01"])
@pytest.mark.parametrize("streamed", [False, True])
def test_each_byte_is_its_owner_s_in_networks_of_the_search(name: str, streamed: bool) -> None:
    graph = from_genotype(Genotype.parse(name), 2)
    for prefer in Prefer:
        check(graph, plan(graph, prefer=prefer, streamed_input=streamed))


@pytest.mark.slow
@pytest.mark.parametrize("genotype", some(5, 3, widest=0.4), ids=lambda genotype: genotype.id)
def test_each_byte_is_its_owner_s_in_many_networks_of_the_search(genotype: Genotype) -> None:
    graph = from_genotype(Genotype(list(all_data())[genotype.depths[1] % 4], genotype.depths, genotype.alpha), 2)
    for prefer in (Prefer.RAM, Prefer.BALANCED):
        for streamed in (False, True):
            check(graph, plan(graph, prefer=prefer, streamed_input=streamed))


def test_a_convolution_with_large_windows_makes_fewer_pixels_at_a_time_where_that_saves_ram() -> None:
    sketch = plan_graphs.Sketch((1, 8, 8, 64))
    x = 0
    for _ in range(3):
        x = sketch.window(OpCode.CONV_2D, x, 64, (3, 3), (1, 1), Padding.SAME)
    graph = sketch.finish(x)
    ram, speed = (plan(graph, prefer=prefer) for prefer in (Prefer.RAM, Prefer.SPEED))
    assert max(stage.block for stage in speed.stages) == 4
    assert min(stage.block for stage in ram.stages) < 4
    assert ram.arena_bytes < 0.9 * speed.arena_bytes
    check(graph, ram)


def test_a_stride_that_the_schedule_cannot_hold_is_not_fused() -> None:
    sketch = plan_graphs.Sketch((1, 600, 1, 1))
    wide = sketch.window(OpCode.CONV_2D, 0, 4, (3, 1), (1, 1), Padding.SAME)
    far = sketch.window(OpCode.MAX_POOL_2D, wide, 4, (3, 1), (300, 1), Padding.SAME)
    graph = sketch.finish(sketch.operator(OpCode.RELU, (far,), sketch.shape(far), NoOptions()))
    check(graph, plan(graph, prefer=Prefer.RAM))


def test_segments_of_many_stages_stay_within_the_schedule() -> None:
    sketch = plan_graphs.Sketch((1, 6, 6, 2))
    x = 0
    for _ in range(270):
        x = sketch.window(OpCode.DEPTHWISE_CONV_2D, x, 2, (1, 1), (1, 1), Padding.SAME)
    graph = sketch.finish(x)
    found = plan(graph)
    assert max(len(segment.stages) for segment in found.segments) <= 250
    check(graph, found)


def test_an_input_that_arrives_by_rows_is_not_taken_for_one_long_row() -> None:
    """Even where a ring saves nothing."""
    sketch = plan_graphs.Sketch((1, 2, 1, 1))
    graph = sketch.finish(sketch.pointwise(0, 1))
    found = plan(graph, streamed_input=True)
    assert not found.segments[0].flat
    check(graph, found)


def test_a_reshape_alone_gives_out_the_input() -> None:
    sketch = plan_graphs.Sketch((1, 2, 2, 3))
    graph = sketch.finish(sketch.reshape(0, (1, 12)))
    found = plan(graph)
    assert found.offset(graph.outputs[0]) == found.offset(0) and not found.stages


def test_a_constant_has_no_place() -> None:
    graph = from_genotype(Genotype.parse("32-mono-d00000-a01"), 2)
    weights = graph.operators[0].inputs[1]
    assert weights is not None
    with pytest.raises(KeyError):
        plan(graph).offset(weights)


def test_reading_before_writing_is_refused() -> None:
    sketch = plan_graphs.Sketch((1, 4, 4, 2))
    later = sketch.activation((1, 4, 4, 2))
    sketch.operator(OpCode.ADD, (0, later), (1, 4, 4, 2), NoOptions())
    with pytest.raises(UsageError) as caught:
        plan(sketch.finish(later))
    assert caught.value.id == "unsupported-tensor"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("prefer", [Prefer.BALANCED, Prefer.FLASH])
def test_what_is_remembered_of_a_trunk_changes_no_plan(prefer: Prefer, streamed: bool) -> None:
    """Plans of networks in any order are those of the same networks without a trunk."""
    for genotype in some(12, 4 + streamed):
        graph = from_genotype(genotype, 2)
        for limit in (None, 60_000):
            found = plan(graph, prefer=prefer, limit=limit, streamed_input=streamed)
            alone = plan(replace(graph, trunk=None), prefer=prefer, limit=limit, streamed_input=streamed)
            assert found == alone


@pytest.mark.slow
def test_what_is_remembered_of_trunks_changes_no_plan_of_many_networks() -> None:
    for genotype in some(300, 6):
        graph = from_genotype(genotype, 2)
        prefer = list(Prefer)[genotype.depths[0]]
        assert plan(graph, prefer=prefer) == plan(replace(graph, trunk=None), prefer=prefer)
