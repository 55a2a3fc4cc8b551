"""Text for a terminal, made by rich: tables and lines into one string, nothing in them taken for markup."""

from __future__ import annotations

import io

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
