"""CMSIS-NN's scratch by our formulas, against what its own functions return (cmsis_nn_buffers.json)."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import boards
from pipeline.estimate import tflm
from pipeline.estimate.tflm import scratch
from pipeline.estimate.tflm.scratch import Extension
from pipeline.graph.model import DType, Graph, OpCode, Operator, Padding, Tensor, WindowOptions

TABLE = json.loads(Path(__file__).with_name("cmsis_nn_buffers.json").read_text(encoding="utf-8"))
KINDS = [Extension(kind.lower()) for kind in TABLE["kinds"]]
BENCHMARKS = Path(__file__).resolve().parent.parent.parent / "benchmarks"


@pytest.mark.parametrize("name", ["convolve_wrapper", "depthwise_conv_wrapper"])
def test_convolutions_ask_for_what_the_functions_return(name: str) -> None:
    formula: Callable[..., int] = scratch.convolution if name == "convolve_wrapper" else scratch.depthwise
    asked = 0
    for source, weights, output, padding, stride, dilation, expected in TABLE[name]:
        end = output[2] if name == "convolve_wrapper" else (output[2], output[3])
        more = {"stride": tuple(stride), "dilation": tuple(dilation), "padding": tuple(padding)}
        found = [formula(kind, tuple(source[1:]), tuple(weights[1:3]), end, **more) for kind in KINDS]
        assert found == expected, (source, weights, output, padding, stride, dilation)
        asked += any(expected)
    assert asked > len(TABLE[name]) // 2


def test_pools_and_dense_layers_ask_for_what_the_functions_return() -> None:
    for channels, expected in TABLE["avgpool"]:
        assert [scratch.average_pool(kind, channels) for kind in KINDS] == expected
    for outputs, expected in TABLE["fully_connected"]:
        assert [scratch.fully_connected(kind, outputs) for kind in KINDS] == expected


def test_the_table_is_what_the_functions_return_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    buffers: Any = importlib.import_module("cmsis_nn_buffers")
    found = buffers.functions()
    if found is None:
        pytest.skip("neither cmsis_nn nor executorch is installed")
    module, _ = found
    made = json.loads(json.dumps(buffers.table(module)))
    assert made == {name: rows for name, rows in TABLE.items() if name not in ("origin", "kinds")}
    for name, kind in (("M0", "cortex-m0"), ("M3", "cortex-m3"), ("M4", "cortex-m4"), ("M7", "cortex-m7")):
        assert module.resolve_backend(getattr(module.CortexM, name)).name == tflm.extension_of(kind).name
    for name, kind in (("M33", "cortex-m33"), ("M55", "cortex-m55"), ("M85", "cortex-m85")):
        assert module.resolve_backend(getattr(module.CortexM, name)).name == tflm.extension_of(kind).name


def test_every_board_has_an_extension() -> None:
    assert {tflm.extension(boards.load(name)) for name in boards.names()} == {Extension.DSP}


def _convolution(padding: Padding) -> Graph:
    """A 3×3 convolution by two of 7×7×5 pixels; SAME pads a row and a column at both ends."""
    size = 4 if padding is Padding.SAME else 3
    shapes = [((1, 7, 7, 5), False), ((6, 3, 3, 5), True), ((1, size, size, 6), False)]
    tensors = tuple(Tensor(i, f"t{i}", shape, DType.INT8, None, fixed) for i, (shape, fixed) in enumerate(shapes))
    options = WindowOptions((2, 2), padding=padding)
    return Graph(tensors, (Operator(0, OpCode.CONV_2D, 1, (0, 1, None), (2,), options),), (0,), (2,))


@pytest.mark.parametrize("padding", list(Padding))
def test_an_operator_asks_by_its_shapes(padding: Padding) -> None:
    graph = _convolution(padding)
    asked = [scratch.of_operator(graph, graph.operators[0], kind) for kind in (None, *KINDS)]
    assert asked == [(), (192,), (192,), (192,)]
