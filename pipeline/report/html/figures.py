"""Charts of what came out: estimates beside what was found, flash by its parts, and which class was taken for which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.errors import printable
from pipeline.estimate.model import Item
from pipeline.figures import Source
from pipeline.report.html.charts import PARTS, WIDE, Chart, Rows, by_source, cut, number, spec, values
from pipeline.report.html.material import Classified
from pipeline.report.model import Line
from pipeline.validate import Check, Verdict

#: Checks that set an estimate beside what was found, and the check that has the limit of the same.
_ESTIMATES = {
    "ram": "ram-limit",
    "ram-arena": "",
    "ram-static": "",
    "stack-bound": "stack-reserve",
    "flash": "flash-limit",
    "instructions": "instructions-limit",
    "cycles": "",
}
#: Classes that a matrix is drawn of; of more only the table is given.
_MOST_CLASSES = 30


def comparison(verdict: Verdict) -> Chart | None:
    """Each estimate as a bar beside what was found, over what it was allowed to be; None where there are none."""
    import altair as alt

    checks = {check.id: check for check in verdict.checks}
    shown = [checks[name] for name in _ESTIMATES if name in checks and _numbers(checks[name])]
    if not shown:
        return None
    sources = {source for check in shown for source in (check.expected_source, check.measured_source)}
    charts = []
    for check in shown:
        limit = checks.get(_ESTIMATES[check.id])
        charts.append(_compared(check, limit if limit is not None and _numbers(limit) else None, by_source(sources)))
    made = (
        alt.vconcat(*charts, spacing=14).resolve_scale(x="independent", color="shared").resolve_legend(color="shared")
    )
    rows = tuple(_row(check) for check in shown)
    text = (
        "The lower bar of each pair is what was found. The band is what the estimate may be for that; the line is a "
        "limit, where it is in reach. Each quantity has a scale of its own that begins at 0."
    )
    columns = ("quantity", "estimate", "source", "found", "source", "may be", "")
    return Chart(
        "comparison", "Estimates and what was found", text, spec(made, "Estimates and findings."), columns, rows
    )


def _numbers(check: Check) -> bool:
    return not isinstance(check.expected, str) and not isinstance(check.measured, str)


def _row(check: Check) -> tuple[str, ...]:
    unit = f" {check.unit}" if check.unit else ""
    return (
        printable(check.title),
        f"{number(float(check.expected) if isinstance(check.expected, float) else int(check.expected))}{unit}",
        check.expected_source.value,
        f"{number(float(check.measured) if isinstance(check.measured, float) else int(check.measured))}{unit}",
        check.measured_source.value,
        printable(check.tolerance),
        "pass" if check.passed else "FAIL",
    )


def _compared(check: Check, limit: Check | None, colour: object) -> object:
    import altair as alt

    estimate, found = float(check.expected), float(check.measured)
    unit = check.unit or ("instructions" if check.id == "instructions" else "")
    rows = [
        {"what": "estimate", "value": estimate, "source": check.expected_source.value},
        {"what": "found", "value": found, "source": check.measured_source.value},
    ]
    for row in rows:
        row["text"] = f"{row['value']:,.0f} {unit}".strip()
    low, high = check.allowed or (None, None)
    ends = [estimate, found, *(end for end in (low, high) if end is not None)]
    most = max(ends)
    line = float(limit.expected) if limit is not None else None
    if line is not None and line <= 2 * most:
        most = max(most, line)
    domain = [0, most * 1.2 or 1.0]
    x = alt.X(
        "value:Q", title=None, scale=alt.Scale(domain=domain, nice=False), axis=alt.Axis(format="~s", tickCount=6)
    )
    y = alt.Y("what:N", title=None, sort=["estimate", "found"])
    layers = []
    if check.allowed is not None:
        band = [{"what": "estimate", "low": low if low is not None else 0, "high": high if high is not None else most}]
        layers.append(
            alt.Chart(values(band))
            .mark_rect(fill="var(--band)", stroke="var(--band-line)", strokeWidth=1.5, opacity=1)
            .encode(y=y, x=alt.X("low:Q", scale=alt.Scale(domain=domain, nice=False)), x2="high:Q")
        )
    base = alt.Chart(values(rows)).encode(x=x, y=y)
    tooltip = [
        alt.Tooltip("what:N", title=printable(check.title, 60)),
        alt.Tooltip("text:N", title="is"),
        alt.Tooltip("source:N", title="source"),
    ]
    layers.append(base.mark_bar(height=12).encode(color=colour, tooltip=tooltip))
    layers.append(base.mark_text(align="left", dx=5).encode(text="text:N"))
    if line is not None and line <= domain[1]:
        layers.append(
            alt.Chart(values([{"x": line}]))
            .mark_rule(stroke="var(--fail)", strokeDash=[5, 3], strokeWidth=1.5)
            .encode(x=alt.X("x:Q", scale=alt.Scale(domain=domain, nice=False)))
        )
    state = "" if check.passed else " – FAIL"
    apart = f"estimate {100 * (estimate - found) / found:+.2f} %; " if found else ""
    title = f"{printable(check.title, 60)} ({apart}may be {printable(check.tolerance, 60)}){state}"
    return alt.layer(*layers).properties(width=WIDE - 110, height=44, title=title)


def components(lines: Sequence[Line], estimate: Sequence[Item], linked: Sequence[Item]) -> Chart | None:
    """Flash by component, as it was estimated and as it was linked; None where nothing is known of it."""
    import altair as alt

    names = [line.name for line in lines if line.name != "total"]
    rows: Rows = []
    for side, source, items in (
        ("estimate", Source.ANALYTIC, estimate),
        ("linked ELF", Source.LINKED_ELF, linked),
    ):
        if items:
            rows += _parts(side, source, items, names)
    if not rows:
        return None
    order = list(dict.fromkeys(row["component"] for row in rows))
    sides = list(dict.fromkeys(row["side"] for row in rows))
    made = (
        alt.Chart(values(rows))
        .mark_bar(stroke="var(--card)", strokeWidth=1)
        .encode(
            x=alt.X("bytes:Q", title="bytes of flash", stack="zero", axis=alt.Axis(format="~s")),
            y=alt.Y("side:N", title=None, sort=sides),
            color=alt.Color(
                "component:N",
                title=None,
                scale=alt.Scale(domain=order, range=[PARTS[n % len(PARTS)] for n in range(len(order))]),
                legend=alt.Legend(orient="top"),
            ),
            order=alt.Order("order:Q"),
            detail="part:N",
            tooltip=[
                alt.Tooltip("component:N"),
                alt.Tooltip("part:N"),
                alt.Tooltip("bytes:Q", title="bytes", format=","),
                alt.Tooltip("source:N", title="source"),
            ],
        )
        .properties(width=WIDE - 90, height=54 * len(sides))
    )
    table = tuple((printable(line.name), number(line.estimate.value), number(line.found.value)) for line in lines)
    columns = ("component", "estimate, B (analytic)", "found, B (linked ELF)")
    text = "The upper bar is estimated from shapes, the lower one read from the link map of what was flashed."
    return Chart("flash", "Flash by component", text, spec(made, "Flash by component."), columns, table)


def _parts(side: str, source: Source, items: Sequence[Item], names: Sequence[str]) -> Iterator[dict[str, object]]:
    place = {name: number for number, name in enumerate(names)}
    ordered = sorted(items, key=lambda item: place.get(item.name, len(place)))
    for component, item in enumerate(ordered):
        for number_, part in enumerate(sorted(item.parts or (item,), key=lambda part: -part.bytes)):
            if part.bytes > 0:
                yield {
                    "side": side,
                    "source": source.value,
                    "component": printable(item.name, 60),
                    "part": printable(part.name, 60),
                    "bytes": part.bytes,
                    "order": component * 1000 + number_,
                }


def confusion(classified: Classified) -> Chart:
    """Which class was taken for which, on the device."""
    import altair as alt

    names = [f"{number_} {printable(name, 40)}" for number_, name in enumerate(classified.classes)]
    used = sorted({*classified.labels, *classified.found})
    totals = {label: sum(count for (of, _), count in classified.counts.items() if of == label) for label in used}
    cells = [
        {
            "label": names[label],
            "found": names[found],
            "count": classified.counts[label, found],
            "share": classified.counts[label, found] / totals[label] if totals[label] else 0.0,
            "right": label == found,
        }
        for label in used
        for found in used
    ]
    right = len(classified.labels) - len(classified.wrong)
    text = (
        f"{right} of {len(classified.labels)} images of the {printable(classified.origin)} were recognized "
        f"(outputs: {classified.source.value}). A row is a true class, a column what the device took it for."
    )
    most = classified.counts.most_common()
    shown, more = cut([(names[label], names[found], number(count)) for (label, found), count in most])
    drawn = None
    if len(used) <= _MOST_CLASSES:
        order = [names[label] for label in used]
        base = alt.Chart(values(cells)).encode(
            x=alt.X("found:N", title="taken for", sort=order, axis=alt.Axis(labelAngle=-40, orient="top")),
            y=alt.Y("label:N", title="is", sort=order),
            tooltip=[
                alt.Tooltip("label:N", title="is"),
                alt.Tooltip("found:N", title="taken for"),
                alt.Tooltip("count:Q", title="images"),
            ],
        )
        shade = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None)
        fill = alt.condition("datum.right", alt.value("var(--heat)"), alt.value("var(--wrong)"))
        colour = alt.condition("datum.share > 0.55", alt.value("var(--on-heat)"), alt.value("var(--text)"))
        side = max(34, min(80, 480 // max(1, len(used))))
        layers = alt.layer(
            base.mark_rect(fill="var(--none)", stroke="var(--card)", strokeWidth=2),
            base.mark_rect(stroke="var(--card)", strokeWidth=2).encode(color=fill, opacity=shade),
            base.mark_text().encode(text="count:Q", color=colour),
        )
        drawn = spec(layers.properties(width=side * len(used), height=side * len(used)), "Confusion matrix.")
    return Chart("confusion", "Confusion matrix", text, drawn, ("is", "taken for", "images"), shown, more)
