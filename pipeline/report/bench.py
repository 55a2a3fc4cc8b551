"""Inference engines side by side on one model and board, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict
from rich.table import Table
from rich.text import Text

from pipeline.errors import printable
from pipeline.figures import Figure, total
from pipeline.report.terminal import rendered


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuntimeFigures(_Frozen):
    """What a program with one engine takes.

    Attributes:
        arena: The engine's memory for activations, scratch and, with ``tflm``, its own data.
        head, tail: The arena's two ends, of an engine that has them.
        static: .data and .bss outside the arena.
        stack: High-water mark.
        flash: File bytes of all PT_LOAD segments of the ELF.
        count: Instructions (emulated board) or cycles (device) of an inference, the mean of all inputs.
        equal: Inputs whose output is the host's, byte for byte.
    """

    arena: Figure
    head: Figure | None
    tail: Figure | None
    static: Figure
    stack: Figure
    flash: Figure
    count: Figure
    equal: int

    @property
    def ram(self) -> Figure:
        """Arena, static data and stack."""
        return total(self.arena, self.static, self.stack)


class Competitor(_Frozen):
    """One engine; ``figures`` is None where its program cannot be had, and ``problem`` says why."""

    name: str
    build_id: str | None
    figures: RuntimeFigures | None
    problem: str = ""


class Bench(_Frozen):
    """All of them, on the same inputs."""

    schema_version: Literal[1] = 1
    board: str
    target: Literal["emulated", "device"]
    model: str
    file_bytes: int
    inputs: int
    competitors: tuple[Competitor, ...]
    notes: tuple[str, ...] = ()


def bench_text(bench: Bench, *, colour: bool = False, width: int = 110) -> str:
    """The table, ending in a line feed."""
    counted = "instructions" if bench.target == "emulated" else "cycles"
    table = Table("")
    for one in bench.competitors:
        table.add_column(Text(printable(one.name)), justify="right")
    lines: tuple[tuple[str, Callable[[RuntimeFigures], str]], ...] = (
        ("arena, B", lambda found: _number(found.arena)),
        ("  head", lambda found: _number(found.head)),
        ("  tail", lambda found: _number(found.tail)),
        ("static, B", lambda found: _number(found.static)),
        ("stack, B", lambda found: _number(found.stack)),
        ("RAM in all, B", lambda found: _number(found.ram)),
        ("flash, B", lambda found: _number(found.flash)),
        (f"{counted} an inference", lambda found: _number(found.count)),
        ("outputs equal", lambda found: f"{found.equal} of {bench.inputs}"),
    )
    for title, cell in lines:
        cells = [_cell(one, title, cell, bench.inputs) for one in bench.competitors]
        if any(cells):
            table.add_row(title, *cells)
    where = "emulated board: instructions, no times" if bench.target == "emulated" else "device"
    head = Text(f"{bench.board} ({where}), model {bench.model[:16]}, {bench.file_bytes:,} B", style="bold")
    notes = [f"{printable(one.name)}: {printable(one.problem, 400)}" for one in bench.competitors if one.problem]
    notes += [printable(note, 400) for note in bench.notes]
    return rendered(head, table, *(Text(note) for note in notes), colour=colour, width=width)


def _cell(one: Competitor, title: str, cell: Callable[[RuntimeFigures], str], inputs: int) -> Text:
    if one.figures is None:
        return Text("–")
    wrong = title == "outputs equal" and one.figures.equal != inputs
    return Text(cell(one.figures), style="bold red" if wrong else "")


def _number(figure: Figure | None) -> str:
    return "" if figure is None else "–" if figure.value is None else f"{round(figure.value):,}"
