"""The memory plan: nothing that lives at one time shares a byte, and the arena is no smaller than it must be."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.estimate.model import ALIGNMENT, MemoryPlan
from pipeline.estimate.planner import align, plan
from pipeline.genotype import Genotype
from pipeline.graph.model import ALIASES, ActivationOptions, DType, Graph, NoOptions, OpCode, Operator, Tensor
from pipeline.graph.skeleton import from_genotype


def _graph(sizes: list[int], wiring: list[tuple[OpCode, tuple[int, ...]]]) -> Graph:
    """Tensor 0 is the input; operator i writes tensor i + 1, an alias's as large as its input."""
    shapes = list(sizes)
    operators = []
    for index, (code, inputs) in enumerate(wiring):
        if code in ALIASES:
            shapes[index + 1] = shapes[inputs[0]]
        options = NoOptions() if code in ALIASES else ActivationOptions()
        operators.append(Operator(index, code, 1, inputs, (index + 1,), options))
    tensors = tuple(Tensor(i, f"t{i}", (1, size), DType.INT8, None, constant=False) for i, size in enumerate(shapes))
    return Graph(tensors, tuple(operators), (0,), (len(wiring),))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(1, 25))
    sizes = draw(st.lists(st.integers(1, 5000), min_size=count + 1, max_size=count + 1))
    wiring: list[tuple[OpCode, tuple[int, ...]]] = []
    for index in range(count):
        code = draw(st.sampled_from([OpCode.ADD, OpCode.CONV_2D, OpCode.RESHAPE, OpCode.SQUEEZE]))
        picked = draw(st.lists(st.integers(0, index), min_size=1, max_size=2))
        wiring.append((code, tuple(picked if code is OpCode.ADD else picked[:1])))
    return _graph(sizes, wiring)


def _needs(graph: Graph) -> dict[int, tuple[int, int, int]]:
    """(root, first, last) of each activation, worked out another way than the planner does: by asking each operator."""
    root = {0: 0}
    for operator in graph.operators:
        source = operator.inputs[0]
        assert source is not None
        root[operator.outputs[0]] = root[source] if operator.code in ALIASES else operator.outputs[0]
    alive: dict[int, list[int]] = {index: [] for index in root}
    writers = {operator.outputs[0]: operator.index for operator in graph.operators}
    for index, shared in root.items():
        start = writers.get(index, 0)
        reads = [o.index for o in graph.operators if index in o.inputs]
        stop = len(graph.operators) - 1 if index in graph.outputs else max([start, *reads])
        alive[shared] += [start, stop]
    return {index: (shared, min(alive[shared]), max(alive[shared])) for index, shared in root.items()}


def _check(graph: Graph, found: MemoryPlan) -> None:
    needs = _needs(graph)
    placements = {placement.tensor: placement for placement in found.placements}
    assert set(placements) == set(needs)
    for placement in found.placements:
        root, first, last = needs[placement.tensor]
        assert (placement.first, placement.last) == (first, last)
        assert placement.size == graph.tensors[placement.tensor].nbytes
        assert placement.offset % ALIGNMENT == 0
        assert 0 <= placement.offset <= placement.offset + placement.size <= found.arena_bytes
        assert placement.alias_of == (None if root == placement.tensor else root)
        assert placement.offset == placements[root].offset
    for a, b in itertools.combinations(found.placements, 2):
        together = a.first <= b.last and b.first <= a.last and needs[a.tensor][0] != needs[b.tensor][0]
        if together:
            assert a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
    bound = max(
        sum(align(p.size) for p in found.placements if p.alias_of is None and p.first <= now <= p.last)
        for now in range(len(graph.operators))
    )
    assert found.arena_bytes >= bound
    assert found.arena_bytes <= sum(align(p.size) for p in found.placements if p.alias_of is None)
    at_peak = sum(
        align(p.size) for p in found.placements if p.alias_of is None and p.first <= found.peak_operator <= p.last
    )
    assert at_peak == bound


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_live_tensors_never_overlap(graph: Graph) -> None:
    _check(graph, plan(graph))


@pytest.mark.parametrize("name", ["32-mono-d00000-a01", "96-rgb-d32100-a03", "224-rgb-d34331-a10"])
def test_networks_of_the_search_space(name: str) -> None:
    graph = from_genotype(Genotype.parse(name), 2)
    _check(graph, plan(graph))


def test_the_input_lives_from_operator_0_and_is_overwritten_after_its_last_reader() -> None:
    found = plan(_graph([64, 16, 64], [(OpCode.CONV_2D, (0,)), (OpCode.CONV_2D, (1,))]))
    assert found.arena_bytes == 80
    assert found.offset(0) == found.offset(2)


def test_the_output_lives_to_the_end() -> None:
    # Operator 1 is dead code, behind the output's writer.
    tensors = tuple(Tensor(i, "", (1, 32), DType.INT8, None, constant=False) for i in range(3))
    operators = tuple(Operator(i, OpCode.CONV_2D, 1, (0,), (i + 1,), ActivationOptions()) for i in range(2))
    found = plan(Graph(tensors, operators, (0,), (1,)))
    assert found.offset(2) not in (found.offset(0), found.offset(1))


def test_a_reshape_shares_its_inputs_bytes_and_keeps_them_alive() -> None:
    graph = _graph(
        [16, 32, 0, 64, 32],
        [(OpCode.CONV_2D, (0,)), (OpCode.RESHAPE, (1,)), (OpCode.CONV_2D, (0,)), (OpCode.ADD, (2, 3))],
    )
    found = plan(graph)
    assert found.offset(1) == found.offset(2)
    assert {p.tensor: p.alias_of for p in found.placements}[2] == 1
    _check(graph, found)


def test_the_second_order_wins_where_it_is_lower() -> None:
    """By size alone, tensor 0 pushes tensor 1 into a place that splits what tensor 4 needs: 160 bytes."""
    reads = [(0, 0), (1, 0), (2, 2), (3, 3)]
    found = plan(_graph([80, 48, 16, 48, 96], [(OpCode.ADD, inputs) for inputs in reads]))
    assert found.arena_bytes == 144


def test_a_constant_has_no_place() -> None:
    graph = from_genotype(Genotype.parse("32-mono-d00000-a01"), 2)
    weights = graph.operators[0].inputs[1]
    assert weights is not None
    with pytest.raises(KeyError):
        plan(graph).offset(weights)


def test_reading_before_writing_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        plan(_graph([16, 16, 16], [(OpCode.CONV_2D, (2,)), (OpCode.CONV_2D, (1,))]))
    assert caught.value.id == "unsupported-tensor"
