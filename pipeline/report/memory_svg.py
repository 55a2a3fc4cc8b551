"""A memory map as a drawing: time from left to right, the arena's bytes upwards, a rectangle for each buffer.

It stands alone: no script, no font, nothing from outside; it follows the reader's light or dark scheme. Every text
passes :func:`~pipeline.errors.printable`, and Jinja escapes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import jinja2

from pipeline.errors import printable
from pipeline.estimate.memory_map import Buffer, MemoryMap, Use
from pipeline.estimate.regions import Block
from pipeline.graph.model import Graph
from pipeline.report.memory_text import label

#: A drawing has no more bytes than this: small buffers are left out of one that would.
MOST_BYTES = 200_000

_WIDTH, _HEIGHT = 1080, 632
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 1064, 66, 500
#: About what a character of the drawing's text takes.
_CHARACTER = 6.2
_LINE = 13
#: Rectangles that are drawn at first, and moments of which a line can be drawn.
_MOST_BOXES, _MOST_MOMENTS = 600, 2000
_NAMES = {
    Use.WHOLE: "activation in whole",
    Use.RING: "ring of rows",
    Use.SCRATCH: "scratch",
    Use.SUMS: "sums",
    Use.PERSISTENT: "the interpreter's own data",
}


@dataclass(frozen=True)
class Drawing:
    """What a drawing is of.

    Attributes:
        model: Name of the model, for its title; may be hostile.
        board: Title of the board.
        step: What a moment is: ``segment`` or ``operator``.
        arena: Where the arena lies in RAM, where that is to be drawn.
    """

    model: str
    board: str
    step: str
    arena: Block | None = None


def map_svg(graph: Graph, found: MemoryMap, drawing: Drawing, *, alone: bool = True) -> str:
    """The whole document, at most :data:`MOST_BYTES` of UTF-8, ending in a line feed.

    ``alone``: with its own style; within a page, that page says how its classes look.
    """
    most, titles = _MOST_BOXES, True
    while True:
        values = _values(graph, found, drawing, most, titles=titles)
        text = _template().render(values, alone=alone) + "\n"
        if len(text.encode()) <= MOST_BYTES or most == 0:
            return text
        most, titles = (most, False) if titles else (most // 2, False)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=False,
    )
    return environment.get_template("memory_map.svg.j2")


def _values(graph: Graph, found: MemoryMap, drawing: Drawing, most: int, *, titles: bool) -> dict[str, Any]:
    scale = _Scale(max(1, len(found.moments)), max(1, found.arena_bytes))
    moment = found.moments[found.peak]
    count, step = len(found.moments), drawing.step
    model, board = printable(drawing.model, 60), printable(drawing.board, 60)
    shown = sorted(found.buffers, key=lambda buffer: -buffer.nbytes * (buffer.last - buffer.first + 1))[:most]
    left_out = len(found.buffers) - len(shown)
    peak = f"{step} {found.peak + 1} ({printable(moment.label, 60)})" if step == "segment" else moment.label
    subtitle = (
        f"Arena {found.arena_bytes:,} B (analytic); most is alive at {peak}: {moment.alive:,} B, gaps {moment.gaps:,} B"
    )
    if left_out:
        subtitle += f"; {left_out:,} small buffers are not drawn"
    uses = [use for use in _NAMES if any(buffer.use is use for buffer in found.buffers)]
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "right": _RIGHT,
        "top": _TOP,
        "plot": _BOTTOM - _TOP,
        "title": f"Memory map of {model} on {board}",
        "subtitle": subtitle,
        "description": f"{_DESCRIPTION.format(step=step, count=count)} {subtitle}.",
        "hot": {"x": scale.x(found.peak), "width": round(scale.x(found.peak + 1) - scale.x(found.peak), 1)},
        "ticks": [{"y": scale.y(value), "text": f"{value:,}"} for value in _ticks(found.arena_bytes)],
        "boxes": _apart([_box(graph, buffer, scale, step, titles=titles) for buffer in shown]),
        "line": _line(found, scale) if count <= _MOST_MOMENTS else "",
        "line_title": "bytes alive, counted from 0",
        "borders": list(_borders(drawing.arena, scale)),
        "names": list(_operator_names(found, scale)),
        "axis": f"{step}s 1 to {count}, in the order in which they run; bytes of the arena upwards",
        "legend": _legend(uses),
    }


_DESCRIPTION = (
    "Time runs from left to right over {count} {step}s, the offset in the arena upwards. Each rectangle is a buffer: "
    "when it lives, where it lies and how large it is. The line shows how many bytes are alive."
)


@dataclass(frozen=True)
class _Scale:
    moments: int
    nbytes: int

    def x(self, moment: int) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * moment / self.moments, 1)

    def y(self, offset: int) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * offset / self.nbytes, 1)


def _box(graph: Graph, buffer: Buffer, scale: _Scale, step: str, *, titles: bool) -> dict[str, Any]:
    x, y = scale.x(buffer.first), scale.y(buffer.end)
    width, height = round(scale.x(buffer.last + 1) - x, 1), round(max(scale.y(buffer.offset) - y, 0.5), 1)
    what = label(graph, buffer)
    names = ", ".join(printable(graph.tensors[index].name, 60) for index in buffer.tensors[:3])
    when = f"{step} {buffer.first + 1}" + (f" to {buffer.last + 1}" if buffer.last > buffer.first else "")
    title = f"{what}{f' ({names})' if names.strip(', ') else ''}: {buffer.nbytes:,} B at {buffer.offset:,}, {when}"
    return {
        "use": buffer.use.value,
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        "title": title if titles else "",
        "text": _fitting(graph, buffer, what, width) if height >= _LINE else "",
    }


def _apart(boxes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each text a line of its own in its rectangle, or none: buffers may share bytes, and lie over each other."""
    above: list[dict[str, Any]] = []
    for box in reversed(boxes):  # the smaller ones are drawn over the others
        wide = len(box["text"]) * _CHARACTER
        covering = [other for other in above if other["x"] < box["x"] + wide and box["x"] < other["x"] + other["width"]]
        middle = box["y"] + min(box["height"] / 2, 40)
        lines = (box["y"] + _LINE * (number + 0.5) for number in range(int(box["height"] // _LINE)))
        free = (
            y for y in sorted(lines, key=lambda y: abs(y - middle)) if not any(_over(other, y) for other in covering)
        )
        y = next(free, None) if box["text"] else None
        box["text"], box["baseline"] = (box["text"], round(y + 4, 1)) if y is not None else ("", 0.0)
        above.append(box)
    return boxes


def _over(box: dict[str, Any], y: float) -> bool:
    """Whether a rectangle covers a line of text around ``y``."""
    return bool(box["y"] - _LINE / 2 < y < box["y"] + box["height"] + _LINE / 2)


def _fitting(graph: Graph, buffer: Buffer, what: str, width: float) -> str:
    """The longest text for a buffer that its rectangle has room for."""
    texts = [what.removeprefix("the interpreter's ")]
    if buffer.tensors:
        tensor = buffer.tensors[0]
        name = printable(graph.tensors[tensor].name, 40)
        texts = [f"{what} {name}".rstrip(), what, what.removeprefix("tensor ").partition(":")[0], str(tensor)]
    return next((text for text in texts if len(text) * _CHARACTER + 6 <= width), "")


def _ticks(nbytes: int) -> Iterator[int]:
    """Round numbers from 0 to the arena's end, eight or so; its end among them."""
    step = 16
    while 8 * step < nbytes:
        step *= 2
    for value in range(0, nbytes, step):
        if nbytes - value > step // 3:
            yield value
    yield nbytes


def _line(found: MemoryMap, scale: _Scale) -> str:
    """The bytes alive, as a path of steps."""
    parts: list[str] = []
    for number, moment in enumerate(found.moments):
        parts.append(f"{'L' if parts else 'M'}{scale.x(number)} {scale.y(moment.alive)}H{scale.x(number + 1)}")
    return "".join(parts)


def _borders(arena: Block | None, scale: _Scale) -> Iterator[dict[str, Any]]:
    """Where the arena passes from one region of RAM to the next."""
    if arena is not None:
        for below, above in pairwise(arena.parts):
            yield {"y": scale.y(above.base - arena.base), "text": f"{above.region} above, {below.region} below"}


def _operator_names(found: MemoryMap, scale: _Scale) -> Iterator[dict[str, Any]]:
    """Below each moment what runs, as far as there is room."""
    apart = 13
    every = max(1, -(-len(found.moments) * apart // (_RIGHT - _LEFT)))
    for number in range(0, len(found.moments), every):
        first, *others = found.moments[number].operators or ((0, "nothing"),)
        more = f" +{len(others)}" if others else ""
        text = f"{first[0]} {_short(first[1])}{more}"
        yield {"x": round((scale.x(number) + scale.x(number + 1)) / 2 + 3, 1), "y": _BOTTOM + 12, "text": text}


def _short(code: str) -> str:
    return code.replace("DEPTHWISE", "DW").replace("FULLY_CONNECTED", "DENSE").replace("AVERAGE", "AVG")


def _legend(uses: Sequence[Use]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    x = float(_LEFT)
    for use, text in [*((use.value, _NAMES[use]) for use in uses), ("", "bytes alive")]:
        entries.append({"use": use, "x": round(x, 1), "text": text})
        x += 17 + len(text) * _CHARACTER + 26
    return entries
