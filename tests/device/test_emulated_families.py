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
from numpy.typing import NDArray
from test_emulated_end_to_end import SIDE, model

from pipeline import boards
from pipeline.boards import Board, Engine, QemuEmulator
from pipeline.device.emulator import image
from pipeline.device.flash import EmulatedFlasher, Program
from pipeline.device.link import SerialLink
from pipeline.device.measure import Measurement, measure
from pipeline.device.protocol import Expected, Session
from pipeline.estimate.planner import plan
from pipeline.estimate.regions import linked, place
from pipeline.figures import Source
from pipeline.firmware import build, elf, render
from pipeline.genotype import Genotype
from pipeline.graph import reader
from pipeline.graph.filling import filled
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import Graph
from pipeline.graph.reference import Reference
from pipeline.graph.skeleton import from_genotype

pytestmark = pytest.mark.slow

#: Boards with each of the engines that they name.
EMULATED = [(name, one.engine) for name in boards.names() for one in boards.load(name).emulators]
BOTH = [name for name in boards.names() if len(boards.load(name).emulators) > 1]
IMAGES = np.random.default_rng(3).integers(-128, 128, (3, SIDE, SIDE, 3), dtype=np.int8)


@dataclass(frozen=True)
class Built:
    """A board with a model's firmware for it."""

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
    return cache(lambda name: built_for(name, graph, folder / name))


def built_for(name: str, graph: Graph, folder: Path) -> Built:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    board = boards.load(name)
    rendered = render.render(graph, plan(graph), board, into=folder)
    firmware = build.build(rendered.folder, board)
    expected = Expected(name, firmware.build_id, firmware.model_hash)
    return Built(board, Program(rendered.folder, firmware.environment, firmware.elf), expected)


def measured(built: Built, engine: str, images: NDArray[np.int8] = IMAGES) -> Measurement:
    """What the very same ELF says on an engine."""
    board = demand_emulator(built.board.emulated_by(Engine(engine)))
    with EmulatedFlasher(board).flash(built.program) as device:
        link = SerialLink(device.port, baud=board.serial.baud)
        try:
            return measure(
                Session(link, health=device.check),
                inputs=[image.tobytes() for image in images],
                expected=built.expected,
                statistics=device.statistics,
            )
        finally:
            link.close()


@pytest.mark.parametrize(("name", "engine"), EMULATED)
def test_each_board_gives_the_references_bytes(name: str, engine: str, made: Make, file: Path) -> None:
    built = made(name)
    found = measured(built, engine)
    assert found.outputs == tuple(row.tobytes() for row in Reference(file).run(IMAGES))
    assert found.target == "emulated"
    assert found.memory_after.ram.source is Source.EMULATED
    memory = found.memory_after
    assert 0 < int(memory.arena_used.value or 0) <= int(memory.arena.value or 0)
    assert 0 < int(memory.stack_used.value or 0) < built.board.stack.reserve_bytes
    assert found.emulator is not None
    emulator = built.board.emulated_by(Engine(engine)).emulator
    if isinstance(emulator, QemuEmulator):
        assert found.clock.value == emulator.instructions_per_second
        assert found.emulator.stack_used.value is None and found.emulator.stack_used.reason
    else:
        assert found.clock.value == built.board.core.clock_hz
        assert 0 <= int(found.emulator.stack_used.value or 0) - int(memory.stack_used.value or 0) <= 16


def test_an_arena_that_the_fastest_region_cannot_hold_lies_in_the_next(tmp_path: Path) -> None:
    """Of RAM in several pieces: stack and static data stay in DTCM, the arena is in AXI SRAM."""
    path = tmp_path / "large.tflite"
    path.write_bytes(model(216))
    built = built_for("nucleo_h743zi", reader.read(path), tmp_path / "built")
    report = elf.read(built.program.elf)
    assert report.arena_bytes > built.board.ram[0].bytes
    found = linked(built.board, report.symbols)
    assert [block.where for block in found.blocks] == ["dtcm", "dtcm", "axi_sram"] and not found.over
    image = np.random.default_rng(4).integers(-128, 128, (1, 216, 216, 3), dtype=np.int8)
    seen = measured(built, "unicorn", image)
    assert seen.outputs == tuple(row.tobytes() for row in Reference(path).run(image))
    memory = seen.memory_after
    assert seen.emulator is not None
    assert 0 <= int(seen.emulator.stack_used.value or 0) - int(memory.stack_used.value or 0) <= 16
    assert 0 < int(memory.arena_used.value or 0) <= report.arena_bytes == memory.arena.value


@pytest.mark.parametrize("name", BOTH)
def test_two_engines_agree_on_the_same_elf(name: str, tmp_path: Path) -> None:
    """QEMU's machine and our model share no code for the board: same bytes, same stack, same counts to 0.1 %.

    What is compared are the firmware's own differences of counts, over the same command. They may differ by what a look
    at the clock takes, two a step: a register on one engine, a timer on the other, of 40 instructions a tick.
    """
    graph = filled(from_genotype(Genotype.parse("32-mono-d10000-a02"), 2), seed=4)
    built = built_for(name, graph, tmp_path)
    images = random_inputs(graph.input, 2, seed=5)
    ours, qemu = (measured(built, engine, images) for engine in ("unicorn", "qemu"))
    assert ours.identity.build == qemu.identity.build
    assert ours.outputs == qemu.outputs
    assert ours.memory_after.stack_used == qemu.memory_after.stack_used
    assert ours.memory_after.arena_used == qemu.memory_after.arena_used
    for one, other in zip(ours.inputs, qemu.inputs, strict=True):
        assert int(one.cycles.value or 0) > 500_000
        assert other.cycles.value == pytest.approx(one.cycles.value, rel=0.001)
    for mine, theirs in zip(ours.operators, qemu.operators, strict=True):
        assert mine.code == theirs.code
        assert theirs.cycles.value == pytest.approx(mine.cycles.value, rel=0.004, abs=120)


@pytest.mark.parametrize("name", sorted({name for name, _ in EMULATED}))
def test_everything_lies_where_it_was_said_to(made: Make, name: str) -> None:
    """By the ELF's addresses, the range that the emulator watches for the lowest store, and the device's reply."""
    built = made(name)
    report = elf.read(built.program.elf)
    found = place(built.board, stack=report.stack_reserve, static=report.static_bytes, arena=report.arena_bytes)
    assert linked(built.board, report.symbols) == found
    stack, static, arena = found.blocks
    watched = image.read(built.program.elf, built.board).stack
    assert (watched.begin, watched.end) == (stack.base, stack.end)
    assert built.board.emulator is not None
    memory = measured(built, built.board.emulator.engine, IMAGES[:1]).memory_after
    assert (memory.stack_reserve.value, memory.static.value) == (stack.bytes, static.bytes)
    assert memory.arena.value == arena.bytes
