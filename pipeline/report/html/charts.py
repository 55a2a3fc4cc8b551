"""What the charts of a page have in common: colours, texts, and the way into the page.

Colours are the page's CSS variables, so that light, dark and print need no second drawing. Each source of a figure has
one colour throughout: what is emulated, modelled or measured never looks alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.figures import Source

if TYPE_CHECKING:
    import altair as alt

#: CSS variables by source.
SOURCES = {source: f"var(--{source.value.replace(' ', '-').lower()})" for source in Source}
#: CSS variables for parts of a whole, told apart by hatching of lightness and by their order as well.
PARTS = tuple(f"var(--part{number})" for number in range(1, 8))
#: Width of a chart that has the page for itself, and of one that shares it.
WIDE, NARROW = 720, 256

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Chart:
    """A chart with its figures as a table, for those who do not see it, for print and for copying.

    Attributes:
        id: Of its element in the page.
        title: What it shows.
        text: What to know for reading it: sources above all.
        spec: For Vega-Lite; None where there is no more than the table.
        columns, rows: The table; rows are shown as they are.
        more: Rows that the table leaves out.
    """

    id: str
    title: str
    text: str
    spec: dict[str, Any] | None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    more: int = 0


def spec(chart: alt.Chart | alt.LayerChart | alt.VConcatChart, description: str) -> dict[str, Any]:
    """A chart as Vega-Lite reads it; ``description`` is for those who do not see it.

    It is not validated here, which takes longer than all the rest: the tests do that.
    """
    found: dict[str, Any] = chart.to_dict(validate=False)
    found.pop("$schema", None)
    return found | {"description": description, "config": _CONFIG, "background": "transparent"}


def values(rows: Iterable[dict[str, Any]]) -> alt.Data:
    """Rows as a chart's data."""
    import altair as alt

    return alt.Data(values=list(rows))


def by_source(sources: Iterable[Source], *, legend: bool = True) -> alt.Color:
    """Colour by the field ``source``; the legend names those that there are."""
    import altair as alt

    there = [source for source in Source if source in set(sources)]
    return alt.Color(
        "source:N",
        title="source",
        scale=alt.Scale(domain=[source.value for source in there], range=[SOURCES[source] for source in there]),
        legend=alt.Legend(orient="top") if legend else None,
    )


def embedded(document: object) -> str:
    """JSON for a ``<script type="application/json">``: no text in it can end the element, or a line of JavaScript."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def number(value: float | None) -> str:
    """A figure for a table: thousands apart, at most four digits behind the point."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def cut(rows: Sequence[tuple[str, ...]], most: int = 200) -> tuple[tuple[tuple[str, ...], ...], int]:
    """The first rows of a table, and how many are left out."""
    return tuple(rows[:most]), max(0, len(rows) - most)


_MUTED, _TEXT = "var(--muted)", "var(--text)"
_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'
_CONFIG: dict[str, Any] = {
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": _MUTED,
        "titleColor": _TEXT,
        "gridColor": "var(--grid)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 12,
        "labelLimit": 220,
    },
    "legend": {"labelColor": _TEXT, "titleColor": _MUTED, "titleFontWeight": "normal", "labelFontSize": 12},
    "title": {"color": _TEXT, "anchor": "start", "fontSize": 12, "fontWeight": 600},
    "text": {"color": _TEXT, "fontSize": 11},
    "header": {"labelColor": _TEXT, "titleColor": _MUTED},
}
