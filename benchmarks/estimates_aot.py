"""The runtime ``aot`` for the estimates' table: what networks take when they are built and run, and the bars.

What was built and run is kept, one file a firmware and named after its build id, so that an interrupted run goes on
where it was, and a change of the estimator alone builds nothing again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from estimates_lines import EQUAL, Bar, Line
from estimates_networks import Subject

from pipeline.boards import Board
from pipeline.device import emulated
from pipeline.device.link import SerialLink
from pipeline.device.protocol import Session
from pipeline.errors import DeviceError, DoesNotFitError
from pipeline.estimate.cost import predict
from pipeline.estimate.model import Estimate, MemoryPlan
from pipeline.files import write_atomic
from pipeline.firmware import elf
from pipeline.firmware.build import build
from pipeline.firmware.details import details
from pipeline.firmware.elf import ElfReport
from pipeline.firmware.render import render
from pipeline.graph.inputs import random_inputs
from pipeline.graph.model import Graph
from pipeline.graph.reader import parse
from pipeline.graph.repack import self_contained

#: Goes up with whatever makes what was found before of another kind.
FACTS_VERSION = 1
#: Tensors up to this size also go through the protocol's text commands, which are made for small ones.
SMALL_BYTES = 512
#: Networks of more instructions are run once, not also by MLPerf Tiny's command.
LONG_INSTRUCTIONS = 10_000_000

#: How often a program is run where the line to the emulated board fails.
TRIES = 3

INSTRUCTIONS: Bar = ("mean ≤ 2 %, each ≤ 6 %", lambda guess, found: abs(guess - found) <= 0.06 * found)
#: What weights decide is not known from shapes; the mean has a bar all the same.
WORK_FROM_SHAPES: Bar = ("mean ≤ 2 %", lambda guess, found: guess > 0)
#: Of the mean of the differences in instructions.
MEAN_INSTRUCTIONS = 0.02
FLASH: Bar = (
    "≤ 0.5 %, ≤ 256 B under",
    lambda guess, found: abs(guess - found) <= 0.005 * found and guess >= found - 256,
)
FLASH_FROM_SHAPES: Bar = ("≤ 256 B under", lambda guess, found: guess >= found - 256)
#: Where figures come from.
_ELF, _BOARD = "linked ELF", "emulated board"
STACK: Bar = (
    "≥ found, ≤ 1.25 × or + 256 B",
    lambda bound, found: found <= bound <= max(1.25 * found, found + 256),
)
#: What the stack may add.
TOTAL: Bar = ("≥ found, ≤ + 256 B", lambda guess, found: found <= guess <= found + 256)


# --- building and running --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a firmware is and does: its ELF, and what the emulated board said.

    Attributes:
        elf: The file.
        arena: Bytes of the arena, as the firmware reports it.
        arena_used: Its watermark.
        static: .data and .bss outside the arena, as the firmware reports it.
        stack: Bytes of stack used: the deeper of the painted words and the emulator's lowest store.
        instructions: Of one inference; None where the emulated board does not count exactly.
        stages: Instructions of each stage, as :attr:`instructions`.
    """

    elf: Path
    arena: int
    arena_used: int
    static: int
    stack: int
    instructions: int | None
    stages: tuple[int, ...]


@dataclass(frozen=True)
class Estimated:
    """A Graph, its plan and its estimate."""

    graph: Graph
    plan: MemoryPlan
    figures: Estimate


@dataclass(frozen=True, kw_only=True)
class Case:
    """A subject on a board: what was estimated of the model and, where it has any, of its shapes; what was found."""

    subject: Subject
    board: Board
    model: Estimated
    shapes: Estimated | None
    facts: Facts
    elf: ElfReport


class Workshop:
    """Builds and runs on one board; ``folder`` keeps the build tree, and what was found."""

    def __init__(self, board: Board, folder: Path) -> None:
        self.board, self.folder = board, folder
        self.tree = folder / "trees" / board.name
        self.kept = folder / "facts" / board.name

    def case(self, subject: Subject) -> Case:
        """Estimate a subject, and build and run it where that was not done before."""
        content = self_contained(subject.content())
        graph, recipe = parse(content), subject.recipe
        engine = recipe.engine()

        def estimated(of: Graph) -> Estimated:
            plan = engine.plan(of, self.board, prefer=recipe.prefer, input_mode=recipe.input_mode)
            return Estimated(of, plan, engine.estimate(of, self.board, plan))

        model = estimated(graph)
        facts = self.facts(graph, model.plan)
        return Case(
            subject=subject,
            board=self.board,
            model=model,
            shapes=None if subject.shapes is None else estimated(subject.shapes),
            facts=facts,
            elf=elf.read(facts.elf),
        )

    def facts(self, graph: Graph, plan: MemoryPlan) -> Facts:
        """What was found of a firmware, now or earlier."""
        rendered = render(graph, plan, self.board, into=self.tree)
        program, record = (self.kept / f"{rendered.build_id}{suffix}" for suffix in (".elf", ".json"))
        if not record.is_file():
            try:
                built = build(rendered.folder, self.board)
            except DoesNotFitError:
                # Its estimate was too small: how much it takes is seen on a board with room for it.
                return Workshop(_with_room(self.board), self.folder).facts(graph, plan)
            self.kept.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(built.map, program.with_suffix(".map"))
            shutil.copyfile(built.elf, program)
            found = _run_patiently(self.board, graph, program)
            write_atomic(record, json.dumps({"version": FACTS_VERSION} | found, indent=2).encode())
        values = json.loads(record.read_bytes())
        if values.pop("version") != FACTS_VERSION:
            record.unlink()
            return self.facts(graph, plan)
        return Facts(elf=program, **values | {"stages": tuple(values["stages"])})


def _with_room(board: Board) -> Board:
    """The same board with twice the flash."""
    memory = tuple(
        region.model_copy(update={"bytes": 2 * region.bytes}) if region.kind == "flash" else region
        for region in board.memory
    )
    return board.model_copy(update={"memory": memory})


def _run_patiently(board: Board, graph: Graph, program: Path) -> dict[str, object]:
    """As :func:`_run`, again where it fails: on a busy machine an emulated board may miss what it is sent."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(DeviceError):
            return _run(board, graph, program)
    return _run(board, graph, program)


def _run(board: Board, graph: Graph, program: Path) -> dict[str, object]:
    """Each command that a host may send, and what is left behind."""
    data = random_inputs(graph.input, 1, seed=0).tobytes()
    with emulated.start(board, program) as device:
        link = SerialLink(device.port, baud=board.serial.baud)
        try:
            session = Session(link, health=device.check)
            identity = session.connect()
            session.name()
            count = session.infer_on(data)
            stages = session.ops()
            session.output(graph.output.nbytes)
            session.crc()
            if not identity.input_rows and len(data) <= SMALL_BYTES:
                session.db_load(data)
                session.db_print(len(data))
            if not identity.input_rows and graph.output.nbytes <= SMALL_BYTES and count < LONG_INSTRUCTIONS:
                session.load(data)
                session.infer(1)
                session.results()
            memory = session.memory()
        finally:
            link.close()
        seen = device.statistics()
    exact = seen.instructions is not None
    return {
        "arena": memory.arena_bytes,
        "arena_used": memory.arena_used,
        "static": memory.static_bytes,
        "stack": max(memory.stack_used or 0, seen.stack_used or 0),
        "instructions": count if exact else None,
        "stages": [stage.cycles for stage in stages] if exact else [],
    }


# --- lines -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    """A figure, what it was held against, and how close it is to be."""

    item: str
    estimated: int
    found: int
    against: str
    bar: Bar
    mean: float | None = None

    def line(self, row: str, case: Case) -> Line:
        """As a line of the table."""
        words, holds = self.bar
        return Line(
            row=row,
            item=self.item,
            board=case.board.name,
            network=case.subject.name,
            kind=case.subject.kind,
            estimated=self.estimated,
            found=self.found,
            against=self.against,
            bar=words,
            holds=holds(self.estimated, self.found),
            mean=self.mean,
        )


def ram_lines(case: Case) -> Iterator[Line]:
    """Each item, and the total, against the ELF and the emulated board."""
    parts = {item.name: item.bytes for item in case.model.figures.ram}
    facts, report = case.facts, case.elf
    compared = [
        Compared("arena", parts["arena"], report.arena_bytes, _ELF, EQUAL),
        Compared("arena", parts["arena"], facts.arena, _BOARD, EQUAL),
        Compared("static", parts["static"], report.static_bytes, _ELF, EQUAL),
        Compared("static", parts["static"], facts.static, _BOARD, EQUAL),
        Compared("stack", parts["stack"], facts.stack, _BOARD, STACK),
        Compared("total", case.model.figures.ram_bytes, facts.arena + facts.static + facts.stack, _BOARD, TOTAL),
    ]
    linked = {f"{item.name}, {part.name}": part.bytes for item in report.ram for part in item.parts}
    guessed = {f"{item.name}, {part.name}": part.bytes for item in case.model.figures.ram for part in item.parts}
    for name, found in linked.items():
        compared.append(Compared(name, guessed[name], found, _ELF, EQUAL))
    if case.shapes is not None:
        figures = (case.shapes.figures.ram_bytes, case.model.figures.ram_bytes)
        compared.append(Compared("total, from shapes", *figures, "the model's estimate", EQUAL))
    yield from (one.line("ram", case) for one in compared)


def flash_lines(case: Case) -> Iterator[Line]:
    """The total against the ELF, from the Graph, and from shapes alone where there are any."""
    found = case.elf.flash_bytes
    yield Compared("total", case.model.figures.flash_bytes, found, _ELF, FLASH).line("flash", case)
    if case.shapes is not None:
        guess = case.shapes.figures.flash_bytes
        yield Compared("total, from shapes", guess, found, _ELF, FLASH_FROM_SHAPES).line("flash", case)


def instruction_lines(case: Case) -> Iterator[Line]:
    """An inference, from the Graph and from shapes, on a board that counts exactly."""
    found = case.facts.instructions
    if found is None:
        return
    compared = [
        ("an inference", case.model, details(case.model.graph, case.model.plan), INSTRUCTIONS),
    ]
    if case.shapes is not None:
        compared.append(("an inference, from shapes", case.shapes, {}, WORK_FROM_SHAPES))
    for item, of, known, bar in compared:
        guess = predict(of.graph, of.plan, case.board, details=known).total
        one = Compared(item, guess, found, _BOARD, bar, MEAN_INSTRUCTIONS)
        yield one.line("instructions", case)
