"""Why a memory plan is as it is, as text and as JSON: the segments of :mod:`pipeline.estimate.explain`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from pipeline.errors import printable
from pipeline.estimate.explain import Alive, Explained
from pipeline.estimate.memory_map import Use
from pipeline.graph.model import Graph
from pipeline.report.terminal import rendered

#: Operators of a long segment that are named; the others are counted.
_NAMED = 4


def explained_json(segments: Sequence[Explained]) -> list[dict[str, Any]]:
    """A document a segment, with its reasons."""
    return [asdict(segment) | {"reasons": list(segment.reasons)} for segment in segments]


def explained_text(graph: Graph, segments: Sequence[Explained], *, colour: bool = False, width: int = 110) -> str:
    """A row a segment: operators, what is alive, why it is cut there; ends in a line feed."""
    table = Table("Operators", "Alive while they run", "Why they run together, and no more", show_lines=True)
    table.add_column("bytes", justify="right")
    for segment in segments:
        table.add_row(
            _operators(segment),
            Text("\n".join(_alive(graph, alive) for alive in segment.alive)),
            "\n".join(f"{reason[0].upper()}{reason[1:]}." for reason in segment.reasons),
            Text(f"{segment.peak:,}", style="bold" if segment.highest else ""),
        )
    tail = "Rows flow through a segment; between segments whole tensors are kept. Bold: the peak of the plan."
    return rendered(Text("The memory plan (analytic)", style="bold"), table, tail, colour=colour, width=width)


def _operators(segment: Explained) -> str:
    named = [f"{index} {code}" for index, code in segment.operators]
    if len(named) > _NAMED + 1:
        named[_NAMED - 1 : -1] = [f"… {len(named) - _NAMED} more"]
    notes = ["one long row"] if segment.flat else []
    if segment.block is not None:
        notes.append(f"blocks of {segment.block} pixels")
    return "\n".join([*named, *(f"({note})" for note in notes)])


def _alive(graph: Graph, alive: Alive) -> str:
    if alive.tensor is None:
        return f"{alive.nbytes:,} {alive.use}"
    tensor = graph.tensors[alive.tensor]
    what = f"tensor {tensor.index} {'×'.join(map(str, tensor.shape[1:]))}"
    if alive.use is Use.OVERLAP:
        return f"{alive.nbytes:,} of {what}, over which an output is written"
    if alive.rows is not None:
        return f"{alive.nbytes:,} {what}: {alive.rows[0]} of {alive.rows[1]} rows"
    return f"{alive.nbytes:,} {printable(what)}"
