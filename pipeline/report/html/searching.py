"""Charts of a search: accuracy against cost, its progress, and which share of the space fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pipeline.errors import printable
from pipeline.report.evaluated import Evaluated
from pipeline.report.html.charts import NARROW, WIDE, Chart, Rows, cut, number, spec, values
from pipeline.report.model import SearchSummary

if TYPE_CHECKING:
    import altair as alt

#: What a candidate is called, with its colour and the shape of its point.
_KINDS = {
    "winner": ("var(--winner)", "diamond", 160),
    "finalist": ("var(--finalist)", "square", 80),
    "evaluated": ("var(--plain)", "circle", 45),
    "beyond a limit": ("var(--beyond)", "cross", 45),
}


@dataclass(frozen=True)
class _Cost:
    """What accuracy is drawn against: the limit of the search has ``limit`` for its key."""

    id: str
    title: str
    limit: str
    of: Callable[[Evaluated], float | None]


_COSTS = (
    _Cost("ram", "RAM, B (analytic)", "RAM", lambda one: one.ram_bytes),
    _Cost("flash", "flash, B (analytic)", "flash", lambda one: one.flash_bytes),
    _Cost("latency", "latency, ms (modelled)", "latency in ms", lambda one: one.latency.value if one.latency else None),
    _Cost("macs", "MACs (analytic)", "MAC", lambda one: one.macs),
)


def fronts(evaluated: Sequence[Evaluated], search: SearchSummary) -> tuple[Chart, ...]:
    """Accuracy against RAM, flash and latency; against MACs where the search has modelled no latency."""
    if not evaluated:
        return ()
    latency = any(one.latency is not None for one in evaluated)
    costs = [cost for cost in _COSTS if cost.id != ("macs" if latency else "latency")]
    return tuple(_front(evaluated, search, cost, table=cost is costs[0]) for cost in costs)


def _front(evaluated: Sequence[Evaluated], search: SearchSummary, cost: _Cost, *, table: bool) -> Chart:
    import altair as alt

    rows = _rows(evaluated, search, cost)
    limit = search.limits.get(cost.limit)
    ends = [row["x"] for row in rows]
    # Of a limit far away only its direction matters: what was found must not shrink to a corner.
    shown = max(ends) * 1.08 if limit is None else min(float(limit) * 1.04, max(ends) * 1.6)
    low = min(row["accuracy"] for row in rows)
    bottom = max(0.0, low - 0.08 * (100 - low) - 0.5)
    y_scale = alt.Scale(domain=[bottom, 100.5], nice=False, zero=False)
    y = alt.Y("accuracy:Q", title=f"{search.metric}, % (host)", scale=y_scale)
    x = alt.X(
        "x:Q", title=cost.title, scale=alt.Scale(domain=[0, shown], nice=False), axis=alt.Axis(format="~s", tickCount=5)
    )
    kinds = [kind for kind in _KINDS if any(row["kind"] == kind for row in rows)]
    points = (
        alt.Chart(values(rows))
        .mark_point(filled=True, opacity=0.85, stroke="var(--card)", strokeWidth=0.7)
        .encode(
            x=x,
            y=y,
            color=_coloured(kinds),
            shape=_shaped(kinds),
            size=alt.Size("size:Q", scale=None, legend=None),
            order=alt.Order("rank:Q", sort="descending"),
            tooltip=_tooltip(rows),
        )
        .properties(width=NARROW, height=230)
    )
    layers = [points]
    line = list(_steps(rows, shown if limit is None else min(float(limit), shown)))
    if line:
        layers.insert(
            0,
            alt.Chart(values(line))
            .mark_line(interpolate="step-after", stroke="var(--winner)", strokeDash=[4, 3], opacity=0.8, clip=True)
            .encode(x="x:Q", y=alt.Y("accuracy:Q", scale=y_scale)),
        )
    if limit is not None:
        area = [{"x": 0, "x2": min(float(limit), shown), "y": bottom, "y2": 100.5}]
        layers.insert(
            0,
            alt.Chart(values(area))
            .mark_rect(fill="var(--feasible)", opacity=1)
            .encode(x="x:Q", x2="x2:Q", y=alt.Y("y:Q", scale=y_scale), y2="y2:Q"),
        )
    made = alt.layer(*layers)
    shown_rows, more = cut([_table_row(one, search) for one in evaluated] if table else [])
    within = "" if limit is None else f" The shaded region is within the limit of {number(limit)}."
    text = within.strip()
    if table:
        text = (
            f"A point a candidate, as the search has scored it: {search.metric} on the validation split with the "
            f"weights that it inherits. The dashed line joins those that none beats in both.{within}"
        )
    title = f"{search.metric.capitalize()} against {cost.title.partition(',')[0].partition(' (')[0]}"
    made_spec = spec(made, f"{title}: {len(rows)} candidates.") if len(rows) else None
    return Chart(f"front-{cost.id}", title, text, made_spec, _COLUMNS if table else (), shown_rows, more)


def _coloured(kinds: Sequence[str]) -> alt.Color:
    import altair as alt

    scale = alt.Scale(domain=list(kinds), range=[_KINDS[kind][0] for kind in kinds])
    return alt.Color("kind:N", title=None, scale=scale, legend=alt.Legend(orient="top"))


def _shaped(kinds: Sequence[str]) -> alt.Shape:
    """As well as by colour, which not everybody sees."""
    import altair as alt

    scale = alt.Scale(domain=list(kinds), range=[_KINDS[kind][1] for kind in kinds])
    return alt.Shape("kind:N", title=None, scale=scale, legend=alt.Legend(orient="top"))


def _rows(evaluated: Sequence[Evaluated], search: SearchSummary, cost: _Cost) -> Rows:
    found: Rows = []
    for one in evaluated:
        x = cost.of(one)
        if x is None:
            continue
        kind = _kind(one, search)
        row = {
            "x": x,
            "accuracy": round(100 * one.accuracy, 3),
            "kind": kind,
            "rank": list(_KINDS).index(kind),
            "size": _KINDS[kind][2],
            "feasible": one.feasible,
            "genotype": printable(one.genotype),
            "proposal": one.proposal,
            "ram": one.ram_bytes,
            "flash": one.flash_bytes,
            "macs": one.macs,
        }
        if one.instructions is not None:
            row["work"] = f"{one.instructions.count:,} {one.instructions.unit} (analytic)"
        if one.latency is not None:
            row["latency"] = f"{one.latency.value:.4g} ms (modelled)"
        if one.energy is not None:
            row["energy"] = f"{one.energy.value:.4g} mJ (modelled)"
        found.append(row)
    return found


def _tooltip(rows: Rows) -> list[alt.Tooltip]:
    import altair as alt

    fields = [
        alt.Tooltip("genotype:N", title="candidate"),
        alt.Tooltip("proposal:Q", title="evaluation"),
        alt.Tooltip("kind:N", title="is"),
        alt.Tooltip("accuracy:Q", title="accuracy, % (host)", format=".2f"),
        alt.Tooltip("ram:Q", title="RAM, B (analytic)", format=","),
        alt.Tooltip("flash:Q", title="flash, B (analytic)", format=","),
        alt.Tooltip("macs:Q", title="MACs (analytic)", format=","),
    ]
    more = [name for name in ("work", "latency", "energy") if any(name in row for row in rows)]
    return fields + [alt.Tooltip(f"{name}:N", title=name) for name in more]


def _kind(one: Evaluated, search: SearchSummary) -> str:
    if one.genotype == search.genotype:
        return "winner"
    if any(one.genotype == finalist.genotype for finalist in search.finalists):
        return "finalist"
    return "evaluated" if one.feasible else "beyond a limit"


def _steps(rows: Rows, end: float) -> Iterator[dict[str, float]]:
    """The feasible rows that none beats in both accuracy and cost, from left to right, and on to the border."""
    best = -1.0
    for row in sorted((row for row in rows if row["feasible"]), key=lambda row: (row["x"], -row["accuracy"])):
        if row["accuracy"] > best:
            best = row["accuracy"]
            yield {"x": row["x"], "accuracy": best}
    if best >= 0:
        yield {"x": end, "accuracy": best}


_COLUMNS = ("evaluation", "candidate", "is", "accuracy, % (host)", "RAM, B (analytic)", "flash, B (analytic)", "MACs")


def _table_row(one: Evaluated, search: SearchSummary) -> tuple[str, ...]:
    figures = (f"{100 * one.accuracy:.2f}", number(one.ram_bytes), number(one.flash_bytes), number(one.macs))
    return (str(one.proposal), printable(one.genotype), _kind(one, search), *figures)


def progress(evaluated: Sequence[Evaluated], search: SearchSummary) -> tuple[Chart, ...]:
    """Accuracy over evaluations, and over the seconds that they took where these are known."""
    if not evaluated:
        return ()
    found = [_progress(evaluated, search, [float(one.proposal + 1) for one in evaluated], "evaluations")]
    took = [one.seconds for one in evaluated]
    if None not in took:
        minutes = [seconds / 60 for seconds in accumulate(one or 0.0 for one in took)]
        found.append(_progress(evaluated, search, minutes, "time"))
    return tuple(found)


def _progress(evaluated: Sequence[Evaluated], search: SearchSummary, at: Sequence[float], over: str) -> Chart:
    import altair as alt

    rows: Rows = []
    best: float | None = None
    for one, x in zip(evaluated, at, strict=True):
        accuracy = round(100 * one.accuracy, 3)
        if one.feasible and (best is None or accuracy > best):
            best = accuracy
        kind = _kind(one, search)
        name = printable(one.genotype)
        rows.append({"x": x, "accuracy": accuracy, "best": best, "kind": kind, "genotype": name, "n": one.proposal})
    kinds = [kind for kind in _KINDS if any(row["kind"] == kind for row in rows)]
    title = "minutes spent on evaluations" if over == "time" else "evaluations"
    x = alt.X("x:Q", title=title)
    y = alt.Y("accuracy:Q", title=f"{search.metric}, % (host)", scale=alt.Scale(zero=False))
    base = alt.Chart(values(rows)).properties(width=NARROW * 1.6, height=200)
    points = base.mark_point(filled=True, opacity=0.85).encode(
        x=x,
        y=y,
        color=_coloured(kinds),
        shape=_shaped(kinds),
        tooltip=[
            alt.Tooltip("genotype:N", title="candidate"),
            alt.Tooltip("accuracy:Q", title="accuracy, % (host)", format=".2f"),
            alt.Tooltip("best:Q", title="best so far, %", format=".2f"),
            alt.Tooltip("x:Q", title=title, format=".4~g"),
        ],
    )
    line = base.mark_line(interpolate="step-after", stroke="var(--winner)").encode(x="x:Q", y="best:Q")
    text = {
        "evaluations": "The line is the best candidate within the limits so far.",
        "time": "The first candidate of a supernet waits for its training. Workers' times are added.",
    }[over]
    made = alt.layer(line, points)
    name = f"Progress over {over}"
    return Chart(f"progress-{over}", name, text, spec(made, f"{name}: {len(rows)} candidates."))


def feasibility(space: Mapping[str, Any]) -> tuple[Chart, ...]:
    """Which share of the space fits, by colour and resolution, and by width or depth and resolution."""
    by_data = [
        {"column": resolution, "row": colour, **_cell(one)}
        for one in space["data"]
        for resolution, _, colour in [str(one["data"]).partition("-")]
    ]
    key, rows, row_title = (
        ("alpha", space["widths"], "width (alpha)")
        if "widths" in space
        else ("blocks", space["depths"], "blocks in stages 3-7")
    )
    by_other = [{"column": str(one["resolution"]), "row": f"{one[key]:g}", **_cell(one)} for one in rows]
    whole = space["all"]
    drawn = " Some of them were drawn at random." if space["drawn"] is not None else ""
    text = (
        f"{number(whole['fits'])} of {number(whole['count'])} designs that were looked at are within the limits, of "
        f"{number(space['size'])} in the space “{printable(space['space'])}” (analytic).{drawn}"
    )
    return (
        _heat("space-data", "What of the space fits, by colour", "colour", by_data, text),
        _heat("space-other", f"What of the space fits, by {row_title.partition(' (')[0]}", row_title, by_other, ""),
    )


def _cell(one: Mapping[str, Any]) -> dict[str, Any]:
    over = ", ".join(f"{limit}: {number(count)}" for limit, count in one["over"].items() if count)
    share = float(one["share"])
    # What is not all is not 100 %, and what is not nothing is not 0 %.
    percent = 100 if share == 1 else 0 if share == 0 else min(99, max(1, round(100 * share)))
    return {"share": share, "text": f"{percent} %", "fits": one["fits"], "count": one["count"], "over": over or "none"}


def _heat(id: str, title: str, row_title: str, rows: Rows, text: str) -> Chart:  # noqa: A002
    import altair as alt

    columns = sorted({row["column"] for row in rows}, key=float)
    names = sorted({row["row"] for row in rows}, reverse=True)
    if row_title != "colour":
        names = sorted(names, key=float, reverse=True)
    base = alt.Chart(values(rows)).encode(
        x=alt.X("column:O", title="resolution, px", sort=columns, axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("row:O", title=row_title, sort=names),
        tooltip=[
            alt.Tooltip("column:O", title="resolution"),
            alt.Tooltip("row:O", title=row_title),
            alt.Tooltip("fits:Q", title="designs that fit", format=","),
            alt.Tooltip("count:Q", title="of", format=","),
            alt.Tooltip("over:N", title="exceed a limit"),
        ],
    )
    ground = base.mark_rect(fill="var(--none)", stroke="var(--card)", strokeWidth=2)
    shade = base.mark_rect(fill="var(--heat)", stroke="var(--card)", strokeWidth=2).encode(
        opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None)
    )
    text_mark = base.mark_text().encode(
        text="text:N",
        color=alt.condition("datum.share > 0.55", alt.value("var(--on-heat)"), alt.value("var(--text)")),
    )
    made = alt.layer(ground, shade, text_mark).properties(
        width=min(WIDE, 70 * len(columns)), height=max(60, 30 * len(names))
    )
    table = [(row["column"], row["row"], row["text"], number(row["fits"]), number(row["count"])) for row in rows]
    shown, more = cut(table)
    return Chart(id, title, text, spec(made, title), ("resolution, px", row_title, "share", "fit", "of"), shown, more)
