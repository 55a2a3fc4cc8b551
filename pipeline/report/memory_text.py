"""A memory map as text: a line for each buffer, with its place, its size and when it lives."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.text import Text

from pipeline.errors import printable
from pipeline.estimate.memory_map import Buffer, MemoryMap, Use
from pipeline.graph.model import Graph
from pipeline.report.terminal import rendered

#: How each kind of bytes is drawn, without colour and with it.
_SIGNS = {
    Use.WHOLE: ("█", "blue"),
    Use.RING: ("▓", "cyan"),
    Use.SCRATCH: ("▒", "yellow"),
    Use.SUMS: ("░", "magenta"),
    Use.PERSISTENT: ("▚", "green"),
}
_HEIGHTS = "▁▂▃▄▅▆▇█"
#: Columns of offset, bytes and name.
_PLACE, _SIZE, _NAME = 9, 10, 34
#: A moment takes so many columns at most.
_WIDEST = 4
#: Lines that a map may have; the smallest buffers beyond that are counted.
_MOST = 150


def label(graph: Graph, buffer: Buffer) -> str:
    """``tensor 4 48×48×8: 3 of 48 rows``; nothing in it comes from the model."""
    if not buffer.tensors:
        return "the interpreter's own data" if buffer.use is Use.PERSISTENT else str(buffer.use)
    shape = "×".join(map(str, graph.tensors[buffer.tensors[0]].shape[1:])) or "scalar"
    rows = "" if buffer.rows is None else f": {buffer.rows[0]} of {buffer.rows[1]} rows"
    return f"tensor {buffer.tensors[0]} {shape}{rows}"


def map_json(graph: Graph, found: MemoryMap) -> dict[str, Any]:
    """The map as a document: buffers with their names, moments with what is alive, the peak."""
    return {
        "arena_bytes": found.arena_bytes,
        "peak": found.peak,
        "moments": [asdict(moment) for moment in found.moments],
        "buffers": [
            asdict(buffer) | {"names": [printable(graph.tensors[index].name) for index in buffer.tensors]}
            for buffer in found.buffers
        ],
    }


def map_text(graph: Graph, found: MemoryMap, *, step: str, colour: bool = False, width: int = 110) -> str:
    """The map, ending in a line feed.

    Args:
        graph: The model.
        found: Its map.
        step: What a moment is: ``segment`` or ``operator``.
        colour: Draw in colours.
        width: Columns of the terminal, 80 at least.
    """
    width = max(80, width)
    count = len(found.moments)
    room = width - _PLACE - _SIZE - _NAME - 3
    columns = _columns(count, room)
    lines = [
        Text(
            f"Memory map (analytic): an arena of {found.arena_bytes:,} B over {count} {step}{'s' * (count > 1)}", "bold"
        ),
        Text(f"{'offset':>{_PLACE}}{'bytes':>{_SIZE}}  {'what':<{_NAME}} {_ruler(columns)}"),
    ]
    shown = sorted(found.buffers, key=lambda buffer: -buffer.nbytes)[:_MOST]
    for buffer in found.buffers:
        if buffer in shown:
            lines.append(_line(graph, buffer, columns, colour))
    if len(shown) < len(found.buffers):
        lines.append(Text(f"… and {len(found.buffers) - len(shown):,} smaller buffers"))
    head = " " * (_PLACE + _SIZE + 2)
    alive = [max(found.moments[number].alive for number in span) for span in columns]
    for name, sizes in (("alive", alive), ("gaps", [found.arena_bytes - size for size in alive])):
        heights = (_height(size, found.arena_bytes) for size in sizes)
        lines.append(Text(f"{head}{name:<{_NAME}} {''.join(heights)}"))
    lines.append(Text(f"{head}{'peak':<{_NAME}} {_at(columns, found.peak)}▲"))
    used = dict.fromkeys(buffer.use for buffer in found.buffers)
    legend = ", ".join(f"{_SIGNS[use][0]} {use}" for use in _SIGNS if use in used)
    lines.append(Text(f"From left to right: {step} 1 to {count}{_scale(count, len(columns), step)}. {legend}."))
    lines.append(Text(_peak(graph, found, step)))
    return rendered(*lines, colour=colour, width=width)


def _height(size: int, of: int) -> str:
    return _HEIGHTS[min(len(_HEIGHTS) - 1, len(_HEIGHTS) * size // of)] if size else " "


def _columns(count: int, room: int) -> list[range]:
    """The moments that each column stands for."""
    if count <= room:
        wide = min(_WIDEST, room // count)
        return [range(number, number + 1) for number in range(count) for _ in range(wide)]
    return [range(count * column // room, max(count * (column + 1) // room, 1)) for column in range(room)]


def _scale(count: int, columns: int, step: str) -> str:
    return f" ({count / columns:.1f} {step}s a column)" if count > columns else ""


def _ruler(columns: list[range]) -> str:
    """Over some columns, four apart at least, the number of the moment that begins there."""
    text = ""
    for column, span in enumerate(columns):
        number = str(span.start + 1)
        begins = column == 0 or columns[column - 1] != span
        if begins and (column == 0 or column >= len(text) + 4) and column + len(number) <= len(columns):
            text = text.ljust(column) + number
    return text


def _line(graph: Graph, buffer: Buffer, columns: list[range], colour: bool) -> Text:
    name = printable(label(graph, buffer), _NAME)
    line = Text(f"{buffer.offset:>{_PLACE},}{buffer.nbytes:>{_SIZE},}  {name:<{_NAME}} ")
    sign, style = _SIGNS[buffer.use]
    bar = "".join(sign if _touches(buffer, span) else "·" for span in columns)
    return line.append(bar, style if colour else "")


def _touches(buffer: Buffer, span: range) -> bool:
    return buffer.first < span.stop and span.start <= buffer.last


def _at(columns: list[range], moment: int) -> str:
    return " " * next(column for column, span in enumerate(columns) if moment in span)


def _peak(graph: Graph, found: MemoryMap, step: str) -> str:
    """Where the most is alive, and what that is."""
    moment = found.moments[found.peak]
    largest = sorted(found.alive(found.peak), key=lambda buffer: -buffer.nbytes)[:3]
    parts = ", ".join(f"{label(graph, buffer)} ({buffer.nbytes:,} B)" for buffer in largest)
    where = f"{step} {found.peak + 1}: " if step != "operator" else "operator "
    return f"Peak: {where}{moment.label}, {moment.alive:,} B alive, gaps of {moment.gaps:,} B. Largest: {parts}."
