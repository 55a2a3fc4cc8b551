"""A MobileNet whose input is never there in whole, on the emulated board: from the command to the very bytes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import aot_networks
import numpy as np
import pytest

from pipeline.__main__ import run
from pipeline.boards import Board
from pipeline.device.measure import Measurement, measure
from pipeline.device.protocol import Session
from pipeline.errors import DeviceError
from pipeline.estimate.model import InputMode, Prefer
from pipeline.firmware.runtimes.aot import AotRuntime
from pipeline.graph.inputs import random_inputs
from pipeline.graph.reader import parse
from pipeline.graph.reference import Reference
from pipeline.graph.writer import write
from pipeline.job import deploying
from pipeline.job.deploying import Made, Recipe
from pipeline.report.diff import Diff
from pipeline.report.profile import Profile
from pipeline.settings import Target

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc"),
]

SIDE = 48
EMULATED = Target(emulate=True)


@pytest.fixture(scope="module")
def content() -> bytes:
    return write(aot_networks.mobilenet(np.random.default_rng(8), size=SIDE))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, board: Board, content: bytes) -> dict[InputMode, Made]:
    """The same network with either kind of input."""
    return {
        mode: deploying.make(
            content,
            board,
            into=tmp_path_factory.mktemp(mode.value),
            recipe=Recipe(prefer=Prefer.RAM, input_mode=mode),
        )
        for mode in InputMode
    }


@pytest.fixture
def session(made: dict[InputMode, Made], board: Board) -> Iterator[Session]:
    """With the streamed one."""
    program = made[InputMode.STREAMED].program
    with deploying.started(program, board, EMULATED) as running, deploying.conversation(board, running) as talk:
        talk.connect()
        yield talk


def test_the_output_is_the_references_and_ram_is_less(
    made: dict[InputMode, Made], board: Board, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    inputs = random_inputs(parse(content).input, 3, seed=1)
    expected = tuple(row.tobytes() for row in Reference(path).run(inputs))
    found: dict[InputMode, Measurement] = {}
    for mode, program in made.items():
        with (
            deploying.started(program.program, board, EMULATED) as running,
            deploying.conversation(board, running) as talk,
        ):
            found[mode] = measure(
                talk,
                inputs=[one.tobytes() for one in inputs],
                expected=program.expected,
                statistics=running.statistics,
            )
        assert found[mode].outputs == expected
        assert found[mode].memory_after.arena_used.value <= program.plan.arena_bytes  # type: ignore[operator]
    streamed, resident = (
        int(found[mode].memory_after.ram.value or 0) for mode in (InputMode.STREAMED, InputMode.RESIDENT)
    )
    assert streamed < resident - SIDE * SIDE * 3 // 4
    assert [found[mode].identity.input_rows for mode in (InputMode.STREAMED, InputMode.RESIDENT)] == [SIDE, 0]
    operators = found[InputMode.STREAMED].operators
    assert operators[0].code == "INPUT"
    cycles = int(found[InputMode.STREAMED].inputs[-1].cycles.value or 0)
    computing = sum(int(operator.cycles.value or 0) for operator in operators[1:])
    assert computing <= cycles <= 1.05 * computing, "what is no operator's is a little, and no waiting"


def test_the_estimate_is_of_the_plan_that_runs(made: dict[InputMode, Made], board: Board) -> None:
    for program in made.values():
        expected, report = AotRuntime().estimate(program.graph, board, program.plan), program.firmware.report
        parts = {item.name: item.bytes for item in expected.ram}
        assert parts["arena"] == report.arena_bytes
        assert expected.flash_bytes == pytest.approx(report.flash_bytes, rel=0.03)
        assert parts["static"] == report.static_bytes


def test_waiting_costs_no_cycles(made: dict[InputMode, Made], session: Session) -> None:
    data = random_inputs(made[InputMode.STREAMED].graph.input, 1, seed=2).tobytes()
    seen = []

    def dawdle(done: int, _total: int) -> None:
        if done % 1000 < SIDE * 3:
            time.sleep(0.05)

    for progress in (None, dawdle, None):
        seen.append(session.stream(data, progress=progress))
    assert len(set(seen)) == 1


def test_a_stream_that_stops_half_way_is_given_up_and_the_next_works(
    made: dict[InputMode, Made], board: Board, session: Session
) -> None:
    graph = made[InputMode.STREAMED].graph
    data = random_inputs(graph.input, 1, seed=3).tobytes()
    wanted = session.infer_on(data)
    output = session.output()

    def leave(done: int, _total: int) -> None:
        if done > len(data) // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.stream(data, progress=leave)
    session.connect()  # A host that comes back.
    with pytest.raises(DeviceError, match="no output"):
        session.output()
    assert session.crc().input == 0
    assert session.infer_on(data) == wanted
    assert session.output() == output
    with pytest.raises(DeviceError, match="the input is streamed"):
        session.load(data)


def test_the_commands_take_the_option(
    made: dict[InputMode, Made], content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(content)
    common = [str(model), "--board", "nucleo_f746zg", "--emulate", "--input", "streamed", "--prefer", "ram"]
    common += ["-q", "--json"]
    folder = str(made[InputMode.STREAMED].program.folder)  # Where all is compiled already.
    assert run(["profile", *common, "--into", folder]) == 0
    found = Profile.model_validate(json.loads(capsys.readouterr().out)["profile"])
    assert found.lines[0].name == "INPUT"
    assert sum(line.share or 0 for line in found.lines) == pytest.approx(1, abs=0.06)
    assert run(["diff", *common, "--images", "1", "--into", folder]) == 0
    assert Diff.model_validate(json.loads(capsys.readouterr().out)["diff"]).found is None
    assert run(["deploy", *common, "--images", "2", "--run", str(tmp_path / "run")]) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert all(check["passed"] for check in report["verdict"]["checks"])
