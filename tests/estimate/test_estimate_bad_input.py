"""What cannot be estimated is refused by the command: an error with its id, an exit code, and no figure at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graph_samples
import pytest
from ai_edge_litert import schema_py_generated as schema

from pipeline.__main__ import run
from pipeline.graph.model import DType, NoOptions, OpCode
from pipeline.graph.writer import ModelWriter, pack


def _tensor(number: int, **changes: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in changes.items():
            setattr(model.subgraphs[0].tensors[number], name, value)

    return change


def _code(builtin: int, custom: bytes | None = None) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        code = model.operatorCodes[model.subgraphs[0].operators[0].opcodeIndex]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = builtin, min(builtin, 127), custom

    return change


def _nothing_computed(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.operators, graph.outputs = [], list(graph.inputs)


def _nothing_at_all(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.operators, graph.tensors, graph.inputs, graph.outputs = [], [], [], []


def _no_graph(model: Any) -> None:
    model.subgraphs = []


_INT16 = schema.TensorType.INT16
_CASES: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "open width": (_tensor(0, shapeSignature=[1, 9, -1, 3]), "dynamic-shape", "(1, 9, -1, 3)"),
    "open width, by shape": (_tensor(0, shape=[1, -1, 8, 3]), "dynamic-shape", "(1, -1, 8, 3)"),
    "batch of two": (_tensor(0, shape=[2, 9, 8, 3]), "dynamic-shape", "batch size 2"),
    "unknown operator": (_code(schema.BuiltinOperator.LSTM), "unsupported-operator", "LSTM"),
    "custom operator": (_code(schema.BuiltinOperator.CUSTOM, b"Mine"), "unsupported-operator", "Mine"),
    "operator of the future": (_code(4000), "unsupported-operator", "4000"),
    "int16 activations": (_tensor(1, type=_INT16), "unsupported-tensor", "INT16"),
    "int16 input": (_tensor(0, type=_INT16), "unsupported-tensor", "INT16"),
    "nothing is computed": (_nothing_computed, "unsupported-model", "no operators"),
    "nothing at all": (_nothing_at_all, "unsupported-model", "0 inputs"),
    "no graph": (_no_graph, "unsupported-model", "0 subgraphs"),
}


def _refused(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, dict[str, Any]]:
    """(exit code, error) of the command; nothing else may be said."""
    model = tmp_path / "model.tflite"
    model.write_bytes(content)
    arguments = ["estimate", str(model), "--board", "nucleo_f746zg", "--run", str(tmp_path / "run"), "-q", "--json"]
    code = run([*arguments, *options])
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"error"}, "a refusal comes without figures"
    assert not (tmp_path / "run" / "estimate.json").exists()
    error: dict[str, Any] = printed["error"]
    return code, error


@pytest.mark.parametrize("options", [(), ("--explain",), ("--prefer", "speed")])
@pytest.mark.parametrize("name", _CASES)
def test_a_model_that_cannot_run_has_no_estimate(
    name: str, options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, id, words = _CASES[name]  # noqa: A001 - the errors' word
    model = graph_samples.schema_model()
    change(model)
    code, error = _refused(pack(model), tmp_path, capsys, *options)
    assert (code, error["id"], error["exit_code"]) == (2, id, 2)
    assert words in error["what"] + error["why"]
    assert error["next"]


def test_a_model_of_which_nothing_remains_to_run_has_no_estimate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = ModelWriter()
    x, y = writer.tensor((1, 4, 4, 2), DType.INT8, scale=1.0), writer.tensor((1, 32), DType.INT8, scale=1.0)
    writer.operator(OpCode.RESHAPE, [x], [y], NoOptions())
    code, error = _refused(writer.finish([x], [y]), tmp_path, capsys)
    assert (code, error["id"]) == (2, "no-operators")
