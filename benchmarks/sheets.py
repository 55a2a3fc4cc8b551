"""Tables of the benchmarks: the same rows for a terminal and as Markdown."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from pipeline.report.terminal import rendered


@dataclass(frozen=True)
class Verdict:
    """A cell that says whether something holds."""

    text: str
    holds: bool


Cell = str | Verdict


@dataclass(frozen=True)
class Sheet:
    """A table with a title; its first ``texts`` columns, and one called ``runtime``, are text, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    texts: int = 1

    def is_text(self, number: int) -> bool:
        """Whether a column holds text."""
        return number < self.texts or self.columns[number] == "runtime"


def terminal(sheet: Sheet) -> str:
    """For people at a terminal, ending in a line feed."""
    table = Table(title=sheet.title, title_justify="left")
    for number, title in enumerate(sheet.columns):
        table.add_column(title, justify="left" if sheet.is_text(number) else "right")
    for row in sheet.rows:
        table.add_row(
            *(
                Text(cell.text, style="green" if cell.holds else "bold red")
                if isinstance(cell, Verdict)
                else Text(cell)
                for cell in row
            )
        )
    return rendered(table, colour=sys.stdout.isatty(), width=140)


def markdown(sheet: Sheet) -> str:
    """For a document, ending in a line feed."""
    lines = [
        f"### {sheet.title}",
        "",
        "| " + " | ".join(sheet.columns) + " |",
        "|" + "|".join("---" if sheet.is_text(number) else "---:" for number in range(len(sheet.columns))) + "|",
    ]
    lines += ["| " + " | ".join(map(_plain, row)) + " |" for row in sheet.rows]
    return "\n".join(lines) + "\n"


def _plain(cell: Cell) -> str:
    return (cell.text if cell.holds else f"**{cell.text}**") if isinstance(cell, Verdict) else cell
