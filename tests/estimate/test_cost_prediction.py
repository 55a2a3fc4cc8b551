"""What an inference takes: from shapes and from the model, by any table, and against the emulated board."""

from __future__ import annotations

from pathlib import Path

import pytest
from device_samples import demand_emulator
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_graphs import Sketch, graphs

from pipeline import boards
from pipeline.boards import Board
from pipeline.errors import UsageError
from pipeline.estimate import profiles
from pipeline.estimate.cost import CostModel, predict
from pipeline.estimate.cost import load as load_costs
from pipeline.estimate.cost.counts import counts
from pipeline.estimate.cost.schedule import Run
from pipeline.estimate.cost.table import read
from pipeline.estimate.model import InputMode
from pipeline.estimate.planner import plan
from pipeline.estimate.stages import stages
from pipeline.firmware.details import details
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import Graph, OpCode, Padding
from pipeline.graph.skeleton import from_genotype

BOARDS = ("nucleo_f746zg", "nucleo_l4r5zi")
_TABLES = {name: load_costs(boards.load(name).core.cpu) for name in BOARDS}
_SMALL = "32-mono-d10000-a02"


@pytest.mark.parametrize("name", BOARDS)
def test_shapes_and_model_give_one_prediction(name: str) -> None:
    shapes = from_genotype(Genotype.parse(_SMALL), 2)
    graph = filled(shapes, seed=1)
    found, board = plan(graph), boards.load(name)
    from_shapes = predict(shapes, found, board)
    from_model = predict(graph, found, board, details=details(graph, found))
    assert from_shapes.counts == from_model.counts
    assert from_shapes.total == from_model.total == round(sum(from_shapes.counts) + from_shapes.overhead)
    assert from_shapes.unit == "instructions" and from_shapes.source == "emulated instructions"
    assert from_shapes.compiler == _TABLES[name].compiler
    assert [(one.index, one.name) for one in from_shapes.stages] == [(one.index, one.name) for one in found.stages]
    assert tuple(one.count for one in from_shapes.stages) == from_shapes.counts


def test_boards_with_one_processor_have_one_prediction(board: Board) -> None:
    graph = from_genotype(Genotype.parse(_SMALL), 2)
    assert predict(graph, plan(graph), boards.load("mps2_an500")) == predict(graph, plan(graph), board)


@settings(max_examples=40)
@given(graphs(), st.sampled_from(BOARDS))
def test_predictions_are_positive_and_remembered_ones_the_same(graph: Graph, name: str) -> None:
    board, found = boards.load(name), plan(graph)
    first = predict(graph, found, board)  # by a model that has seen others
    assert first == CostModel(_TABLES[name]).predict(graph, found)
    assert min(first.counts, default=1) > 0


@settings(max_examples=40)
@given(
    st.sampled_from(["pointwise", "separable", "convolution"]),
    *(st.integers(low, high) for low, high in ((1, 12), (1, 12), (1, 6), (1, 12), (1, 6))),
    st.sampled_from(BOARDS),
)
def test_more_channels_never_take_less(
    kind: str, height: int, width: int, inputs: int, outputs: int, more: int, name: str
) -> None:
    def cost(inputs: int, outputs: int) -> float:
        sketch = Sketch((1, height, width, 4 * inputs))
        if kind == "convolution":
            made = sketch.window(OpCode.CONV_2D, 0, 4 * outputs, (3, 3), (1, 1), Padding.SAME)
        else:
            made = sketch.separable(0, 4 * outputs, 3, 1) if kind == "separable" else sketch.pointwise(0, 4 * outputs)
        graph = sketch.finish(made)
        # Of a given way to run: which one a plan takes follows from RAM as well.
        (stage,) = stages(graph)
        return CostModel(_TABLES[name]).price(counts(graph, Run(stage, False, stage.steps, 0, 0), {}))

    base = cost(inputs, outputs)
    assert cost(inputs + more, outputs) > base
    assert cost(inputs, outputs + more) > base


def test_a_streamed_input_costs_the_executor_a_little(board: Board) -> None:
    graph = from_genotype(Genotype.parse(_SMALL), 2)
    whole, streamed = plan(graph), plan(graph, streamed_input=True)
    assert streamed.streams(graph.inputs[0]) and not whole.streams(graph.inputs[0])
    found = predict(graph, streamed, board)
    assert len(found.counts) == len(streamed.stages)
    assert found.overhead > predict(graph, whole, board).overhead


# --- tables ----------------------------------------------------------------------------------------------------------


def _changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str) -> Path:
    shipped = profiles.SHIPPED / "cortex-m7.costs.toml"
    text = shipped.read_text("utf-8")
    assert before in text
    monkeypatch.setenv(profiles.ENVIRONMENT_VARIABLE, str(tmp_path))
    path = tmp_path / shipped.name
    path.write_text(text.replace(before, after, 1), encoding="utf-8")
    return path


def test_a_table_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: Board) -> None:
    graph = from_genotype(Genotype.parse(_SMALL), 2)
    before = predict(graph, plan(graph), board)
    _changed(tmp_path, monkeypatch, "emulated instructions", "measured on serial 0671FF")
    after = predict(graph, plan(graph), board)
    assert (after.source, after.total) == ("measured on serial 0671FF", before.total)


def test_a_processor_without_a_table() -> None:
    with pytest.raises(UsageError) as caught:
        load_costs("cortex-m33")
    assert caught.value.id == "no-costs"


def test_a_table_that_lacks_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board: Board) -> None:
    _changed(tmp_path, monkeypatch, "[prices.separable_conv_2d]", "[prices.unknown]")
    graph = from_genotype(Genotype.parse(_SMALL), 2)
    with pytest.raises(UsageError, match=r"separable_conv_2d\.step") as caught:
        predict(graph, plan(graph), board)
    assert caught.value.id == "no-costs"


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ("schema_version = 1", "schema_version = 9", "schema_version"),
        ('unit = "instructions"', 'unit = "seconds"', "unit"),
        ("step = ", "step = -", "prices.add.step"),
        ("step = ", "step = nan #", "prices.add.step"),
        ("date = ", "date = 7 #", "date"),
        ("[prices.add]", "[prices.add", "(whole file)"),
    ],
)
def test_a_damaged_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, field: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(_changed(tmp_path, monkeypatch, before, after))
    assert caught.value.id == "calibration-table" and f"field {field}" in str(caught.value)


# --- against the emulated board --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "genotype", "mode"),
    [
        ("nucleo_f746zg", "32-rgb-d11000-a03", InputMode.RESIDENT),
        ("nucleo_l4r5zi", "32-rgb-d11000-a03", InputMode.STREAMED),
    ],
)
def test_a_network_takes_what_was_predicted(name: str, genotype: str, mode: InputMode, tmp_path: Path) -> None:
    board = demand_emulator(boards.load(name))
    from pipeline.calibration import Workshop
    from pipeline.firmware.build import build
    from pipeline.firmware.render import render
    from pipeline.settings import Target

    shapes = from_genotype(Genotype.parse(genotype), 2)
    graph = filled(shapes, seed=4)
    found = plan(graph, streamed_input=mode is InputMode.STREAMED)
    render(graph, found, board, into=tmp_path)
    with Workshop(board, Target(emulate=True), tmp_path).running(graph, build(tmp_path, board)) as (session, _):
        total = session.infer_on(random_inputs(graph.input, 1, seed=2)[0].tobytes())
        counted = [one.cycles for one in session.ops()]
    prediction = predict(shapes, found, board)
    assert prediction.total == pytest.approx(total, rel=0.01)
    for stage, count in zip(prediction.stages, counted[-len(prediction.stages) :], strict=True):
        rel = 0.25 if stage.name == "SOFTMAX" else 0.02  # whose work depends on the logits
        assert stage.count == pytest.approx(count, rel=rel, abs=25), stage.name
