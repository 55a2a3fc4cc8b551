"""Runtimes side by side: the command on the emulated board, the table, what does not fit."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import graph_samples
import pytest

from pipeline import boards
from pipeline.__main__ import run
from pipeline.errors import ArenaTooSmallError, DoesNotFitError
from pipeline.figures import Figure, Source
from pipeline.graph.inputs import random_inputs
from pipeline.graph.reader import parse
from pipeline.job import benching, deploying
from pipeline.job.deploying import Recipe
from pipeline.progress import QuietDisplay
from pipeline.report.bench import Bench, Competitor, RuntimeFigures, bench_text
from pipeline.settings import TFLM_TREE_VARIABLE, Target

BOARD = boards.load("nucleo_f746zg")


def _bytes(value: int) -> Figure:
    return Figure(value=value, unit="B", source=Source.EMULATED)


def _figures(equal: int = 3) -> RuntimeFigures:
    return RuntimeFigures(
        arena=_bytes(2048),
        head=_bytes(1024),
        tail=_bytes(960),
        static=_bytes(100),
        stack=_bytes(52),
        flash=Figure(value=70_000, unit="B", source=Source.LINKED_ELF),
        count=Figure(value=1_234_567, unit="instructions", source=Source.EMULATED),
        equal=equal,
    )


def _bench(*competitors: Competitor) -> Bench:
    return Bench(
        board="nucleo_f746zg",
        target="emulated",
        model="ab" * 32,
        file_bytes=5000,
        inputs=3,
        competitors=competitors,
        notes=("a [note]",),
    )


def test_the_table_has_a_column_a_runtime() -> None:
    text = bench_text(
        _bench(
            Competitor(name="aot", build_id="0" * 16, figures=_figures()),
            Competitor(name="tflm, [reference] kernels", build_id=None, figures=None, problem="needs 9 bytes more RAM"),
        )
    )
    assert "aot" in text
    assert "tflm, [reference] kernels: needs 9 bytes more RAM" in text
    rows = {line.split("│")[1].strip(): line for line in text.splitlines() if line.startswith("│")}
    assert rows["RAM in all, B"].split("│")[2].strip() == "2,200"
    assert "1,234,567" in rows["instructions an inference"]
    assert rows["outputs equal"].split("│")[2].strip() == "3 of 3"
    assert rows["arena, B"].split("│")[3].strip() == "–"
    assert "a [note]" in text


def test_outputs_that_differ_stand_out() -> None:
    text = bench_text(_bench(Competitor(name="aot", build_id="0" * 16, figures=_figures(equal=2))), colour=True)
    assert "\x1b[1;31m" in text
    assert "2 of 3" in text


def _compete(monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | RuntimeFigures) -> tuple[Competitor, list[Recipe]]:
    """What becomes of an engine whose programs end so, one after the other."""
    recipes: list[Recipe] = []
    left = list(outcomes)

    class Built:
        class firmware:  # noqa: N801 - an attribute
            build_id = "0" * 16

    def make(*_: object, recipe: Recipe, **__: object) -> Any:
        recipes.append(recipe)
        return Built()

    def measured(*_: object, **__: object) -> RuntimeFigures:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(deploying, "make", make)
    monkeypatch.setattr(benching, "_measured", measured)
    graph = parse(graph_samples.content())
    found = benching.compete(
        graph.content,
        BOARD,
        Target(emulate=True),
        Recipe(),
        inputs=random_inputs(graph.input, 1, 0),
        expected=[b""],
        into=Path("nowhere"),
        step=QuietDisplay(),
    )
    return found, recipes


def test_an_arena_that_is_too_small_is_made_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    small = ArenaTooSmallError("arena-too-small", "too small", needed=4096)
    found, recipes = _compete(monkeypatch, small, _figures())
    assert found.figures == _figures()
    assert [recipe.least_arena for recipe in recipes] == [0, 4096]


def test_what_does_not_fit_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = _compete(monkeypatch, DoesNotFitError("region-overflow", "the program needs 9 bytes more RAM"))
    assert (found.figures, found.problem) == (None, "the program needs 9 bytes more RAM")


def test_a_tree_that_is_none_is_refused_before_anything_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(graph_samples.content())
    arguments = ["bench", "runtimes", str(model), "--board", "nucleo_f746zg", "--emulate", "--json"]
    assert run([*arguments, "--tflm-tree", str(tmp_path)]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["id"] == "tflm-tree-incomplete"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_the_command_on_the_emulated_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the user's tree where there is one; without, ``aot`` alone and how to get one."""
    monkeypatch.chdir(tmp_path)
    tree = os.environ.get(TFLM_TREE_VARIABLE)
    model = tmp_path / "model.tflite"
    model.write_bytes(graph_samples.content())
    assert run(["bench", "runtimes", str(model), "--board", "nucleo_f746zg", "--emulate", "--json", "-q"]) == 0
    found = Bench.model_validate(json.loads(capsys.readouterr().out)["bench"])
    assert [one.name.split(",")[0] for one in found.competitors] == (["aot", "tflm"] if tree else ["aot"])
    assert bool(found.notes) != bool(tree)
    for one in found.competitors:
        assert one.figures is not None
        assert one.figures.equal == found.inputs == 3
        assert one.figures.count.source is Source.EMULATED
