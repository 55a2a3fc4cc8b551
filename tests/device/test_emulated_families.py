"""Every board that can be emulated, on whichever engine: the same model gives the reference's bytes on each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from device_samples import demand_emulator
from test_emulated_end_to_end import SIDE, model

from pipeline import boards
from pipeline.boards import Board, QemuEmulator
from pipeline.device.emulator import image
from pipeline.device.flash import EmulatedFlasher, Program
from pipeline.device.link import SerialLink
from pipeline.device.measure import Measurement, measure
from pipeline.device.protocol import Expected, Session
from pipeline.estimate.planner import plan
from pipeline.estimate.regions import linked, place
from pipeline.figures import Source
from pipeline.firmware import build, elf, render
from pipeline.graph import reader
from pipeline.graph.reference import Reference

pytestmark = pytest.mark.slow

EMULATED = [name for name in boards.names() if boards.load(name).emulator is not None]
IMAGES = np.random.default_rng(3).integers(-128, 128, (3, SIDE, SIDE, 3), dtype=np.int8)


@dataclass(frozen=True)
class Built:
    """A board with the model's firmware for it."""

    board: Board
    program: Program
    expected: Expected


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    path.write_bytes(model())
    return path


Make = Callable[[str], Built]


@pytest.fixture(scope="module")
def made(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Builds the model's firmware for a board, once."""
    folder = tmp_path_factory.mktemp("families")
    graph = reader.read(file)

    @cache
    def make(name: str) -> Built:
        if shutil.which("arm-none-eabi-gcc") is None:
            pytest.skip("arm-none-eabi-gcc is not installed")
        board = demand_emulator(boards.load(name))
        rendered = render.render(graph, plan(graph), board, into=folder / name)
        firmware = build.build(rendered.folder, board)
        expected = Expected(name, firmware.build_id, firmware.model_hash)
        return Built(board, Program(rendered.folder, firmware.environment, firmware.elf), expected)

    return make


def measured(built: Built) -> Measurement:
    with EmulatedFlasher(built.board).flash(built.program) as device:
        link = SerialLink(device.port, baud=built.board.serial.baud)
        try:
            return measure(
                Session(link, health=device.check),
                inputs=[image.tobytes() for image in IMAGES],
                expected=built.expected,
                statistics=device.statistics,
            )
        finally:
            link.close()


@pytest.mark.parametrize("name", EMULATED)
def test_each_board_gives_the_references_bytes(name: str, made: Make, file: Path) -> None:
    built = made(name)
    found = measured(built)
    assert found.outputs == tuple(row.tobytes() for row in Reference(file).run(IMAGES))
    assert found.target == "emulated"
    assert found.memory_after.ram.source is Source.EMULATED
    memory = found.memory_after
    assert 0 < int(memory.arena_used.value or 0) <= int(memory.arena.value or 0)
    assert 0 < int(memory.stack_used.value or 0) < built.board.stack.reserve_bytes
    assert found.emulator is not None
    if isinstance(built.board.emulator, QemuEmulator):
        assert found.clock.value == built.board.emulator.instructions_per_second
        assert found.emulator.stack_used.value is None and found.emulator.stack_used.reason
    else:
        assert found.clock.value == built.board.core.clock_hz
        assert 0 <= int(found.emulator.stack_used.value or 0) - int(memory.stack_used.value or 0) <= 16


def test_two_engines_agree_on_the_same_code(made: Make) -> None:
    """The Cortex-M7's kernels are the same bytes on both boards: so are their counts, but for the reading of the clock.

    That is a register here and a timer there, read once a step.
    """
    ours = measured(made("nucleo_f746zg"))
    qemu = measured(made("mps2_an500"))
    assert ours.outputs == qemu.outputs
    assert ours.memory_after.stack_used == qemu.memory_after.stack_used
    for one, other in zip(ours.inputs, qemu.inputs, strict=True):
        assert other.cycles.value == pytest.approx(one.cycles.value, rel=0.004)


@pytest.mark.parametrize("name", EMULATED)
def test_everything_lies_where_it_was_said_to(made: Make, name: str) -> None:
    """By the ELF's addresses, the range that the emulator watches for the lowest store, and the device's reply."""
    built = made(name)
    report = elf.read(built.program.elf)
    found = place(built.board, stack=report.stack_reserve, static=report.static_bytes, arena=report.arena_bytes)
    assert linked(built.board, report.symbols) == found
    stack, static, arena = found.blocks
    watched = image.read(built.program.elf, built.board).stack
    assert (watched.begin, watched.end) == (stack.base, stack.end)
    memory = measured(built).memory_after
    assert (memory.stack_reserve.value, memory.static.value) == (stack.bytes, static.bytes)
    assert memory.arena.value == arena.bytes
