"""What a stage costs: the firmware's report against the plan, figures with sources, the table, the command."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import graph_samples
import pytest

from pipeline import boards
from pipeline.__main__ import run
from pipeline.device.deadline import ManualClock
from pipeline.device.fake import FakeDevice, Misbehaviour, fake_identity
from pipeline.device.link import MemoryLink
from pipeline.device.protocol import Expected, Session
from pipeline.errors import DeviceError, UsageError
from pipeline.estimate.macs import macs
from pipeline.estimate.planner import plan
from pipeline.estimate.stages import image_rows
from pipeline.figures import Source
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import OpCode
from pipeline.graph.reader import parse
from pipeline.job import deploying, profiling
from pipeline.job.deploying import Made, Recipe
from pipeline.progress import QuietDisplay
from pipeline.report.profile import Profile, profile_text
from pipeline.settings import Target

needs_compiler = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")


@pytest.fixture(scope="module")
def made() -> Made:
    """A program that was never built: these tests look at its model alone."""
    content = graph_samples.content()
    graph = parse(content)
    return Made(content, graph, plan(graph), cast(Any, None), cast(Any, None), Expected())


def _session(made: Made, lines: list[str]) -> Session:
    reply = "".join(f"{line}\r\n" for line in [*lines, "m-ready"]).encode()
    rows = image_rows(made.graph.input) if made.plan.streams(made.graph.input.index) else 0
    identity = fake_identity(input_bytes=made.graph.input.nbytes, model=made.graph.sha256, input_rows=rows)
    clock = ManualClock()
    device = FakeDevice(identity, clock=clock, misbehaviour=Misbehaviour(replace={"ops": reply}))
    return Session(MemoryLink(device, clock=clock), clock=clock)


def _reported(made: Made, cycles: int = 1000) -> list[str]:
    return [f"m-op-[{one.index} {one.name} {cycles + one.index}]" for one in made.plan.stages]


def _profile(made: Made, lines: list[str], *, emulated: bool = True, inputs: int = 1) -> Profile:
    session = _session(made, lines)
    session.connect()
    sent = random_inputs(made.graph.input, inputs, 0)
    return profiling.profile_of(made, session, inputs=sent, emulated=emulated, step=QuietDisplay())


def test_each_operator_is_in_one_stage_and_in_order(made: Made) -> None:
    """But for RESHAPE, which costs nothing."""
    indices = [operator.index for stage in made.plan.stages for operator in stage.operators]
    assert indices == [operator.index for operator in made.graph.operators if operator.code is not OpCode.RESHAPE]


def test_a_profile_says_what_each_stage_costs(made: Made) -> None:
    found = _profile(made, _reported(made), inputs=2)
    first = found.lines[0]
    assert (first.name, first.operators, first.output) == ("CONV_2D", (0,), (5, 4, 8))
    assert (first.count.value, first.macs.value) == (1000, 5 * 4 * 8 * 27)
    assert first.per_mac == pytest.approx(1000 / (5 * 4 * 8 * 27))
    assert first.share == pytest.approx(1000 / 123_456)
    assert first.constants.value == 8 * 3 * 12 + 8 * 8
    assert found.macs.value == macs(made.graph)
    assert found.total.value == 123_456
    assert next(line for line in found.lines if line.name == "SOFTMAX").per_mac is None
    assert Profile.model_validate_json(found.model_dump_json()) == found


def test_waiting_for_a_streamed_input_is_an_entry_of_its_own(made: Made) -> None:
    streamed = replace(made, plan=plan(made.graph, streamed_input=True))
    stages = [line.split(" ")[1] for line in _reported(made)]
    lines = [f"m-op-[{index} {code} {1000 + index}]" for index, code in enumerate(["INPUT", *stages])]
    found = _profile(streamed, lines)
    waiting, first = found.lines[:2]
    assert (waiting.name, waiting.operators, waiting.count.value, waiting.share) == ("INPUT", (), 1000, None)
    assert waiting.output == made.graph.input.shape[1:]
    assert (first.name, first.operators, first.count.value) == ("CONV_2D", (0,), 1001)
    assert found.total.value == 123_456
    assert "INPUT" in profile_text(found)
    assert Profile.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(DeviceError, match="CONV_2D as stage 0, the plan has INPUT"):
        _profile(streamed, _reported(made))


def test_an_emulated_board_has_instructions_and_no_time(made: Made) -> None:
    emulated, measured = (_profile(made, _reported(made), emulated=emulated) for emulated in (True, False))
    assert (emulated.total.unit, emulated.total.source, emulated.time) == ("instructions", Source.EMULATED, None)
    assert (measured.total.unit, measured.total.source) == ("cycles", Source.MEASURED)
    assert measured.time is not None
    assert measured.time.value == pytest.approx(123_456 / 216_000)
    assert " ms an inference" in profile_text(measured)
    assert " ms" not in profile_text(emulated)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda lines: lines[:-1], "stage 8"),
        (lambda lines: [*lines, f"m-op-[{len(lines)} CONV_2D 5]"], "the plan has nothing"),
        (lambda lines: [line.replace(" ADD ", " SUB ") for line in lines], "SUB as stage 2, the plan has ADD"),
        (lambda lines: [], "nothing as stage 0, the plan has CONV_2D"),
    ],
)
def test_a_report_of_other_stages_is_refused(made: Made, spoil: Any, named: str) -> None:
    with pytest.raises(DeviceError, match=named) as caught:
        _profile(made, spoil(_reported(made)))
    assert caught.value.id == "other-stages"


def test_the_table_has_a_line_a_stage_and_the_sum(made: Made) -> None:
    text = profile_text(_profile(made, _reported(made)))
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert len(rows) == len(made.plan.stages) + 1
    assert "123,456" in rows[-1]
    assert "100.0%" in rows[-1]


def test_a_workplace_is_checked_before_anything_is_made(tmp_path: Path) -> None:
    board = boards.load("nucleo_f746zg")
    folder = tmp_path / "$(reboot)"
    with pytest.raises(UsageError), deploying.workplace(board, Target(emulate=True), Recipe(), folder):
        raise AssertionError("not reached")
    with deploying.workplace(board, Target(emulate=True), Recipe(), None) as place:
        assert place.is_dir()
    assert not place.exists()


@pytest.mark.slow
@needs_compiler
def test_the_command_profiles_on_the_emulated_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(graph_samples.content(cast=True))
    arguments = ["profile", str(model), "--board", "nucleo_f746zg", "--emulate", "--into", str(tmp_path / "work"), "-q"]
    assert run([*arguments, "--json"]) == 0
    found = Profile.model_validate(json.loads(capsys.readouterr().out)["profile"])
    stages = plan(parse(model.read_bytes())).stages
    assert [line.name for line in found.lines] == [stage.name for stage in stages]
    counts = [float(line.count.value or 0) for line in found.lines]
    # Between the stages lies a call and the reading of a counter.
    assert sum(counts) <= float(found.total.value or 0) <= sum(counts) + 100 * sum(stage.steps for stage in stages)
    assert min(counts) > 0
    assert run(arguments) == 0
    assert "DEPTHWISE_CONV_2D" in capsys.readouterr().out
