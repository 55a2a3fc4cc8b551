"""The interpreter's arena, as it is planned here and as it was measured."""

from __future__ import annotations

import importlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.boards import Board
from pipeline.errors import UsageError
from pipeline.estimate import tflm
from pipeline.estimate.tflm import programs
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.model import ActivationOptions, DType, Graph, NoOptions, OpCode, Operator, Tensor
from pipeline.graph.skeleton import from_genotype

KERNELS: tuple[tflm.Kernels, ...] = ("reference", "cmsis_nn")
BENCHMARKS = Path(__file__).resolve().parent.parent.parent / "benchmarks"
#: Total, head and tail of each model, as the ``tflite-micro`` package reports them.
REPORTS = json.loads(Path(__file__).with_name("tflm_reports.json").read_text(encoding="utf-8"))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/estimates_tflm.py as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("estimates_tflm")


def test_head_and_total_are_what_the_package_reported(bench: Any) -> None:
    """Single operators and networks, with the host's sizes of structures."""
    found = {name: tflm.arena(graph, "reference", sizes=tflm.HOST) for name, _, graph in bench.models()}
    assert {name: [made.total, made.head, made.tail] for name, made in found.items()} == REPORTS
    assert len(REPORTS) >= 20


@pytest.mark.slow
def test_the_package_still_reports_that(bench: Any) -> None:
    pytest.importorskip("tflite_micro", reason="the tflite-micro package is not installed")
    assert bench.reports() == REPORTS


@pytest.mark.parametrize("name", ["32-mono-d34331-a01", "64-rgb-d21000-a03"])
def test_a_genotypes_shapes_give_the_arena_of_its_network(name: str) -> None:
    skeleton = from_genotype(Genotype.parse(name), 3)
    graph = filled(skeleton, seed=0)
    for kernels, sizes in itertools.product(KERNELS, (tflm.CORTEX_M, tflm.HOST)):
        blind, seen = (tflm.arena(one, kernels, sizes=sizes) for one in (skeleton, graph))
        assert (blind.head, blind.tail, blind.bytes) == (seen.head, seen.tail, seen.bytes)


def test_a_wide_dense_layer_needs_more_to_start_than_to_run() -> None:
    """Its kernel has a description of every channel while it prepares."""
    shapes = [((1, 64), False), ((640, 64), True), ((640,), True), ((1, 640), False)]
    tensors = tuple(Tensor(i, f"t{i}", shape, DType.INT8, None, fixed) for i, (shape, fixed) in enumerate(shapes))
    dense = Operator(0, OpCode.FULLY_CONNECTED, 4, (0, 1, 2), (3,), ActivationOptions())
    made = tflm.arena(Graph(tensors, (dense,), (0,), (3,)), "reference")
    assert made.total < made.starting <= made.bytes < made.starting + 16
    assert made.starting > 2 * 4 * 640 + 2 * 4 * 640


def _graph(sizes: list[int], wiring: list[tuple[OpCode, tuple[int, ...]]]) -> Graph:
    """Tensor 0 is the input; operator i writes tensor i + 1."""
    operators = tuple(
        Operator(i, code, 1, inputs, (i + 1,), NoOptions() if code is OpCode.RESHAPE else ActivationOptions())
        for i, (code, inputs) in enumerate(wiring)
    )
    tensors = tuple(Tensor(i, f"t{i}", (1, size), DType.INT8, None, constant=False) for i, size in enumerate(sizes))
    return Graph(tensors, operators, (0,), (len(wiring),))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(1, 20))
    sizes = draw(st.lists(st.integers(1, 3000), min_size=count + 1, max_size=count + 1))
    wiring = [
        (
            draw(st.sampled_from([OpCode.ADD, OpCode.RESHAPE])),
            tuple(draw(st.lists(st.integers(0, index), min_size=1, max_size=2))),
        )
        for index in range(count)
    ]
    return _graph(sizes, wiring)


@settings(max_examples=60)
@given(graphs(), st.sampled_from(KERNELS))
def test_nothing_that_lives_at_one_time_shares_a_byte(graph: Graph, kernels: tflm.Kernels) -> None:
    found = tflm.arena(graph, kernels)
    assert found.bytes % 16 == 0
    assert found.bytes >= found.head + found.tail
    for one, other in itertools.combinations(found.placements, 2):
        apart = one.last < other.first or other.last < one.first
        disjoint = one.offset + one.size <= other.offset or other.offset + other.size <= one.offset
        # The input and what the first operator writes both begin at operator 0; TFLM has a scope before it.
        assert apart or disjoint, (one, other)
    assert max(place.offset + place.size for place in found.placements) <= found.head


def test_a_reshape_is_a_copy() -> None:
    graph = _graph([1000, 1000, 1000], [(OpCode.RESHAPE, (0,)), (OpCode.RESHAPE, (1,))])
    assert tflm.arena(graph, "reference").head == 2 * 1008


def test_a_small_model_needs_more_to_be_planned_than_to_run() -> None:
    graph = _graph([16] * 30, [(OpCode.RESHAPE, (index,)) for index in range(29)])
    found = tflm.arena(graph, "reference")
    assert found.head == 32
    assert found.bytes >= found.tail + 30 * (24 + 40)


def test_the_order_is_tflms() -> None:
    """By falling size, ties by falling index; first fit: what a plan by rising index would place elsewhere."""
    wiring = [(OpCode.RESHAPE, (0,)), (OpCode.RESHAPE, (1,)), (OpCode.ADD, (2, 0))]
    found = tflm.arena(_graph([32, 32, 32, 32], wiring), "reference")
    assert {place.tensor: place.offset for place in found.placements} == {3: 0, 2: 32, 1: 0, 0: 64}


def test_the_estimate_takes_a_genotype_and_its_network_alike(board: Board) -> None:
    skeleton = from_genotype(Genotype.parse("64-rgb-d22000-a02"), 2)
    graph = filled(skeleton, seed=1)
    for kernels in KERNELS:
        blind, seen = (tflm.estimate(one, board, tflm.plan(one, kernels), kernels) for one in (skeleton, graph))
        assert blind.ram == seen.ram
        # Its file has the converter's long names.
        assert blind.flash[1:] == seen.flash[1:]
        assert blind.flash[0].bytes == tflm.predicted_bytes(skeleton) > seen.flash[0].bytes == graph.file_bytes
        assert blind.macs == seen.macs


def test_an_operator_that_was_not_measured_is_named(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {name: costs.model_copy(update={"stack": {}}) for name, costs in tflm.costs().items()}
    monkeypatch.setattr(programs, "costs", lambda: table)
    graph = _graph([16, 16], [(OpCode.RESHAPE, (0,))])
    with pytest.raises(UsageError) as caught:
        tflm.estimate(graph, board, tflm.plan(graph, "reference"), "reference")
    assert caught.value.id == "no-calibration"
    assert "RESHAPE" in caught.value.what


def test_the_table_has_every_operator() -> None:
    for table in tflm.costs().values():
        named = {name for users in table.shares for name in users.split("+")}
        assert named <= set(OpCode) == table.stack.keys() == table.static.keys()


def test_the_table_is_written_as_it_is_read() -> None:
    assert tflm.toml(tflm.costs()) == tflm.COSTS.read_text(encoding="utf-8")
