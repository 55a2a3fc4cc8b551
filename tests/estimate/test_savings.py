"""What is said to lower the RAM does: each figure is what an estimate of that plan or network says."""

from __future__ import annotations

from dataclasses import replace

import plan_graphs
import pytest
from hypothesis import given, settings

from pipeline import boards
from pipeline.errors import UsageError
from pipeline.estimate import savings as module
from pipeline.estimate.cost import predict
from pipeline.estimate.estimator import estimate, plan_for
from pipeline.estimate.model import InputMode, Prefer
from pipeline.estimate.planner import plan
from pipeline.estimate.regions import of_estimate
from pipeline.estimate.savings import Recipe, Saving, kept_alive, neighbours, savings, without
from pipeline.genotype import Genotype
from pipeline.graph.model import Graph, OpCode, Padding
from pipeline.graph.skeleton import from_genotype

BOARD = boards.load("nucleo_f746zg")
GENOTYPE = Genotype.parse("96-rgb-d32100-a06")
GRAPH = from_genotype(GENOTYPE, 2)


def _found(recipe: Recipe, graph: Graph = GRAPH, genotype: Genotype | None = None) -> dict[str, Saving]:
    return {one.id: one for one in savings(graph, BOARD, recipe.plan(graph, BOARD), recipe, genotype)}


@pytest.mark.parametrize("prefer", Prefer)
@pytest.mark.parametrize("mode", InputMode)
def test_other_options_give_what_an_estimate_with_them_says(prefer: Prefer, mode: InputMode) -> None:
    recipe = Recipe(prefer=prefer, input_mode=mode)
    now = recipe.estimate(GRAPH, BOARD).ram_bytes
    found = _found(recipe)
    options = {one.option for one in found.values()} - {""}
    assert f"--prefer {prefer}" not in options and f"--input {mode}" not in options
    assert ("--prefer ram --input streamed" in options) == (prefer != "ram" and mode == "resident")
    for one in found.values():
        if one.option:
            words = one.option.split()
            given = dict(zip(words[::2], words[1::2], strict=True))
            other = plan_for(
                GRAPH,
                BOARD,
                prefer=Prefer(given.get("--prefer", prefer)),
                input_mode=InputMode(given.get("--input", mode)),
            )
            figures = estimate(GRAPH, BOARD, plan=other)
            assert (one.ram_bytes, one.saved) == (figures.ram_bytes, now - figures.ram_bytes)
            assert one.slow_bytes == of_estimate(BOARD, figures).slow_bytes
            work = predict(GRAPH, recipe.plan(GRAPH, BOARD), BOARD).total
            more = 100 * (predict(GRAPH, other, BOARD).total - work) / work
            assert one.more_work == pytest.approx(more, abs=0.01)


def test_the_most_comes_first_and_what_cannot_be_done_last() -> None:
    graph = from_genotype(Genotype.parse("32-mono-d00000-a01"), 2)
    sketch = plan_graphs.Sketch((1, 40))
    flat = sketch.finish(sketch.operator(OpCode.RELU, (0,), (1, 40), GRAPH.operators[-1].options))
    for one in (GRAPH, graph, flat):
        found = savings(one, BOARD, Recipe().plan(one, BOARD), Recipe())
        assert [(bool(s.why_not), -s.saved) for s in found] == sorted((bool(s.why_not), -s.saved) for s in found)
    assert found[-1].id.endswith("input-streamed") and "has no rows" in found[-1].why_not


def test_a_genotypes_neighbours_are_one_step_smaller() -> None:
    found = _found(Recipe(), genotype=GENOTYPE)
    now = Recipe().estimate(GRAPH, BOARD).ram_bytes
    for number, genotype in (
        ("smaller-input", "64-rgb-d32100-a06"),
        ("mono", "96-mono-d32100-a06"),
        ("narrower", "96-rgb-d32100-a05"),
    ):
        figures = Recipe().estimate(from_genotype(Genotype.parse(genotype), 2), BOARD)
        assert found[number].saved == now - figures.ram_bytes
        assert found[number].what.endswith(genotype)
    assert list(neighbours(Genotype.parse("32-mono-d00000-a01"))) == []


def _residual() -> Graph:
    """A wide image is kept alive for an addition while the branch beside it works in whole."""
    sketch = plan_graphs.Sketch((1, 8, 8, 4))
    wide = sketch.pointwise(0, 16)
    inner = wide
    for _ in range(2):
        inner = sketch.window(OpCode.CONV_2D, inner, 16, (7, 7), (1, 1), Padding.SAME)
    return sketch.finish(sketch.add(wide, inner))


def test_a_residual_that_is_kept_alive_is_named_with_what_its_addition_costs() -> None:
    graph = _residual()
    recipe = Recipe()
    memory = recipe.plan(graph, BOARD)
    ((operator, kept),) = kept_alive(graph, memory)
    assert (operator.code, kept) == (OpCode.ADD, graph.operators[0].outputs[0])
    one = _found(recipe, graph)[f"without-operator-{operator.index}"]
    assert f"tensor {kept} (8×8×16, 1,024 B)" in one.what and not one.option
    other = without(graph, operator)
    assert [part.code for part in other.operators] == [OpCode.CONV_2D] * 3
    assert other.outputs == (graph.operators[2].outputs[0],)
    assert one.saved == recipe.estimate(graph, BOARD).ram_bytes - recipe.estimate(other, BOARD).ram_bytes > 0


@given(plan_graphs.graphs())
@settings(max_examples=15)
def test_leaving_out_a_sum_leaves_a_sound_network(graph: Graph) -> None:
    memory = plan(graph)
    for operator, tensor in kept_alive(graph, memory):
        assert tensor in operator.inputs
        other = without(graph, operator)
        assert [part.index for part in other.operators] == list(range(len(graph.operators) - 1))
        plan(other)


def test_without_a_cost_model_nothing_is_said_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise UsageError("no-costs", "no costs", next="")

    monkeypatch.setattr(module, "predict", missing)
    assert {one.more_work for one in _found(Recipe()).values()} == {None}


def test_a_missing_table_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = plan(GRAPH)

    def missing(*_: object, **__: object) -> None:
        raise UsageError("no-calibration", "no table", next="")

    monkeypatch.setattr(module, "plan_for", missing)
    with pytest.raises(UsageError):
        savings(GRAPH, BOARD, memory, replace(Recipe(), prefer=Prefer.RAM))
