"""An estimate as a person reads it: its items, where it lies in RAM, what was found of it, the published formulas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.errors import printable
from pipeline.estimate import itemised
from pipeline.estimate.model import Estimate, Item, Limits
from pipeline.estimate.published import SOURCE, Published, percent
from pipeline.estimate.regions import RamLayout
from pipeline.estimate.savings import Saving
from pipeline.figures import Figure, Source
from pipeline.report.terminal import rendered

#: Where ``found`` has the totals.
TOTAL, FLASH = "total", "flash"
#: Stands between an item and its part in the names of what was found.
PART = ": "
#: A saving of fewer bytes is none: less than the arena's alignment.
_LEAST = 16


@dataclass(frozen=True)
class Found:
    """What is known of the program itself, by source: bytes of arena, static, stack, ``total`` of RAM, and ``flash``;
    of parts by ``item: part``.

    ``linked`` are the items of the ELF's flash with their parts, where its link map has been read.

    Attributes:
        figures: By source, in the order of columns; empty where nothing has been built.
        layout: Where the ELF has its blocks.
        work: What an inference executed, the median.
        note: Why something is missing that is there; else empty.
    """

    figures: dict[Source, dict[str, Figure]] = field(default_factory=dict)
    layout: RamLayout | None = None
    note: str = ""
    linked: tuple[Item, ...] = ()
    work: Figure | None = None


def estimate_text(
    figures: Estimate,
    limits: Limits,
    layout: RamLayout,
    found: Found,
    *,
    work: Sequence[str] = (),
    colour: bool = False,
    width: int = 110,
) -> str:
    """Items, regions and what was found, ending in a line feed; ``work`` are the lines of work, time and energy."""
    parts: list[RenderableType] = [
        _items("RAM", figures.ram, (TOTAL, figures.ram_bytes, limits.ram_bytes), found),
        _items("Flash", figures.flash, (FLASH, figures.flash_bytes, limits.flash_bytes), found),
        *([f"Flash, {itemised.largest(figures.flash, found.linked)}"] if found.linked else []),
        f"{figures.macs:,} MAC an inference",
        *map(Text, work),
    ]
    if figures.frame_reserve:
        parts.append(
            f"{figures.frame_reserve:,} B more of the stack may be taken by exceptions, a fault's report included"
        )
    parts += [_regions(layout), *layout.notes]
    if len(layout.areas) > 1 and not layout.over:
        most = layout.largest_arena
        parts.append(f"The largest arena with a place beside stack and static data: {most.bytes:,} B, in {most.where}.")
    if found.layout is not None:
        same = _in_regions(found.layout) == _in_regions(layout)
        where = "has them in the same regions" if same else f"has them elsewhere: {_blocks(found.layout)}"
        parts.append(f"The linked ELF {where}.")
    if found.note:
        parts.append(found.note)
    if figures.calibration is not None:
        parts.append(f"Tables: {figures.calibration.text}")
        if figures.calibration.mark:
            parts.append(Text(f"Warning: {figures.calibration.mark}", style="yellow"))
    return rendered(*parts, colour=colour, width=width)


def _items(title: str, items: Sequence[Item], total: tuple[str, int, int], found: Found) -> Table:
    table = Table(title, *map(str, (Source.ANALYTIC, *found.figures)))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, key, depth, size in _flat(items):
        # Of parts only some are told apart.
        cells = [_cell(values.get(key)) if not depth or key in values else "" for values in found.figures.values()]
        table.add_row(Text("  " * depth + printable(name), "dim" if depth else ""), _bytes(size), *cells)
    key, size, limit = total
    cells = [_cell(values.get(key)) for values in found.figures.values()]
    table.add_row(Text(f"total, of {limit:,} B", "bold"), Text(_bytes(size), "bold"), *cells)
    return table


def _flat(items: Sequence[Item], above: tuple[str, ...] = ()) -> Iterator[tuple[str, str, int, int]]:
    """(name, key of what was found, depth, bytes) of the items and their parts, each followed by its own."""
    for item in items:
        path = (*above, item.name)
        yield item.name, PART.join(path), len(above), item.bytes
        yield from _flat(item.parts, path)


def _regions(layout: RamLayout) -> Table:
    table = Table("RAM region", *(block.name for block in layout.blocks), "free", "of")
    for column in table.columns[1:]:
        column.justify = "right"
    for region in layout.regions:
        parts = [sum(part.bytes for part in block.parts if part.region == region.name) for block in layout.blocks]
        fastest = region.name in layout.fastest and len(layout.fastest) < len(layout.regions)
        name = f"{region.name} (fastest)" if fastest else region.name
        table.add_row(name, *map(_bytes, parts), _bytes(region.bytes - sum(parts)), _bytes(region.bytes))
    return table


def _in_regions(layout: RamLayout) -> list[list[str]]:
    return [[part.region for part in block.parts] for block in layout.blocks]


def _blocks(layout: RamLayout) -> str:
    return ", ".join(f"{block.name} {block.bytes:,} B at 0x{block.base:08x}" for block in layout.blocks)


def published_text(
    formulas: Published, figures: Estimate, found: Found, *, colour: bool = False, width: int = 110
) -> str:
    """The published formulas beside the estimate and what was found, ending in a line feed."""
    table = Table("", "published", "ours (analytic)", "published − ours")
    rows = published_rows(formulas, figures, found)
    if any(row.found for row in rows):
        for heading in ("found", "published − found", "ours − found"):
            table.add_column(heading)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        cells = [_bytes(row.published), _bytes(row.ours), _percent(row.published, row.ours)]
        if row.found is not None:
            source, value = row.found
            cells += [f"{_bytes(value)} ({source})", _percent(row.published, value), _percent(row.ours, value)]
        table.add_row(row.name, *cells)
    layer = "the input alone" if formulas.operator is None else f"operator {formulas.operator}"
    return rendered(
        Text(f"The published formulas ({SOURCE}) on this network", style="bold"),
        table,
        f"RAM: the larger of the input and the largest sum of what a layer reads and makes, here {layer}. Flash: the "
        "parameters. One byte each.",
        colour=colour,
        width=width,
    )


@dataclass(frozen=True)
class Row:
    """A quantity in bytes, by the published formula, by our estimate, and as it was found, with the source of that."""

    name: str
    published: int
    ours: int
    found: tuple[Source, int] | None


def published_rows(formulas: Published, figures: Estimate, found: Found) -> tuple[Row, ...]:
    """RAM in all; the arena, which is all that the formula counts of it; flash."""
    arena = next(item.bytes for item in figures.ram if item.name == "arena")
    return (
        Row("RAM", formulas.ram_bytes, figures.ram_bytes, _nearest(found, TOTAL)),
        Row("activations (arena)", formulas.ram_bytes, arena, _nearest(found, "arena")),
        Row("flash", formulas.flash_bytes, figures.flash_bytes, _nearest(found, FLASH)),
    )


def _nearest(found: Found, name: str) -> tuple[Source, int] | None:
    """What the board says, else what the ELF says."""
    for source, figures in reversed(found.figures.items()):
        figure = figures.get(name)
        if figure is not None and figure.value is not None:
            return source, int(figure.value)
    return None


def savings_text(found: Sequence[Saving], layout: RamLayout, *, colour: bool = False, width: int = 110) -> str:
    """What would lower the RAM, ending in a line feed."""
    table = Table("less by", "RAM then", "work", "What would lower it")
    for column in table.columns[:3]:
        column.justify = "right"
    helps = [one for one in found if not one.why_not and one.saved >= _LEAST]
    for one in helps:
        what = f"{one.option}: {one.what}" if one.option else f"another network: {one.what}"
        if layout.slow_bytes and not one.slow_bytes:
            what += f" (all in {' and '.join(layout.fastest)} then)"
        work = "–" if one.more_work is None else _signed(one.more_work)
        table.add_row(_bytes(one.saved), _bytes(one.ram_bytes), work, Text(what))
    title = Text("What would lower the RAM, each planned anew (analytic; work by the cost model)", style="bold")
    lines: list[RenderableType] = [title, table if helps else "Nothing that was tried lowers the RAM."]
    useless = [_short(one) for one in found if not one.why_not and one.saved < _LEAST]
    if useless:
        lines.append(f"Without a gain: {'; '.join(useless)}.")
    lines += [f"Not possible: {one.option}: {printable(one.why_not)}" for one in found if one.why_not]
    return rendered(*lines, colour=colour, width=width)


def _short(one: Saving) -> str:
    return one.option or one.what.partition(":")[0]


def _bytes(value: int) -> str:
    return f"{value:,} B"


def _cell(figure: Figure | None) -> str:
    return "–" if figure is None or figure.value is None else _bytes(int(figure.value))


def _percent(value: int, of: int) -> str:
    return _signed(percent(value, of)) if of else "–"


def _signed(value: float) -> str:
    """In percent; what rounds to nothing has no minus."""
    return f"{round(value, 1) + 0.0:+.1f} %"
