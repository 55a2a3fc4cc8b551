"""A program's bytes shared out by its link map: of a small map, of damaged ones, and of a whole program."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.boards import Board
from pipeline.errors import BuildError
from pipeline.firmware import link_map
from pipeline.firmware.anatomy import dissect
from pipeline.firmware.elf import ElfReport
from pipeline.firmware.link_map import Piece

_PLACE = "/x/build/nucleo_local"
_MAP = f"""Archive member included to satisfy reference by file (symbol)

Linker script and memory map

LOAD {_PLACE}/src/model.o

.vectors        0x08000000       0x40
 *(.vectors)
 .vectors       0x08000000       0x40 {_PLACE}/lib33a/port/cortex_m/startup.o

.text           0x08000040       0xb0
 *(.text .text.*)
 .text.start    0x08000040       0x12 {_PLACE}/lib33a/port/cortex_m/startup.o
                0x08000040                start
 *fill*         0x08000052        0x2{" "}
 .text._ZN5danas3aot7conv_2dERKNS0_12Conv2dParamsE
                0x08000054       0x4c {_PLACE}/lib924/runtime/conv_2d.o
 .text._ZN5danas3app5serveEb
                0x080000a0       0x10 {_PLACE}/libb23/app/protocol.o
 .text._ZN5danas7runtime12_GLOBAL__N_14callEjl
                0x080000b0       0x20 {_PLACE}/src/model.o
 .text._ZN5danas7runtime4initEv
                0x080000d0        0x8 {_PLACE}/src/model.o
 .text          0x080000d8       0x18 /usr/lib/gcc/arm-none-eabi/12.2.1/thumb/libgcc.a(_udivmoddi4.o)

.glue_7         0x080000f0        0x0
 .glue_7        0x080000f0        0x0 linker stubs

.rodata         0x080000f0       0x60
 *(.rodata .rodata.*)
 .rodata.help.str1.1
                0x080000f0       0x20 {_PLACE}/libb23/app/protocol.o
                                 0x27 (size before relaxing)
 .rodata.name.str1.1
                0x08000108        0x8 {_PLACE}/libb23/app/protocol.o
 .rodata._ZN5danas5model10kConstant0E
                0x08000110       0x30 {_PLACE}/src/constants.o
 .rodata._ZN5danas7runtime12_GLOBAL__N_1L7kStage0E
                0x08000140        0x8 {_PLACE}/src/model.o
 .rodata._ZN5danas7runtime12_GLOBAL__N_1L5kEndsE
                0x08000148        0x6 {_PLACE}/src/model.o
 *fill*         0x0800014e        0x2{" "}

.bss            0x20000000       0x10
 .bss.done      0x20000000       0x10 {_PLACE}/src/model.o
"""


def _report(path: Path, flash_bytes: int) -> ElfReport:
    return ElfReport(path, {}, {}, flash_bytes, 0, 0, 0, "", "", "", "")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "firmware.map"
    path.write_text(_MAP, encoding="utf-8")
    return path


def test_pieces_are_as_large_as_their_sections(small: Path) -> None:
    pieces = link_map.read(small)
    sizes: dict[str, int] = {}
    for piece in pieces:
        sizes[piece.section] = sizes.get(piece.section, 0) + piece.size
    assert sizes == {".vectors": 0x40, ".text": 0xB0, ".glue_7": 0, ".rodata": 0x60, ".bss": 0x10}
    assert Piece(".text", "", "", 2) in pieces
    # Where texts were merged, the sizes in the map overlap: a piece ends where the next begins.
    assert next(piece.size for piece in pieces if piece.name == ".rodata.help.str1.1") == 0x18


def test_each_byte_belongs_to_an_item(small: Path) -> None:
    found = dissect(_report(small, 0x154), small)
    assert {item.name: item.bytes for item in found.items} == {
        "model": 0x30 + 8 + 8,
        "kernels": 0x4C,
        "runtime": 0x28,
        "port": 0x40 + 0x14 + 0x10 + 0x20 + 4,
        "libraries": 0x18,
    }
    assert sum(item.bytes for item in found.items) == 0x154
    parts = {(item.name, part.name): part.bytes for item in found.items for part in item.parts}
    assert parts["model", "weights and tables"] == 0x30
    assert parts["model", "schedule"] == 8, "with what was filled in behind it"
    assert parts["runtime", "calls"] == 0x20
    assert parts["port", "command loop"] == 0x30
    assert parts["port", "padding"] == 4
    assert found.pieces == {
        "conv_2d/_ZN5danas3aot7conv_2dERKNS0_12Conv2dParamsE": 0x4C,
        "gcc/_udivmoddi4/.text": 0x18,
    }
    for item in found.items:
        assert sum(part.bytes for part in item.parts) == item.bytes


@pytest.mark.parametrize("text", ["", "Linker script and memory map\n", "no map at all", "\0" * 100])
def test_what_is_no_map_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "firmware.map"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BuildError) as caught:
        link_map.read(path)
    assert caught.value.id == "bad-map"
    with pytest.raises(BuildError):
        link_map.read(tmp_path / "missing.map")


@given(st.lists(st.tuples(st.integers(0, len(_MAP)), st.text(" \n*.0xf", max_size=8)), max_size=8))
def test_a_damaged_map_is_read_or_refused(changes: list[tuple[int, str]]) -> None:
    text = _MAP
    for at, new in changes:
        text = text[:at] + new + text[at + len(new) :]
    found = link_map.parse(text)
    assert all(piece.size >= 0 for piece in found)


@pytest.mark.slow
def test_a_program_s_items_are_its_image(board: Board, tmp_path: Path) -> None:
    """And the estimate's, but for what the compiler makes of a call."""
    from pipeline.estimate import estimate
    from pipeline.estimate.planner import plan
    from pipeline.firmware.build import build
    from pipeline.firmware.forms import forms
    from pipeline.firmware.render import render
    from pipeline.genotype import Genotype
    from pipeline.graph.filling import filled
    from pipeline.graph.skeleton import from_genotype

    graph = filled(from_genotype(Genotype.parse("32-mono-d10000-a02"), 2), seed=9)
    memory = plan(graph)
    render(graph, memory, board, into=tmp_path)
    firmware = build(tmp_path, board)
    found = dissect(firmware.report, firmware.map)
    assert sum(item.bytes for item in found.items) == firmware.report.flash_bytes
    expected = {item.name: item for item in estimate(graph, board, plan=memory, forms=forms(graph, memory)).flash}
    assert list(expected) == [item.name for item in found.items]
    for item in found.items:
        assert abs(expected[item.name].bytes - item.bytes) <= 128, item.name
    kernels = {part.name for part in expected["kernels"].parts}
    assert kernels == {part.name for item in found.items if item.name == "kernels" for part in item.parts}
    assert sum(item.bytes for item in expected.values()) - firmware.report.flash_bytes >= -256
