"""Boards under an Arduino core: our whole program over a stub of the Arduino API, driven as a device is.

Nothing here runs on such a board. What is shown is that port and command loop are right, and that they compile for the
processors.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from test_emulated_end_to_end import SIDE, model

from pipeline import boards, preflight
from pipeline.__main__ import run
from pipeline.boards import Board
from pipeline.device.link import SerialLink
from pipeline.device.measure import measure
from pipeline.device.protocol import Expected, Session
from pipeline.errors import BuildError, UsageError
from pipeline.estimate import estimate
from pipeline.estimate.model import Limits
from pipeline.estimate.planner import plan
from pipeline.firmware import elf, render
from pipeline.firmware.build import failure
from pipeline.firmware.platformio import Outcome
from pipeline.firmware.render import Rendered
from pipeline.graph.model import Graph
from pipeline.graph.reader import parse
from pipeline.graph.reference import Reference
from pipeline.settings import Target
from pipeline.validate import Evidence, Linked, judge

STUB = Path(__file__).with_name("arduino_stub")
GUESTS = [name for name in boards.names() if boards.load(name).build.framework == "arduino"]
IMAGES = np.random.default_rng(3).integers(-128, 128, (3, SIDE, SIDE, 3), dtype=np.int8)
#: As the Arduino cores of these boards compile (ArduinoCore-mbed, cxxflags.txt), and warnings are errors.
FLAGS = ["-std=gnu++17", "-O2", "-funsigned-char", "-fno-exceptions", "-fno-rtti", "-DARDUINO=10819", "-I", str(STUB)]
FLAGS += ["-ffunction-sections", "-fdata-sections", "-Wall", "-Wextra", "-Werror"]
#: Borders of .data and .bss by the names of the boards' linker scripts, from those of the host's.
BORDERS = {
    "__data_start__": "data_start",
    "__data_end__": "_edata",
    "__bss_start__": "__bss_start",
    "__bss_end__": "_end",
}


@dataclass(frozen=True)
class Guest:
    """A board with the sources of the model's firmware for it."""

    board: Board
    graph: Graph
    rendered: Rendered

    def compile(self, compiler: str, *options: str, into: Path) -> Path:
        if shutil.which(compiler) is None:
            pytest.skip(f"{compiler} is not installed")
        folder = self.rendered.folder
        sources = sorted(str(path) for part in ("src", "lib") for path in (folder / part).rglob("*.cpp"))
        includes = [f"-I{folder / part}" for part in ("src", "lib/app", "lib/port", "lib/runtime")]
        subprocess.run([compiler, *FLAGS, *includes, *sources, *options, "-o", str(into)], check=True)
        return into

    @property
    def expected(self) -> Expected:
        return Expected(self.board.name, self.rendered.build_id, self.rendered.model_hash)


def guest(name: str, folder: Path) -> Guest:
    board, graph = boards.load(name), parse(model())
    return Guest(board, graph, render.render(graph, plan(graph), board, into=folder))


@pytest.fixture(scope="module", params=[("nano33ble", False), ("giga_r1_m7", True)], ids=["nano33ble", "giga_r1_m7"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Guest, Path, bool]:
    """The program of a board on the host; whether its linker script says where .data and .bss are."""
    name, told = request.param
    made = guest(name, tmp_path_factory.mktemp(name))
    borders = [f"-Wl,--defsym={ours}={theirs}" for ours, theirs in BORDERS.items()] if told else []
    program = made.rendered.folder / "program"
    return made, made.compile("g++", str(STUB / "core.cpp"), *borders, into=program), told


@pytest.fixture
def port(host: tuple[Guest, Path, bool]) -> Iterator[str]:
    """Where the running program listens."""
    ours, theirs = os.openpty()
    process = subprocess.Popen([str(host[1])], stdin=ours, stdout=ours)
    try:
        yield os.ttyname(theirs)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


@pytest.mark.slow
def test_the_whole_program_gives_the_references_bytes(
    host: tuple[Guest, Path, bool], port: str, tmp_path: Path
) -> None:
    made, program, told = host
    path = tmp_path / "model.tflite"
    path.write_bytes(model())
    wanted = tuple(row.tobytes() for row in Reference(path).run(IMAGES))
    link = SerialLink(port, baud=made.board.serial.baud)
    try:
        found = measure(Session(link), inputs=[image.tobytes() for image in IMAGES], expected=made.expected)
    finally:
        link.close()
    assert found.outputs == wanted
    assert found.identity.clock_hz == made.board.core.clock_hz
    assert all(int(one.cycles.value or 0) > 0 for one in found.inputs)
    memory = found.memory_after
    assert memory.arena.value == plan(made.graph).arena_bytes
    assert memory.stack_reserve.value is None and memory.stack_reserve.reason
    assert 0 < int(memory.stack_used.value or 0) < made.board.stack.reserve_bytes
    if told:
        symbols = {
            name: int(address, 16)
            for address, name in re.findall(r"^([0-9a-f]+) \S (\w+)$", _nm(program), flags=re.MULTILINE)
        }
        sizes = [symbols[f"__{part}_end__"] - symbols[f"__{part}_start__"] for part in ("data", "bss")]
        assert memory.static.value == sum(sizes) - int(memory.arena.value or 0)
        assert memory.ram.value == int(memory.static.value) + int(memory.arena.value or 0) + int(
            memory.stack_used.value or 0
        )
    else:
        assert memory.static.value is None and memory.ram.value is None
        assert memory.static.reason == memory.ram.reason != ""
    _judged(made, found, wanted, told)


def _nm(program: Path) -> str:
    return subprocess.run(["nm", str(program)], capture_output=True, text=True, check=True).stdout


def _judged(made: Guest, found: object, wanted: tuple[bytes, ...], told: bool) -> None:
    """The gate compares what can be compared, and says what it leaves out."""
    from pipeline.device.measure import Measurement

    assert isinstance(found, Measurement)
    arena = int(found.memory_after.arena.value or 0)
    evidence = Evidence(
        board=made.board,
        limits=Limits(ram_bytes=made.board.ram_bytes, flash_bytes=made.board.flash_bytes),
        estimate=estimate(made.graph, made.board),
        measurement=found,
        build_id=made.rendered.build_id,
        model_hash=made.rendered.model_hash,
        elf=Linked(flash=90_000, arena=arena, static=int(found.memory_after.static.value or 0), stack=None),
        host_outputs=wanted,
    )
    verdict = judge(evidence)
    assert verdict.passed, verdict.failed
    ids = {check.id for check in verdict.checks}
    assert {"outputs", "build", "ram-arena", "stack-reserve", "flash-limit"} <= ids
    assert ("ram-static" in ids) == ("ram-limit" in ids) == told
    assert any("arduino core" in note for note in verdict.notes)
    assert any("Static data is not checked" in note for note in verdict.notes) != told
    other = judge(Evidence(**{**vars(evidence), "host_outputs": (b"x", *wanted[1:])}))
    assert [check.id for check in other.failed] == ["outputs"]


@pytest.mark.slow
@pytest.mark.parametrize("name", GUESTS)
def test_it_compiles_for_the_processor(name: str, tmp_path: Path) -> None:
    """With the core's cycle counter, and an arena that a core's linker script knows; linked without a core."""
    made = guest(name, tmp_path / "firmware")
    options = [f"-mcpu={made.board.core.cpu}", "-mthumb", f"-mfpu={made.board.core.fpu}", "-mfloat-abi=softfp"]
    options += ["-nostartfiles", "-Wl,--unresolved-symbols=ignore-all", "-Wl,--no-warn-mismatch", "-Wl,-e,_Z5setupv"]
    options += ["-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments"]
    report = elf.read(made.compile("arm-none-eabi-g++", *options, into=tmp_path / "firmware.elf"), framework=True)
    assert (report.board, report.build_id) == (name, made.rendered.build_id)
    assert report.arena_bytes == plan(made.graph).arena_bytes
    assert 0 < report.static_bytes < 2048
    assert "_Z5setupv" in report.functions and report.stack_reserve == 0
    with pytest.raises(BuildError) as caught:
        elf.read(report.path)
    assert caught.value.id == "bad-elf"


def test_the_sources_are_those_of_a_guest(tmp_path: Path) -> None:
    folder = guest("nano33ble", tmp_path).rendered.folder
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"lib/port/arduino/port.cpp", "lib/port/arduino/sketch.cpp", "lib/port/cortex_m/registers.h"} <= names
    assert not {"linker.ld", "lib/app/main.cpp", "lib/port/cortex_m/startup.cpp"} & names


@pytest.mark.parametrize("name", GUESTS)
def test_without_a_registry_the_next_step_is_said(name: str) -> None:
    board = boards.load(name)
    with pytest.raises(UsageError) as caught:
        preflight.device(board, Target(emulate=True))
    assert caught.value.id == "no-emulator" and "Attach the board" in caught.value.next
    preflight.compiler(board.build.usual, board)  # the compiler comes with the framework
    error = failure(Outcome(1, ("UnknownPackageError: Could not find the package",)), board)
    assert (error.id, error.exit_code) == ("no-registry", 9)
    assert "None" not in error.next and "arduino" in error.next


def test_an_estimate_is_of_our_program_alone() -> None:
    graph = parse(model())
    ours, guests = estimate(graph, boards.load("nucleo_l4r5zi")), estimate(graph, boards.load("nano33ble"))
    assert (guests.ram, guests.flash) == (ours.ram, ours.flash)


def test_the_command_says_what_an_estimate_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.tflite").write_bytes(model())
    for board, wanted in (("nano33ble", True), ("nucleo_l4r5zi", False)):
        assert run(["estimate", "model.tflite", "--board", board, "--run", board]) == 0
        assert ("what the arduino core takes" in capsys.readouterr().out) == wanted
