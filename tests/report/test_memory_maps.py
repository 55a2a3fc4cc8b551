"""The memory map as text and as a drawing: what it shows is the map, whatever the tensors are called."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import boards
from pipeline.estimate import tflm
from pipeline.estimate.estimator import plan_for
from pipeline.estimate.memory_map import Buffer, MemoryMap, Moment, Use, assembled, memory_map
from pipeline.estimate.regions import place
from pipeline.estimate.tflm_map import interpreter_map
from pipeline.genotype import Genotype
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype
from pipeline.report.memory_svg import MOST_BYTES, Drawing, map_svg
from pipeline.report.memory_text import map_json, map_text

BOARD = boards.load("nucleo_f746zg")
GRAPH = from_genotype(Genotype.parse("96-rgb-d32100-a03"), 2)
MAP = memory_map(GRAPH, plan_for(GRAPH, BOARD))
SVG = "{http://www.w3.org/2000/svg}"
DRAWING = Drawing("model.tflite", BOARD.title, "segment")
HOSTILE = [
    "</title><script>alert(1)</script>",
    "]]>&lt;\"'<!--",
    "\x1b[2J\x00\ud800\u202e",
    "{{ 7*7 }}{% raw %}",
    "[bold]x[/bold]",
    "ä" * 500,
]


def _drawn(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own document


def _named(name: str) -> Graph:
    return replace(GRAPH, tensors=tuple(replace(tensor, name=name) for tensor in GRAPH.tensors))


# ---- text ----


@pytest.mark.parametrize("width", [80, 100, 120, 20])
@pytest.mark.parametrize("engine", ["aot", "tflm"])
def test_the_text_fits_and_has_a_line_for_each_buffer(width: int, engine: str) -> None:
    found, step = MAP, "segment"
    if engine == "tflm":
        found, step = interpreter_map(GRAPH, tflm.plan(GRAPH, "cmsis_nn"), "cmsis_nn"), "operator"
    text = map_text(GRAPH, found, step=step, width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= max(width, 80) and text.endswith("\n") and "\x1b" not in text
    for buffer in found.buffers:
        assert any(line.startswith(f"{buffer.offset:>9,}{buffer.nbytes:>10,}  ") for line in lines)
    moment = found.moments[found.peak]
    assert f"{moment.alive:,} B alive, gaps of {moment.gaps:,} B" in " ".join(text.split())
    assert f"from left to right: {step} 1 to {len(found.moments)}" in " ".join(text.lower().split())


def test_a_bar_is_as_long_as_the_life() -> None:
    buffers = [Buffer(Use.WHOLE, 0, 32, 0, 1, (0,)), Buffer(Use.SCRATCH, 32, 16, 2, 2)]
    found = assembled(64, buffers, [((n, "RELU"),) for n in range(3)])
    text = map_text(GRAPH, found, step="operator", width=80)
    assert "tensor 0 96×96×3                   ████████····" in text
    assert "scratch                            ········▒▒▒▒" in text
    assert "alive                              ▅▅▅▅▅▅▅▅▃▃▃▃" in text
    assert "peak                               ▲" in text


def test_more_moments_than_columns_share_them() -> None:
    buffers = [Buffer(Use.WHOLE, 0, 16, number, number, (0,)) for number in range(1000)]
    found = assembled(16, buffers, [((n, "RELU"),) for n in range(1000)])
    text = map_text(GRAPH, found, step="operator", width=80)
    assert "operators a column" in text and "… and 850 smaller buffers" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_in_no_line_and_cleaned_in_the_document(name: str) -> None:
    graph = _named(name)
    assert map_text(graph, MAP, step="segment") == map_text(GRAPH, MAP, step="segment")
    names = [one for buffer in map_json(graph, MAP)["buffers"] for one in buffer["names"]]
    assert all(one.isprintable() or one == "" for one in names)


def test_colour_is_only_where_it_is_asked_for() -> None:
    assert "\x1b[" in map_text(GRAPH, MAP, step="segment", colour=True)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", map_text(GRAPH, MAP, step="segment", colour=True))
    assert plain == map_text(GRAPH, MAP, step="segment")


# ---- drawing ----


def test_the_drawing_has_a_rectangle_for_each_buffer_and_says_what_it_shows() -> None:
    root = _drawn(map_svg(GRAPH, MAP, DRAWING))
    assert (root.tag, root.get("role"), root.get("aria-labelledby")) == (f"{SVG}svg", "img", "t d")
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and title.text == "Memory map of model.tflite on ST Nucleo-F746ZG"
    assert description is not None and f"{len(MAP.moments)} segments" in (description.text or "")
    boxes = [box for box in root.iter(f"{SVG}rect") if box.find(f"{SVG}title") is not None]
    assert len(boxes) == len(MAP.buffers)
    texts = {box.find(f"{SVG}title").text or "" for box in boxes}  # type: ignore[union-attr]
    assert any("3 of 48 rows" in text for text in texts)
    largest = max(MAP.buffers, key=lambda buffer: buffer.nbytes)
    assert any(f": {largest.nbytes:,} B at {largest.offset:,}, segment" in text for text in texts)
    for box in boxes:
        x, y, width, height = (float(box.get(key, "-1")) for key in ("x", "y", "width", "height"))
        assert 84 <= x <= x + width <= 1064.2 and 65.9 <= y <= y + height <= 500.6
    assert not list(root.iter(f"{SVG}script")) and "prefers-color-scheme:dark" in map_svg(GRAPH, MAP, DRAWING)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_and_nothing_else(name: str) -> None:
    plain = [element.tag for element in _drawn(map_svg(_named("x"), MAP, DRAWING)).iter()]
    text = map_svg(_named(name), MAP, replace(DRAWING, model=name, board=name))
    found = _drawn(text)
    # What fits into a rectangle depends on the name's length: texts come and go, nothing else.
    assert {element.tag for element in found.iter()} == set(plain)
    assert [tag for tag in (element.tag for element in found.iter()) if not tag.endswith("text")] == [
        tag for tag in plain if not tag.endswith("text")
    ]
    assert "<script" not in text and "alert(1)</" not in text
    assert "49" not in re.findall(r"<title>[^<]*</title>", text)[0] or "{{" not in name


@given(st.text(max_size=80))
@settings(max_examples=15)
def test_any_name_gives_a_sound_document(name: str) -> None:
    _drawn(map_svg(_named(name), MAP, replace(DRAWING, model=name)))


def test_a_border_between_regions_is_drawn_where_the_arena_crosses_it() -> None:
    arena = place(BOARD, stack=2048, static=200, arena=200_000).blocks[-1]
    text = map_svg(GRAPH, replace(MAP, arena_bytes=200_000), replace(DRAWING, arena=arena))
    assert "sram1 above, dtcm below" in text
    within = place(BOARD, stack=2048, static=200, arena=MAP.arena_bytes).blocks[-1]
    assert "above" not in map_svg(GRAPH, MAP, replace(DRAWING, arena=within))


@pytest.mark.parametrize("count", [1, 700, 5000])
def test_a_drawing_stays_small(count: int) -> None:
    graph = _named("very long name " * 30)
    buffers = [Buffer(Use.WHOLE, 16 * n, 16, n, n + 1, (0, 1, 2)) for n in range(count)]
    found = assembled(16 * count, buffers, [((n, "DEPTHWISE_CONV_2D"),) for n in range(count + 1)])
    text = map_svg(graph, found, DRAWING)
    assert len(text.encode()) <= MOST_BYTES
    assert ("small buffers are not drawn" in text) == (count > 1)
    _drawn(text)


def test_no_text_lies_over_another_where_buffers_share_bytes() -> None:
    buffers = [Buffer(Use.WHOLE, 0, 4096, 0, 1, (1,)), Buffer(Use.WHOLE, 2048, 2048, 0, 0, (0,))]
    root = _drawn(map_svg(GRAPH, assembled(4096, buffers, [((0, "CONV_2D"),), ((1, "ADD"),)]), DRAWING))
    texts = {
        text.text or "": float(text.get("y", "-1")) for text in root.iter(f"{SVG}text") if text.get("class") == "n"
    }
    (larger,) = (y for text, y in texts.items() if text.startswith("tensor 1 "))
    (smaller,) = (y for text, y in texts.items() if text.startswith("tensor 0 "))
    boxes = [box for box in root.iter(f"{SVG}rect") if box.find(f"{SVG}title") is not None]
    end = float(boxes[-1].get("y", "-1")) + float(boxes[-1].get("height", "-1"))
    assert smaller < end < larger  # the smaller one is drawn last, and the larger one's text keeps clear of it


def test_an_empty_arena_is_drawn() -> None:
    found = MemoryMap(0, (), (Moment((), 0, 0),), 0)
    assert "nothing runs" in map_svg(GRAPH, found, DRAWING)
    assert "nothing runs" in map_text(GRAPH, found, step="segment")
