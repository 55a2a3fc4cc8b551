"""What weights decide of operators, for the cost model; and that it has a price for every call there is."""

from __future__ import annotations

import aot_models
import numpy as np
import pytest

from pipeline import boards
from pipeline.estimate.cost import CostModel, Detail, Form, load
from pipeline.estimate.planner import plan
from pipeline.firmware.details import details
from pipeline.graph.model import Activation, ActivationOptions, DType, Graph, OpCode, WindowOptions
from pipeline.graph.reader import parse
from pipeline.graph.writer import ModelWriter


def _convolution(activation: Activation, *, zero_point: int, bias: int = 0, scale: float = 0.05) -> Graph:
    writer = ModelWriter()
    x = writer.tensor((1, 4, 4, 4), DType.INT8, scale=0.05)
    weights = writer.tensor((4, 1, 1, 4), DType.INT8, scale=[0.01] * 4, data=np.full((4, 1, 1, 4), 9))
    biases = writer.tensor((4,), DType.INT32, scale=[0.0005] * 4, data=[bias] * 4)
    y = writer.tensor((1, 4, 4, 4), DType.INT8, scale=scale, zero_point=zero_point)
    writer.operator(OpCode.CONV_2D, [x, weights, biases], [y], WindowOptions(activation=activation))
    return parse(writer.finish([x], [y]))


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (_convolution(Activation.NONE, zero_point=3), Detail(Form.LINEAR)),
        (_convolution(Activation.NONE, zero_point=-128), Detail(Form.RELU)),
        (_convolution(Activation.RELU, zero_point=-128), Detail(Form.RELU)),
        (_convolution(Activation.RELU, zero_point=-100), Detail(Form.RELU, clamped=True)),
        (_convolution(Activation.RELU6, zero_point=-128, scale=6 / 255), Detail(Form.RELU)),
        (_convolution(Activation.RELU6, zero_point=-128), Detail(Form.RELU, clamped=True)),
        (_convolution(Activation.NONE, zero_point=3, bias=2**24), Detail(Form.PLAIN)),
    ],
)
def test_forms_and_clamps_of_a_convolution(graph: Graph, expected: Detail) -> None:
    assert details(graph, plan(graph)) == {0: expected}


@pytest.mark.parametrize(("scale", "reference"), [(0.1, False), (0.05 / 16, True)])
def test_an_add_of_a_fine_output_takes_the_references_arithmetic(scale: float, reference: bool) -> None:
    writer = ModelWriter()
    x = writer.tensor((1, 4, 4, 4), DType.INT8, scale=0.05)
    y = writer.tensor((1, 4, 4, 4), DType.INT8, scale=scale)
    writer.operator(OpCode.ADD, [x, x], [y], ActivationOptions())
    graph = parse(writer.finish([x], [y]))
    assert details(graph, plan(graph)) == {0: Detail(reference=reference)}


@pytest.mark.parametrize("kind", sorted(aot_models.KINDS))
def test_every_call_has_a_price(kind: str) -> None:
    make, _ = aot_models.KINDS[kind]
    for seed in range(8):
        graph = make(np.random.default_rng(seed))
        found = plan(graph)
        known = details(graph, found)
        for name in ("nucleo_f746zg", "nucleo_l4r5zi"):
            prediction = CostModel(load(boards.load(name).core.cpu)).predict(graph, found, known)
            assert prediction.total > 0 and min(prediction.counts, default=1) > 0
