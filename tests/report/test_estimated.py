"""An estimate as the command prints it: regions, what a run has found, the formulas, what would lower the RAM."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import graph_samples
import pytest

from pipeline import boards
from pipeline.__main__ import run
from pipeline.estimate.estimator import estimate, plan_for
from pipeline.estimate.model import Estimate, InputMode, Item, Limits, Prefer
from pipeline.estimate.published import Published, published
from pipeline.estimate.regions import of_estimate
from pipeline.estimate.savings import Saving
from pipeline.figures import Figure, Source
from pipeline.genotype import Genotype
from pipeline.graph.reader import parse
from pipeline.graph.skeleton import from_genotype
from pipeline.job.estimating import savings_of
from pipeline.report.estimated import Found, estimate_text, published_text, savings_text
from pipeline.settings import Kind

BOARD = boards.load("nucleo_f746zg")
ITEMS = (
    Item(name="arena", bytes=80_000, parts=(Item(name="activations", bytes=70_000), Item(name="gaps", bytes=10_000))),
    Item(name="static", bytes=200),
    Item(name="stack", bytes=400),
)
FIGURES = Estimate(
    ram=ITEMS, flash=(Item(name="constants", bytes=5000),), stack_reserve=2048, macs=12, frame_reserve=104
)
LAYOUT = of_estimate(BOARD, FIGURES)
LIMITS = Limits(ram_bytes=100_000, flash_bytes=1 << 20)


def _figures(source: Source, **values: int) -> dict[str, Figure]:
    return {name: Figure(value=value, unit="B", source=source) for name, value in values.items()}


FOUND = Found(
    {
        Source.LINKED_ELF: _figures(Source.LINKED_ELF, arena=80_000, static=196, flash=4990),
        Source.EMULATED: _figures(Source.EMULATED, arena=80_000, static=196, stack=388, total=80_584),
    },
    LAYOUT,
)


def _words(text: str) -> str:
    return " ".join(text.replace("│", " ").split())


def test_items_parts_regions_and_what_was_found_stand_beside_each_other() -> None:
    text = estimate_text(FIGURES, LIMITS, LAYOUT, FOUND)
    words = _words(text)
    assert "RAM ┃ analytic ┃ linked ELF ┃ emulated" in " ".join(text.split())
    assert "arena 80,000 B 80,000 B 80,000 B activations 70,000 B gaps 10,000 B static 200 B 196 B 196 B" in words
    assert "stack 400 B – 388 B total, of 100,000 B 80,600 B – 80,584 B" in words
    assert "total, of 1,048,576 B 5,000 B 4,990 B –" in words
    assert "dtcm (fastest) 2,048 B 200 B 63,280 B 8 B 65,536 B" in words
    assert "next best: spanning dtcm (63,280 B) and sram1 (16,720 B)" in words
    assert "The linked ELF has them in the same regions." in words
    assert "104 B more of the stack" in words
    assert "linked" not in estimate_text(FIGURES, LIMITS, LAYOUT, Found())


def test_of_ram_in_several_pieces_the_largest_arena_is_told() -> None:
    layout = of_estimate(boards.load("nucleo_h743zi"), FIGURES)
    words = _words(estimate_text(FIGURES, LIMITS, layout, FOUND))
    assert "dtcm (fastest) 2,048 B 200 B 80,000 B" in words and "sram4 0 B 0 B 0 B 65,536 B 65,536 B" in words
    assert "The largest arena with a place beside stack and static data: 524,288 B, in axi_sram." in words
    assert "The largest arena" not in _words(estimate_text(FIGURES, LIMITS, LAYOUT, FOUND))


def test_an_elf_that_lies_elsewhere_is_told() -> None:
    small = of_estimate(
        BOARD, FIGURES.model_copy(update={"ram": (ITEMS[0].model_copy(update={"bytes": 16}), *ITEMS[1:])})
    )
    text = _words(estimate_text(FIGURES, LIMITS, LAYOUT, Found(layout=small, note="A note.")))
    assert "has them elsewhere: stack 2,048 B at 0x20000000, static 200 B" in text and "A note." in text


def test_formulas_are_compared_with_the_best_that_was_found() -> None:
    words = _words(published_text(Published(161_168, 2495, 7), FIGURES, FOUND, width=160))
    assert "RAM 161,168 B 80,600 B +100.0 % 80,584 B (emulated) +100.0 % +0.0 %" in words
    assert "flash 2,495 B 5,000 B -50.1 % 4,990 B (linked ELF) -50.0 % +0.2 %" in words
    assert "here operator 7" in words and "arXiv 2502.12690" in words
    alone = _words(published_text(Published(1, 0, None), FIGURES, Found()))
    assert "here the input alone" in alone and "found" not in alone


def test_what_helps_is_listed_and_what_does_not_is_named() -> None:
    ways = (
        Saving("a", "first", "--prefer ram", 20_000, 60_600, 0, more_work=1.26),
        Saving("b", "leave out operator 3: x", "", 80_500, 100, 14_000, more_work=-0.04),
        Saving("c", "leave out operator 4: y", "", 80_592, 8, 14_000),
        Saving("d", "second", "--input streamed", 0, 0, 0, why_not="no \x1b rows"),
    )
    words = _words(savings_text(ways, LAYOUT))
    assert "60,600 B 20,000 B +1.3 % --prefer ram: first (all in dtcm then)" in words
    assert "100 B 80,500 B +0.0 % another network: leave out operator 3: x" in words and "x (all" not in words
    assert "Without a gain: leave out operator 4." in words
    assert "Not possible: --input streamed: no ? rows" in words
    assert "Nothing that was tried" in savings_text(ways[2:], LAYOUT)


# ---- the command ----


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(graph_samples.content())
    return path


def _estimate(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["estimate", *map(str, arguments), "-q", "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_everything_at_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    svg = tmp_path / "map.svg"
    found = _estimate(
        capsys, model, "-b", BOARD.name, "--run", tmp_path / "one", "--explain", "--published", "--svg", svg
    )
    assert ET.parse(svg).getroot().tag.endswith("svg")  # noqa: S314 - our own file
    assert (tmp_path / "one" / "memory-map.svg").read_bytes() == svg.read_bytes()
    assert found["svg"] == str(svg) and found["estimate"]["memory_map"] == "memory-map.svg"
    graph = parse(model.read_bytes())
    figures = estimate(graph, BOARD)
    assert found["estimate"]["ram_bytes"] == figures.ram_bytes
    assert [block["name"] for block in found["estimate"]["regions"]["blocks"]] == ["stack", "static", "arena"]
    formulas = published(graph)
    assert [row["published"] for row in found["published"]["rows"]] == [
        formulas.ram_bytes,
        formulas.ram_bytes,
        formulas.flash_bytes,
    ]
    assert found["published"]["rows"][0]["found"] is None and found["estimate"]["found"] == {}
    assert found["map"]["moments"][found["map"]["peak"]]["alive"] == max(m["alive"] for m in found["map"]["moments"])
    assert {one["id"] for one in found["savings"]} >= {"prefer-ram", "input-streamed"}
    for columns in ("80", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        assert run(["estimate", str(tmp_path / "one"), "-q", "--explain", "--published"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(len(line) for line in lines if not line.startswith("Run: ")) <= int(columns)
        assert not any("\x1b" in line for line in lines)


def test_what_an_option_would_save_it_does(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _estimate(capsys, model, "-b", BOARD.name, "--run", tmp_path / "now", "--explain")
    (ram,) = (one for one in found["savings"] if one["id"] == "prefer-ram")
    then = _estimate(capsys, model, "-b", BOARD.name, "--run", tmp_path / "then", *ram["option"].split())
    assert then["estimate"]["ram_bytes"] == ram["ram_bytes"] == found["estimate"]["ram_bytes"] - ram["saved"]


def test_a_model_that_does_not_fit_is_explained_and_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (model, "-b", BOARD.name, "--ram", 1024)
    found = _estimate(capsys, *arguments, "--run", tmp_path / "one", "--explain", code=8)
    assert found["error"]["id"] == "does-not-fit" and found["savings"] and found["map"]
    assert run(["estimate", *map(str, arguments), "--run", str(tmp_path / "two"), "-q"]) == 8
    captured = capsys.readouterr()
    assert "RAM region" in captured.out and "[does-not-fit]" in captured.err
    assert (tmp_path / "two" / "memory-map.svg").is_file()


def test_a_run_has_settled_its_recipe(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _estimate(capsys, model, "-b", BOARD.name, "--prefer", "ram", "--run", tmp_path / "one")
    again = _estimate(capsys, tmp_path / "one", "--explain")
    assert "prefer-ram" not in {one["id"] for one in again["savings"]}
    for option in (("--board", BOARD.name), ("--prefer", "balanced"), ("--input", "resident"), ("--ram", "64k")):
        refused = _estimate(capsys, tmp_path / "one", *option, code=2)
        assert refused["error"]["id"] == "run-is-settled" and option[0] in refused["error"]["what"]


@pytest.mark.parametrize("winner", [{"genotype": "64-rgb-d21100-a02"}, {"genotype": "x"}, {}])
def test_a_searchs_winner_is_compared_with_its_neighbours(winner: dict[str, str]) -> None:
    graph = from_genotype(Genotype.parse("64-rgb-d21100-a02"), 2)
    settings = SimpleNamespace(kind=Kind.SEARCH, prefer=Prefer.RAM, input_mode=InputMode.RESIDENT)
    context = SimpleNamespace(
        graph=graph,
        board=BOARD,
        limits=LIMITS,
        settings=settings,
        plan=plan_for(graph, BOARD, prefer=Prefer.RAM, ram_bytes=LIMITS.ram_bytes),
        run=SimpleNamespace(read_json=lambda _: winner),
    )
    found = {one.id for one in savings_of(context)}  # type: ignore[arg-type]
    neighbours = {"smaller-input", "mono", "narrower"}
    assert found & neighbours == (neighbours if winner.get("genotype", "x") != "x" else set())


def test_a_drawing_that_cannot_be_written_says_so(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _estimate(capsys, model, "-b", BOARD.name, "--run", tmp_path / "one", "--svg", model / "x.svg", code=9)
    assert found["error"]["id"] == "not-writable"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_a_run_shows_its_elf_and_its_board(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    arguments = ["deploy", model, "--board", BOARD.name, "--emulate", "--images", 1, "--run", folder, "-q"]
    assert run([str(one) for one in arguments]) == 0
    found = _estimate(capsys, folder, "--published")
    elf, board = found["estimate"]["found"]["linked ELF"], found["estimate"]["found"]["emulated"]
    assert elf["arena"] == board["arena"] and elf["static"] == board["static"]
    rows = {row["name"]: row for row in found["published"]["rows"]}
    assert (rows["RAM"]["found"]["bytes"], rows["RAM"]["found"]["source"]) == (board["total"], "emulated")
    assert (rows["flash"]["found"]["bytes"], rows["flash"]["found"]["source"]) == (elf["flash"], "linked ELF")
    assert json.loads((folder / "report.json").read_bytes())["files"] == {
        "memory map": "memory-map.svg",
        "page": "report.html",
    }
    # Figures of another build are not shown as those of this one.
    built = json.loads((folder / "firmware" / "elf.json").read_bytes())
    (folder / "firmware" / "elf.json").write_text(json.dumps(built | {"build_id": "0" * 16}))
    assert _estimate(capsys, folder)["estimate"]["found"] == {}
    rendered = json.loads((folder / "firmware" / "rendered.json").read_bytes())
    (folder / "firmware" / "rendered.json").write_text(json.dumps(rendered | {"build_id": "0" * 16}))
    assert list(_estimate(capsys, folder)["estimate"]["found"]) == ["linked ELF"]
