"""The estimate against the linker and the emulated board: the calibration table is that of today's kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import graph_samples
import pytest
from device_samples import demand_emulator

from pipeline import boards
from pipeline.estimate import estimate, plan
from pipeline.estimate.flash import UNDECIDED
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import Graph
from pipeline.graph.reader import parse
from pipeline.graph.skeleton import from_genotype


def _network(name: str) -> tuple[Graph, Graph]:
    """(what is estimated, what is built)."""
    skeleton = from_genotype(Genotype.parse(name), 2)
    return skeleton, filled(skeleton, seed=9)


def _every_kernel() -> tuple[Graph, Graph]:
    graph = parse(graph_samples.content(cast=True))
    return graph, graph


_Make = Callable[[], tuple[Graph, Graph]]
_SMALL: _Make = partial(_network, "32-mono-d10000-a02")
_CASES: list[tuple[str, _Make]] = [
    ("nucleo_f746zg", _SMALL),
    ("nucleo_f746zg", partial(_network, "64-rgb-d21100-a04")),
    ("nucleo_f746zg", _every_kernel),
    ("nucleo_l4r5zi", _SMALL),
    ("nucleo_l4r5zi", _every_kernel),
    ("nucleo_h743zi", _every_kernel),
    ("mps2_an386", _SMALL),
    ("mps2_an500", _every_kernel),
    ("nucleo_f446re", _SMALL),
]
#: Bytes by which what the compiler makes of the calls may differ: of a small program more than 0.5 %.
_FLASH = 128


@pytest.mark.slow
@pytest.mark.parametrize(("name", "make"), _CASES)
def test_ram_and_flash_are_within_their_tolerances(name: str, make: _Make, tmp_path: Path) -> None:
    board = demand_emulator(boards.load(name))
    from pipeline.device import emulated
    from pipeline.device.link import SerialLink
    from pipeline.device.measure import measure
    from pipeline.device.protocol import Session
    from pipeline.firmware import callgraph
    from pipeline.firmware.build import build
    from pipeline.firmware.forms import forms
    from pipeline.firmware.render import render

    shapes, graph = make()
    expected = estimate(shapes, board)
    render(graph, plan(graph), board, into=tmp_path)
    firmware = build(tmp_path, board)
    exact = estimate(graph, board, forms=forms(graph, plan(graph))).flash_bytes
    assert exact == pytest.approx(firmware.report.flash_bytes, rel=0.005, abs=_FLASH)
    undecided = sum(item.bytes for item in expected.flash if item.name == UNDECIDED)
    assert expected.flash_bytes - undecided <= exact + _FLASH and exact <= expected.flash_bytes + _FLASH
    parts = {item.name: item.bytes for item in expected.ram}
    assert parts["arena"] == firmware.report.arena_bytes
    arena, static = firmware.report.ram
    assert (expected.ram[0].bytes, expected.ram[1]) == (arena.bytes, static)

    with emulated.start(board, firmware.elf) as device:
        link = SerialLink(device.port, baud=board.serial.baud)
        try:
            inputs = [random_inputs(graph.input, 1, seed=0).tobytes()]
            measured = measure(Session(link, health=device.check), inputs=inputs, statistics=device.statistics)
        finally:
            link.close()
    memory = measured.memory_after
    assert (memory.arena.value, memory.static.value) == (parts["arena"], parts["static"])
    stack = memory.stack_used.value
    bound = callgraph.bounds(callgraph.functions_of(firmware.elf, firmware.elf.parent))
    assert stack is not None and stack <= bound.bytes <= parts["stack"] <= max(1.25 * stack, stack + 256)
    assert parts["stack"] + expected.frame_reserve <= firmware.report.stack_reserve
