"""A profile: what each stage of an inference costs on a device, as JSON and as a table."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from rich.table import Table
from rich.text import Text

from pipeline.errors import printable
from pipeline.figures import Figure
from pipeline.report.terminal import rendered


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProfileLine(_Frozen):
    """One stage: what the runtime runs and reports as one.

    Attributes:
        name: The operators' names, joined by ``+``.
        operators: Their indices in the model; none for INPUT, the waiting for the rows of a streamed input.
        output: Shape of what the stage leaves, without the batch.
        count: Instructions or cycles of an inference.
        macs: Multiply-accumulates of an inference.
        constants: Bytes of its constants in flash.
        per_mac: ``count`` by ``macs``; None where there are no MACs.
        share: Part of the whole inference, 0..1; None for INPUT, which is no part of it.
    """

    name: str
    operators: tuple[int, ...]
    output: tuple[int, ...]
    count: Figure
    macs: Figure
    constants: Figure
    per_mac: float | None
    share: float | None


class Profile(_Frozen):
    """What an inference costs, stage by stage.

    Attributes:
        total: Of the whole inference, what lies between the stages included; mean of all inputs.
        time: ``total`` in milliseconds; None for an emulated board, which has none.
    """

    schema_version: Literal[1] = 1
    board: str
    target: Literal["emulated", "device"]
    runtime: str
    model: str
    build_id: str
    inputs: int
    clock: Figure
    total: Figure
    time: Figure | None
    macs: Figure
    constants: Figure
    lines: tuple[ProfileLine, ...]

    @property
    def per_mac(self) -> float | None:
        """Instructions or cycles a MAC, of the whole network."""
        return quotient(self.total, self.macs)


def quotient(count: Figure, macs: Figure) -> float | None:
    """``count`` a MAC; None without MACs."""
    return None if not macs.value or count.value is None else count.value / macs.value


def profile_text(profile: Profile, *, colour: bool = False, width: int = 110) -> str:
    """The table, ending in a line feed."""
    counted = profile.total.unit
    table = Table("", "Stage", "output", show_footer=True)
    for title, footer in (
        (counted, _number(profile.total)),
        ("share", "100.0%"),
        ("MAC", _number(profile.macs)),
        (f"{counted} a MAC", _ratio(profile.per_mac)),
        ("constants, B", _number(profile.constants)),
    ):
        table.add_column(title, footer=footer, justify="right")
    for line in profile.lines:
        indices = "–".join(map(str, dict.fromkeys((*line.operators[:1], *line.operators[-1:]))))
        table.add_row(
            indices,
            Text(printable(line.name)),
            "×".join(map(str, line.output)),
            _number(line.count),
            "" if line.share is None else f"{line.share:.1%}",
            _number(line.macs) if line.macs.value else "",
            _ratio(line.per_mac),
            _number(line.constants) if line.constants.value else "",
        )
    where = "emulated board: instructions, no times" if profile.target == "emulated" else "device"
    head = Text(f"{profile.board} ({where}), runtime {printable(profile.runtime)}", style="bold")
    tail = f"Mean of {profile.inputs} inputs" if profile.inputs > 1 else "One input"
    if profile.time is not None and profile.time.value is not None:
        tail += f"; {profile.time.value:,.2f} ms an inference"
    return rendered(head, table, f"{tail}. Build {printable(profile.build_id)}.", colour=colour, width=width)


def _number(figure: Figure) -> str:
    return "–" if figure.value is None else f"{round(figure.value):,}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
