"""A model with the interpreter from the .tflite to the verdict, with the source tree that the user names."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import graph_samples
import pytest
from tflm_samples import skeleton_tree, users_tree

from pipeline import boards
from pipeline.__main__ import run
from pipeline.estimate import tflm
from pipeline.estimate.model import MemoryPlan
from pipeline.firmware.runtimes.tree import TflmTree
from pipeline.graph.model import Graph
from pipeline.graph.reader import read
from pipeline.report.model import Report

needs_compiler = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network with every operator."""
    path = tmp_path / "model.tflite"
    path.write_bytes(graph_samples.content(cast=True))
    return path


def test_without_a_tree_there_is_no_run(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    monkeypatch.delenv("DANAS_TFLM_TREE", raising=False)
    folder = model.parent / "run"
    arguments = ["deploy", model, "--board", "nucleo_f746zg", "--emulate", "--runtime", "tflm", "--run", folder]
    assert run([*map(str, arguments), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["id"] == "tflm-tree-missing"
    assert not folder.exists()


def test_sources_and_estimate_need_no_compiler(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = skeleton_tree(model.parent / "tree")
    arguments = ["estimate", model, "--board", "nucleo_f746zg", "--runtime", "tflm", "--tflm-tree", tree]
    assert run([*map(str, arguments), "--run", str(model.parent / "run"), "--json", "-q"]) == 0
    values = json.loads(capsys.readouterr().out)["estimate"]["estimate"]
    assert values["flash"][0] == {"name": "model", "bytes": len(model.read_bytes()), "parts": []}
    assert values["stack_reserve"] == 4096 >= boards.load("nucleo_f746zg").stack.reserve_bytes


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("arena_bytes", [None, 1024])
def test_a_model_passes_the_gate(model: Path, monkeypatch: pytest.MonkeyPatch, arena_bytes: int | None) -> None:
    """Also where the arena is too small: the program is built again with what it asks for, which was the estimate."""
    tree, folder, planned = users_tree(), model.parent / "run", tflm.plan

    def too_small(graph: Graph, kernels: tflm.Kernels, extension: tflm.Extension) -> MemoryPlan:
        made = planned(graph, kernels, extension)
        return made if arena_bytes is None else replace(made, arena_bytes=arena_bytes)

    monkeypatch.setattr(tflm, "plan", too_small)
    arguments = ["deploy", model, "--board", "nucleo_f746zg", "--emulate", "--images", 5, "-q"]
    assert run([*map(str, arguments), "--runtime", "tflm", "--tflm-tree", str(tree), "--run", str(folder)]) == 0
    report = Report.model_validate_json((folder / "report.json").read_bytes())
    assert report.passed
    asked = folder / "firmware" / "arena.json"
    assert asked.is_file() == (arena_bytes is not None)
    if asked.is_file():
        board = boards.load("nucleo_f746zg")
        made = planned(read(model), TflmTree.open(tree).kernels, tflm.extension(board))
        assert json.loads(asked.read_bytes())["arena_bytes"] == made.arena_bytes
