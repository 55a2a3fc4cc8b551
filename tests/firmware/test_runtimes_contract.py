"""What holds for every runtime, on the host and on the emulated board.

The half of ``tflm`` needs a source tree of TensorFlow Lite Micro, which ``DANAS_TFLM_TREE`` names.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from aot_networks import mobilenet
from firmware_samples import tiny
from tflm_samples import users_tree

from pipeline import boards
from pipeline.boards import Board
from pipeline.device.flash import EmulatedFlasher, Program
from pipeline.device.link import SerialLink
from pipeline.device.protocol import Session
from pipeline.errors import ArenaTooSmallError, DeviceError, UsageError
from pipeline.estimate.model import MemoryPlan
from pipeline.firmware import build, render
from pipeline.firmware.runtimes import NAMES, open_runtime
from pipeline.firmware.runtimes.protocol import Runtime
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import Graph
from pipeline.graph.reader import parse
from pipeline.graph.reference import Reference
from pipeline.graph.writer import write

GRAPH, _ = tiny(side=16)
BOARD = boards.load("nucleo_f746zg")


@pytest.fixture(scope="module", params=NAMES)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Each runtime."""
    name = str(request.param)
    return open_runtime(name, tflm_tree=users_tree() if name == "tflm" else None)


# ---- on the host ----


def test_it_says_who_it_is(runtime: Runtime) -> None:
    assert runtime.name in NAMES
    assert runtime.description.startswith(runtime.name)


def test_the_plan_has_room_for_every_activation(runtime: Runtime) -> None:
    plan = runtime.plan(GRAPH, BOARD)
    assert plan.arena_bytes % 16 == 0
    assert {GRAPH.input.index, GRAPH.output.index} <= {place.tensor for place in plan.placements}
    for place in plan.placements:
        assert 0 <= place.offset <= plan.arena_bytes - place.size
        assert place.ring is not None or place.size >= GRAPH.tensors[place.tensor].nbytes


def test_the_same_model_gives_the_same_files(runtime: Runtime) -> None:
    plan = runtime.plan(GRAPH, BOARD)
    first = runtime.files(GRAPH, plan)
    assert first == runtime.files(GRAPH, plan)
    assert "runtime.h" in first.library
    assert first.model
    assert not [path for path in (*first.model, *first.library) if path.endswith(".j2") or path.startswith(("/", "."))]


def test_another_model_of_the_same_operators_changes_the_models_files_alone(runtime: Runtime) -> None:
    other, _ = tiny(seed=1, side=16)
    first, second = (runtime.files(graph, runtime.plan(graph, BOARD)) for graph in (GRAPH, other))
    assert first.library == second.library
    assert first.model != second.model


@pytest.mark.parametrize("name", ["*/ int x; /*", "\n#error hostile\n", '"); abort();', "$(reboot)", "\x1b[31m"])
def test_a_hostile_name_changes_no_code(runtime: Runtime, name: str) -> None:
    hostile = replace(GRAPH, tensors=tuple(replace(tensor, name=name) for tensor in GRAPH.tensors))
    plan = runtime.plan(GRAPH, BOARD)
    plain, made = runtime.files(GRAPH, plan), runtime.files(hostile, plan)
    assert made.library == plain.library
    for path, text in made.model.items():
        code, wanted = ([line.split("//")[0] for line in one.split("\n")] for one in (text, plain.model[path]))
        assert code == wanted


def test_a_model_without_operators_is_refused(runtime: Runtime) -> None:
    empty, plan = replace(GRAPH, operators=()), replace(runtime.plan(GRAPH, BOARD), segments=())
    with pytest.raises(UsageError) as caught:
        runtime.files(empty, plan)
    assert caught.value.id == "no-operators"


def test_the_estimate_has_its_items(runtime: Runtime, board: Board) -> None:
    plan = runtime.plan(GRAPH, BOARD)
    found = runtime.estimate(GRAPH, board, plan)
    assert [item.name for item in found.ram] == ["arena", "static", "stack"]
    assert found.ram[0].bytes == plan.arena_bytes
    # A program may do without the compiler's libraries.
    assert all(item.bytes > 0 or item.name == "libraries" for item in (*found.ram, *found.flash))
    assert found.stack_reserve == runtime.stack_bytes(board) >= board.stack.reserve_bytes
    assert found.macs > 0


def test_the_memory_map_is_the_plans(runtime: Runtime, board: Board) -> None:
    plan = runtime.plan(GRAPH, board)
    found = runtime.memory_map(GRAPH, board, plan)
    assert runtime.step in ("segment", "operator")
    assert found.arena_bytes == plan.arena_bytes
    assert {index for buffer in found.buffers for index in buffer.tensors} == {
        place.tensor for place in plan.placements
    }
    assert all(0 <= buffer.offset < buffer.end <= plan.arena_bytes for buffer in found.buffers)
    assert plan.peak_operator in {index for index, _ in found.moments[found.peak].operators}


# ---- on the emulated board ----


@dataclass(frozen=True)
class Running:
    """A program of a runtime, built."""

    graph: Graph
    plan: MemoryPlan
    firmware: build.Firmware
    lines: tuple[str, ...]

    @contextmanager
    def session(self, board: Board) -> Iterator[Session]:
        folder = self.firmware.elf.parents[2]
        with EmulatedFlasher(board).flash(Program(folder, self.firmware.environment, self.firmware.elf)) as device:
            link = SerialLink(device.port, baud=board.serial.baud)
            session = Session(link, health=device.check)
            session.connect()
            yield session
            link.close()


def _built(runtime: Runtime, graph: Graph, board: Board, folder: Path, arena_bytes: int | None = None) -> Running:
    plan = runtime.plan(graph, BOARD)
    plan = plan if arena_bytes is None else replace(plan, arena_bytes=arena_bytes)
    lines: list[str] = []
    rendered = render.render(graph, plan, board, into=folder, runtime=runtime)
    return Running(graph, plan, build.build(rendered.folder, board, on_line=lines.append), tuple(lines))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    return tmp_path_factory.mktemp("runtime")


@pytest.fixture(scope="module")
def running(runtime: Runtime, board: Board, folder: Path) -> Running:
    return _built(runtime, GRAPH, board, folder / runtime.name)


def _outputs(running: Running, board: Board, inputs: np.ndarray) -> list[bytes]:
    with running.session(board) as session:
        session.demand_ready()
        found = []
        for one in inputs:
            session.load(one.tobytes())
            session.run()
            found.append(session.output())
        return found


@pytest.mark.slow
@pytest.mark.parametrize("network", ["small", "mobilenet"])
def test_its_outputs_are_the_references(
    runtime: Runtime, running: Running, board: Board, folder: Path, network: str
) -> None:
    if network == "mobilenet":
        graph = parse(write(mobilenet(np.random.default_rng(3))))
        running = _built(runtime, graph, board, folder / f"{runtime.name}-mobilenet")
    file = folder / f"{network}.tflite"
    file.write_bytes(running.graph.content)
    inputs = random_inputs(running.graph.input, 6, seed=1)
    expected = [np.ascontiguousarray(one).tobytes() for one in Reference(file).run(inputs)]
    assert _outputs(running, board, inputs) == expected
    assert len(set(expected)) > 1


@pytest.mark.slow
def test_it_reports_memory_and_operators(runtime: Runtime, running: Running, board: Board) -> None:
    image = random_inputs(GRAPH.input, 1, seed=2)[0].tobytes()
    with running.session(board) as session:
        identity = session.identity()
        before = session.memory()
        counts = []
        for _ in range(2):
            session.load(image)
            counts.append(session.run())
        after, operators = session.memory(), session.ops()
    assert identity.runtime == runtime.name
    assert (identity.input_bytes, identity.output_bytes) == (GRAPH.input.nbytes, GRAPH.output.nbytes)
    assert before.arena_bytes == after.arena_bytes == running.plan.arena_bytes
    assert 0 < after.arena_used <= after.arena_bytes
    assert (after.head is None) == (after.tail is None)
    if after.head is not None and after.tail is not None:
        assert after.arena_used == after.head + after.tail
    assert (after.stack_used or 0) <= (after.stack_reserve or 0) == runtime.stack_bytes(board)
    assert counts[0] == counts[1]
    assert [one.code for one in operators] == [stage.name for stage in running.plan.stages]
    assert 0 < sum(one.cycles for one in operators) <= counts[0]


@pytest.mark.slow
def test_its_estimate_holds(runtime: Runtime, running: Running, board: Board) -> None:
    inputs = random_inputs(GRAPH.input, 1, seed=3)
    with running.session(board) as session:
        session.load(inputs[0].tobytes())
        session.run()
        session.output()
        memory = session.memory()
    found, tolerances = runtime.estimate(GRAPH, board, running.plan), runtime.tolerances
    ram = memory.arena_used + (memory.static_bytes or 0) + (memory.stack_used or 0)
    assert ram <= found.ram_bytes
    assert 0 < (memory.stack_used or 0) <= found.ram[2].bytes
    flash = running.firmware.report.flash_bytes
    assert abs(found.flash_bytes - flash) <= tolerances.flash * flash


@pytest.mark.slow
def test_what_was_built_before_is_not_built_again(running: Running, runtime: Runtime, board: Board) -> None:
    """The second model of the same operators: its own files, and nothing of the runtime."""
    other, _ = tiny(seed=4, side=16)
    again = _built(runtime, other, board, running.firmware.elf.parents[2])
    compiled = {Path(line.split()[1]).name for line in again.lines if line.startswith("Compiling ")}
    assert compiled <= {"model.o", "constants.o", "identity.o"}
    _built(runtime, GRAPH, board, running.firmware.elf.parents[2])


@pytest.mark.slow
def test_an_arena_that_is_too_small_is_reported_with_the_size_that_works(board: Board, folder: Path) -> None:
    """Of ``tflm`` alone: the arena of ``aot`` is part of its program."""
    runtime = open_runtime("tflm", tflm_tree=users_tree())
    image = random_inputs(GRAPH.input, 1, seed=2)[0].tobytes()
    small = _built(runtime, GRAPH, board, folder / "arena", arena_bytes=512)
    with small.session(board) as session:
        with pytest.raises(ArenaTooSmallError) as caught:
            session.demand_ready()
        with pytest.raises(DeviceError, match="runtime not ready"):
            session.load(image)
    enough = _built(runtime, GRAPH, board, folder / "arena", arena_bytes=caught.value.needed)
    with enough.session(board) as session:
        session.demand_ready()
        session.load(image)
        assert session.run() > 0
    less = _built(runtime, GRAPH, board, folder / "arena", arena_bytes=caught.value.needed - 16)
    with less.session(board) as session, pytest.raises(ArenaTooSmallError):
        session.demand_ready()
