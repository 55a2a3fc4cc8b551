"""Which share of a space fits a board: as text, as JSON and as a drawing of two heat maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from rich.table import Table
from rich.text import Text

from pipeline.boards import Board
from pipeline.errors import printable
from pipeline.estimate.model import Limits
from pipeline.genotype import Colour, Genotype
from pipeline.report.terminal import rendered
from pipeline.search.survey import Design, Limit, Range, Share, share, shares

#: From none to all: said with a character where there is no colour, and with a background where there is.
_SHADES = " ░▒▓█"
_BACKGROUNDS = ("grey23", "color(24)", "color(31)", "color(38)", "color(45)")


@dataclass(frozen=True)
class SpaceReport:
    """What was found out about a space.

    Attributes:
        board: The board type.
        limits: What a design may need.
        classes: Outputs of each design.
        designs: All that were looked at, at least one.
        space: Name of the space.
        size: Designs that it has.
        seed: With which those that were looked at were drawn; None where these are all.
    """

    board: Board
    limits: Limits
    classes: int
    designs: Sequence[Design]
    space: str
    size: int
    seed: int | None = None


@dataclass(frozen=True)
class _Map:
    """Shares by two things; ``cells`` by row, None where the space has no such designs."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Share | None, ...], ...]


def space_json(report: SpaceReport) -> dict[str, Any]:
    """The whole, each data configuration, and each resolution at each alpha (or depth, where there is no alpha)."""
    by_data = shares(report.designs, lambda genotype: genotype.data)
    other = _other(report)
    by_other = shares(report.designs, lambda genotype: (genotype.data.resolution, other.of(genotype)))
    return {
        "board": report.board.name,
        "classes": report.classes,
        "limits": report.limits.model_dump(include={"ram_bytes", "flash_bytes", "macs"}),
        "source": "analytic",
        "space": report.space,
        "size": report.size,
        "drawn": None if report.seed is None else {"count": len(report.designs), "seed": report.seed},
        "all": _document(share(report.designs)),
        "data": [{"data": data.id, **_document(found)} for data, found in by_data.items()],
        other.rows: [
            {"resolution": resolution, other.name: row, **_document(found)}
            for (resolution, row), found in sorted(by_other.items())
        ],
    }


@dataclass(frozen=True)
class _Other:
    """What a second map is by, besides the resolution; its rows are named by texts.

    ``rows`` and ``name`` are its keys in a document.
    """

    title: str
    rows: str
    name: str
    of: Callable[[Genotype], float]
    text: Callable[[float], str]


#: Blocks of stages 3-7 that are one row of a map.
_BLOCKS = 3
_PUBLISHED = _Other("width (alpha)", "widths", "alpha", lambda genotype: genotype.alpha, lambda row: f"{row:.1f}")
_WIDE = _Other(
    "blocks in stages 3-7",
    "depths",
    "blocks",
    lambda genotype: sum(genotype.depths) // _BLOCKS * _BLOCKS,
    lambda row: f"{row:.0f}-{row + _BLOCKS - 1:.0f}",
)


def _other(report: SpaceReport) -> _Other:
    """By alpha, or of designs that have none by their depth."""
    return _PUBLISHED if all(design.genotype.wide is None for design in report.designs) else _WIDE


def _document(found: Share) -> dict[str, Any]:
    return {
        "count": found.count,
        "fits": found.fits,
        "share": found.share,
        "figures_of": "what fits" if found.fits else "all",
        "ram_bytes": [found.ram.least, found.ram.most],
        "flash_bytes": [found.flash.least, found.flash.most],
        "over": {limit.value: count for limit, count in found.over.items()},
        "binds": found.binds.value if found.binds is not None else None,
    }


def space_text(report: SpaceReport, *, colour: bool = False, width: int = 110) -> str:
    """A row a data configuration, and two heat maps; ends in a line feed."""
    table = Table("Data")
    for name in ("fit", "of", "share", "RAM of what fits, B", "flash of what fits, B"):
        table.add_column(name, justify="right")
    table.add_column("over the limit of")
    groups = shares(report.designs, lambda genotype: genotype.data)
    for data, found in groups.items():
        table.add_row(data.id, *_row(found))
    table.add_section()
    table.add_row(Text("all", style="bold"), *_row(share(report.designs)))
    title = Text(f"What of the space fits {printable(report.board.title, 60)} (analytic)", style="bold")
    maps = [part for found in _maps(report) for part in (Text(f"\n{found.title}", style="bold"), _grid(found))]
    return rendered(title, _limits(report), table, *maps, colour=colour, width=width)


def _limits(report: SpaceReport) -> str:
    limits = report.limits
    macs = "" if limits.macs is None else f", {limits.macs:,} MACs"
    drawn = ""
    if report.seed is not None:
        drawn = f" {len(report.designs):,} of {_size(report.size)} designs, drawn at random (seed {report.seed})."
    largest = max((area.bytes for area in limits.areas if "arena" in area.holds), default=limits.ram_bytes)
    pieces = f" (an arena of {largest:,} B at most)" if largest < limits.ram_bytes else ""
    return (
        f"Limits: {limits.ram_bytes:,} B of RAM{pieces}, {limits.flash_bytes:,} B of flash{macs}; "
        f"{report.classes} classes.{drawn}"
    )


def _size(count: int) -> str:
    """In figures as far as anyone reads them."""
    return f"{count:,}" if count < 10**9 else f"{count:.1e}"


def _row(found: Share) -> tuple[str, ...]:
    over = ", ".join(f"{limit}: {count:,}" for limit, count in _by_count(found) if count)
    return (
        f"{found.fits:,}",
        f"{found.count:,}",
        _percent(found),
        _figures(found.ram, found),
        _figures(found.flash, found),
        over,
    )


def _by_count(found: Share) -> list[tuple[Limit, int]]:
    return sorted(found.over.items(), key=lambda item: -item[1])


def _figures(found: Range, of: Share) -> str:
    return f"{found.least:,} – {found.most:,}" if of.fits else f"none; least {found.least:,}"


def _percent(found: Share) -> str:
    """Whole percents, but what is not all is not 100 %, and what is not nothing is not 0 %."""
    if 0 < found.fits < found.count:
        return f"{min(99, max(1, round(100 * found.share)))} %"
    return f"{100 * found.fits // found.count} %"


def _maps(report: SpaceReport) -> tuple[_Map, _Map]:
    resolutions = sorted({design.genotype.data.resolution for design in report.designs})
    colours = [colour for colour in Colour if any(design.genotype.data.colour is colour for design in report.designs)]
    other = _other(report)
    rows = sorted({other.of(design.genotype) for design in report.designs}, reverse=True)
    of_colour = shares(report.designs, lambda genotype: (genotype.data.colour, genotype.data.resolution))
    of_other = shares(report.designs, lambda genotype: (other.of(genotype), genotype.data.resolution))
    columns = tuple(map(str, resolutions))
    return (
        _Map(
            "Share that fits, by colour and resolution",
            tuple(colour.value for colour in colours),
            columns,
            tuple(tuple(of_colour.get((colour, pixels)) for pixels in resolutions) for colour in colours),
        ),
        _Map(
            f"Share that fits, by {other.title} and resolution",
            tuple(map(other.text, rows)),
            columns,
            tuple(tuple(of_other.get((row, pixels)) for pixels in resolutions) for row in rows),
        ),
    )


def _grid(found: _Map) -> Table:
    grid = Table("", box=None, padding=(0, 1), header_style="dim")
    for column in found.columns:
        grid.add_column(column, justify="right")
    for name, cells in zip(found.rows, found.cells, strict=True):
        grid.add_row(Text(name, style="dim"), *map(_cell, cells))
    return grid


def _cell(found: Share | None) -> Text:
    if found is None:
        return Text("")
    level = _level(found)
    return Text(f"{_SHADES[level]} {_percent(found):>5} ", style=f"white on {_BACKGROUNDS[level]}")


def _level(found: Share) -> int:
    """0 for nothing, 4 for all, and three steps between."""
    return 0 if not found.fits else 4 if found.fits == found.count else 1 + min(2, int(3 * found.share))


# The drawing.

_SIZE, _GAP, _LEFT, _TOP = 58, 2, 64, 84


def space_svg(report: SpaceReport) -> str:
    """Both heat maps as a document that stands alone: no script, no font; each text is escaped."""
    whole = share(report.designs)
    y, drawn = _TOP, []
    for found in _maps(report):
        drawn.append(_drawn(found, y))
        y += len(found.rows) * (_SIZE // 2 + _GAP) + 70
    title = f"What of the space fits {printable(report.board.title, 60)}"
    facts = f"{whole.fits:,} of {whole.count:,} designs fit ({_percent(whole)}, analytic)"
    return (
        _template().render(
            title=title,
            subtitle=f"{facts}. {_limits(report)}",
            description=f"{facts}. {_limits(report)} Each field is the share of its designs that fit; darker is more.",
            width=_LEFT + max(7, len(drawn[0]["columns"])) * (_SIZE + _GAP) + 210,
            height=y,
            left=_LEFT,
            size=_SIZE,
            maps=drawn,
        )
        + "\n"
    )


def _drawn(found: _Map, top: int) -> dict[str, Any]:
    height = _SIZE // 2
    return {
        "title": found.title,
        "top": top,
        "columns": [
            {"x": _LEFT + n * (_SIZE + _GAP) + _SIZE / 2, "text": text} for n, text in enumerate(found.columns)
        ],
        "rows": [
            {
                "text": text,
                "y": top + number * (height + _GAP),
                "height": height,
                "cells": list(_fields(text, found.columns, cells)),
            }
            for number, (text, cells) in enumerate(zip(found.rows, found.cells, strict=True))
        ],
    }


def _fields(row: str, columns: Sequence[str], cells: Iterable[Share | None]) -> Iterable[dict[str, Any]]:
    for number, (column, found) in enumerate(zip(columns, cells, strict=True)):
        if found is None:
            continue
        over = "".join(f"; {count:,} exceed the {limit}" for limit, count in _by_count(found) if count)
        yield {
            "x": _LEFT + number * (_SIZE + _GAP),
            "level": round(0.08 + 0.92 * found.share, 3) if found.fits else 0,
            "deep": found.share > 0.5,
            "text": _percent(found),
            "title": f"{column} pixels, {row}: {found.fits:,} of {found.count:,} fit{over}",
        }


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("space.svg.j2")
