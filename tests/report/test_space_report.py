"""What fits of a space, as text, JSON and drawing."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from pipeline import boards
from pipeline.estimate.model import Limits
from pipeline.genotype import Genotype
from pipeline.report.space import SpaceReport, space_json, space_svg, space_text
from pipeline.search.survey import Design, Limit

_FIGURES = {
    "32-mono-d00000-a01": (10, 20, ()),
    "32-mono-d10000-a10": (30, 40, ()),
    "32-rgb-d00000-a01": (12, 22, ()),
    "32-rgb-d10000-a10": (70, 50, (Limit.RAM,)),
    "64-rgb-d00000-a01": (90, 20, (Limit.RAM,)),
    "64-rgb-d10000-a10": (99, 120, (Limit.RAM, Limit.FLASH)),
}


@pytest.fixture
def report() -> SpaceReport:
    designs = [Design(Genotype.parse(name), ram, flash, 1, over) for name, (ram, flash, over) in _FIGURES.items()]
    board = boards.load("nucleo_f746zg").model_copy(update={"title": "<Board> [bold]"})
    return SpaceReport(board, Limits(ram_bytes=50, flash_bytes=100), 2, designs, "paper", 6)


def test_a_table_and_two_heat_maps(report: SpaceReport) -> None:
    text = space_text(report)
    assert [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")] == [
        ["32-mono", "2", "2", "100 %", "10 – 30", "20 – 40", ""],
        ["32-rgb", "1", "2", "50 %", "12 – 12", "22 – 22", "RAM: 1"],
        ["64-rgb", "0", "2", "0 %", "none; least 90", "none; least 20", "RAM: 2, flash: 1"],
        ["all", "3", "6", "50 %", "10 – 30", "20 – 40", "RAM: 3, flash: 1"],
    ]
    maps = text.partition("by colour and resolution")[2]
    assert [line.split() for line in maps.splitlines() if line.strip()] == [
        ["32", "64"],
        ["mono", "█", "100", "%"],
        ["rgb", "▒", "50", "%", "0", "%"],
        ["Share", "that", "fits,", "by", "width", "(alpha)", "and", "resolution"],
        ["32", "64"],
        ["1.0", "▒", "50", "%", "0", "%"],
        ["0.1", "█", "100", "%", "0", "%"],
    ]
    assert "<Board> [bold]" in text and "50 B of RAM, 100 B of flash; 2 classes" in text


def test_colour_is_an_addition(report: SpaceReport) -> None:
    assert "\x1b[" in space_text(report, colour=True) and "\x1b[" not in space_text(report)


def test_a_document_with_the_figures(report: SpaceReport) -> None:
    found = json.loads(json.dumps(space_json(report)))
    assert found["limits"] == {"ram_bytes": 50, "flash_bytes": 100, "macs": None}
    assert (found["all"]["fits"], found["all"]["count"], found["all"]["binds"]) == (3, 6, "RAM")
    last = found["data"][-1]
    assert (last["data"], last["share"], last["figures_of"], last["ram_bytes"]) == ("64-rgb", 0, "all", [90, 99])
    assert [(row["resolution"], row["alpha"], row["fits"]) for row in found["widths"]] == [
        (32, 0.1, 2), (32, 1.0, 1), (64, 0.1, 0), (64, 1.0, 0),
    ]  # fmt: skip


def test_a_drawing_is_whole_and_escaped(report: SpaceReport) -> None:
    text = space_svg(report)
    drawing = ElementTree.fromstring(text)  # noqa: S314 - our own document
    titles = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0] == "What of the space fits <Board> [bold]" and "<Board>" not in text
    assert titles[1] == "32 pixels, mono: 2 of 2 fit"
    assert titles[3] == "64 pixels, rgb: 0 of 2 fit; 2 exceed the RAM; 1 exceed the flash"
    assert len(titles) == 1 + 3 + 4
    assert not any("script" in element.tag or "href" in " ".join(element.attrib) for element in drawing.iter())


def test_designs_without_alpha_are_shown_by_depth() -> None:
    figures = {"32-mono-w44-2431": (), "32-mono-w44-2431-2431-1431": (Limit.RAM,), "64-rgb-w44-2431-2471": ()}
    designs = [Design(Genotype.parse(name), 10, 20, 1, over) for name, over in figures.items()]
    limits = Limits(ram_bytes=50, flash_bytes=100)
    report = SpaceReport(boards.load("nucleo_f746zg"), limits, 2, designs, "wide", 10**14, seed=7)
    text = space_text(report)
    assert "3 of 1.0e+14 designs, drawn at random (seed 7)" in " ".join(text.split())
    maps = text.partition("by blocks in stages 3-7 and resolution")[2]
    assert [line.split() for line in maps.splitlines() if line.strip()] == [
        ["32", "64"], ["3-5", "0", "%"], ["0-2", "█", "100", "%", "█", "100", "%"],
    ]  # fmt: skip
    found = json.loads(json.dumps(space_json(report)))
    assert (found["space"], found["size"], found["drawn"]) == ("wide", 10**14, {"count": 3, "seed": 7})
    assert [(row["resolution"], row["blocks"], row["fits"]) for row in found["depths"]] == [
        (32, 0, 1), (32, 3, 0), (64, 0, 1),
    ]  # fmt: skip
    ElementTree.fromstring(space_svg(report))  # noqa: S314 - our own document
