"""The memory plan explained, as a user sees it."""

import json
from pathlib import Path

import graph_samples
import pytest

from pipeline.__main__ import run
from pipeline.estimate.explain import explain
from pipeline.estimate.memory_map import Use
from pipeline.estimate.model import Prefer
from pipeline.estimate.planner import plan
from pipeline.genotype import Genotype
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype
from pipeline.report.explained import explained_json, explained_text


@pytest.fixture
def graph() -> Graph:
    return from_genotype(Genotype.parse("96-rgb-d32100-a03"), 2)


def test_every_segment_has_a_row_with_its_bytes(graph: Graph) -> None:
    segments = explain(graph, plan(graph))
    text = explained_text(graph, segments, width=160)
    for segment in segments:
        assert f"{segment.peak:,}" in text
        assert f"{segment.operators[0][0]} {segment.operators[0][1]}" in text
    assert "3 of 48 rows" in text
    assert text.endswith("\n")


def test_bytes_that_are_shared_are_taken_off(graph: Graph) -> None:
    segments = explain(graph, plan(graph, prefer=Prefer.RAM))
    shared = [alive for segment in segments for alive in segment.alive if alive.use is Use.OVERLAP]
    assert shared and all(alive.nbytes < 0 for alive in shared)
    assert explained_text(graph, segments, width=160).count("over which an output is") >= len(shared)


def test_the_document_adds_up(graph: Graph) -> None:
    document = json.loads(json.dumps(explained_json(explain(graph, plan(graph)))))
    assert max(segment["peak"] for segment in document) == max(
        sum(alive["nbytes"] for alive in segment["alive"]) for segment in document
    )
    assert all(segment["reasons"] for segment in document)


def test_estimate_explains_where_it_is_asked_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(graph_samples.content())
    arguments = ["estimate", str(model), "--board", "nucleo_f746zg", "-q"]
    assert run([*arguments, "--run", str(tmp_path / "one"), "--explain", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(alive["nbytes"] for alive in found["plan"][0]["alive"]) == found["plan"][0]["peak"]
    assert run([*arguments, "--run", str(tmp_path / "two"), "--json"]) == 0
    assert "plan" not in json.loads(capsys.readouterr().out)
    assert run([*arguments, "--run", str(tmp_path / "three"), "--explain"]) == 0
    assert "Alive while they run" in capsys.readouterr().out
