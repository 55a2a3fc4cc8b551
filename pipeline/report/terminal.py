"""Text for a terminal, made by rich: tables and lines into one string, nothing in them taken for markup."""

from __future__ import annotations

import io
import os
import shutil
import sys

from rich.console import Console, RenderableType


def rendered(*parts: RenderableType, colour: bool = False, width: int = 110) -> str:
    """The parts below each other, ending in a line feed."""
    buffer = io.StringIO()
    console(buffer, colour=colour, width=width).print(*parts, sep="\n")
    return buffer.getvalue()


def console(buffer: io.StringIO, *, colour: bool, width: int) -> Console:
    """A console that writes into ``buffer``; a bracket in a text from outside is a bracket."""
    return Console(
        file=buffer,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
    )


def coloured() -> bool:
    """Whether stdout is a terminal that wants colour (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def columns() -> int:
    """Columns to print in: the terminal's, or COLUMNS, from 80 to 120; 110 where nothing says."""
    return min(120, max(80, shutil.get_terminal_size((110, 24)).columns))
