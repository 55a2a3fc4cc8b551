"""The page: a Report and its material as one HTML document that needs nothing else.

Everything from outside passes :func:`~pipeline.errors.printable` and is escaped: by Jinja in the text, and by
:func:`~pipeline.report.html.charts.embedded` in the charts' data. The page's own policy lets no other script run and
lets nothing be fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from pipeline.errors import printable
from pipeline.figures import Figure, Modelled, Source
from pipeline.report.html import figures, searching
from pipeline.report.html.architecture import slab
from pipeline.report.html.charts import Chart, embedded, number
from pipeline.report.html.images import misclassified
from pipeline.report.html.material import Material
from pipeline.report.html.script import policy, script
from pipeline.report.model import Finalist, Line, Report
from pipeline.report.work import interval

#: What the sources of figures are, for the page's legend.
MEANINGS = {
    Source.ANALYTIC: "computed from shapes or from the model",
    Source.LINKED_ELF: "read from the program that was flashed, or from its link map",
    Source.EMULATED: "reported by an emulated board; never a time or an energy",
    Source.MEASURED: "reported by a physical board",
    Source.HOST: "computed on the host",
    Source.MODELLED: "calculated with factors that nobody has measured for this program",
}


class HtmlReporter:
    """The page of a report.

    Args:
        material: What it shows beside the report; None: a page of the report alone.
    """

    file_name = "report.html"

    def __init__(self, material: Material | None = None) -> None:
        self._material = material

    def render(self, report: Report) -> str:
        """The whole document, ending in a line feed."""
        material = self._material if self._material is not None else Material(board=report.board)
        drawing = script()
        sections = [(title, charts) for title, charts in _sections(report, material) if charts]
        classified = material.classified
        return (
            _template().render(
                report=report,
                board=material.board,
                tiles=list(_tiles(report)),
                rows=list(_rows(report)),
                stages=[(stage, *slab(stage, material.stages)) for stage in material.stages],
                sections=sections,
                specs=[
                    (chart.id, Markup(embedded(chart.spec)))  # noqa: S704 - escaped for a script element
                    for _, charts in sections
                    for chart in charts
                    if chart.spec is not None
                ],
                memory_map=Markup(material.memory_map.strip()),  # noqa: S704 - our own drawing, escaped when it was made
                classified=classified,
                pictures=[] if classified is None else list(misclassified(classified)),
                meanings={source: text for source, text in MEANINGS.items() if source in _sources(report)},
                looks=max((look.number for look in report.test_looks), default=0),
                policy=policy(drawing),
                script=Markup(drawing),  # noqa: S704 - a library and our own lines
            )
            + "\n"
        )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent.parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    environment.filters["figure"] = shown
    environment.filters["number"] = number
    environment.filters["slug"] = lambda source: str(source).replace(" ", "-").lower()
    return environment.get_template("report.html.j2")


def shown(figure: Figure) -> str:
    """A figure with its unit; where there is none, why."""
    if figure.value is None:
        return f"none: {printable(figure.reason)}" if figure.reason else "none"
    return f"{number(figure.value)} {figure.unit}".strip()


@dataclass(frozen=True)
class Tile:
    """One of the figures at the top; ``more`` is in small print, ``basis`` below all of them."""

    name: str
    value: str
    source: Source
    more: str = ""
    basis: str = ""


def _tiles(report: Report) -> Iterator[Tile]:
    winner = _winner(report)
    if winner is not None:
        metric = report.search.metric if report.search is not None else "accuracy"
        yield Tile(f"{metric}, float", shown(winner.float_accuracy), winner.float_accuracy.source, "validation split")
        yield Tile(f"{metric}, int8", shown(winner.int8_accuracy), winner.int8_accuracy.source, "validation split")
    for name, figure in report.accuracy.items():
        if figure.source in (Source.EMULATED, Source.MEASURED) and figure.value is not None:
            yield Tile("accuracy on the device", shown(figure), figure.source, printable(name))
    for title, lines in (("RAM", report.ram), ("flash", report.flash)):
        total = next((line for line in lines if line.name == "total"), None)
        if total is not None:
            more = f"estimate {shown(total.estimate)} ({total.estimate.source})"
            yield Tile(title, shown(total.found), total.found.source, more)
    for name, figure in report.timing.items():
        yield Tile(printable(name), shown(figure), figure.source)
    yield from _work(report)


def _work(report: Report) -> Iterator[Tile]:
    """Time and energy: measured where they were, or else modelled, with the interval in which they are expected."""
    measured = any(figure.unit == "ms" for figure in report.timing.values())
    work = report.work
    if work is not None:
        modelled: list[tuple[str, Modelled | None]] = [("energy an inference", work.energy)]
        if not measured:
            modelled.insert(0, ("latency an inference", work.latency))
        for name, one in modelled:
            if one is not None:
                span = interval(one).partition(" (")[2].rstrip(")")
                yield Tile(name, f"{one.value:.4g} {one.unit}", one.source, span, printable(one.text, 1000))
    if report.energy is not None:
        energy = report.energy.millijoules
        more = (
            f"median of {report.energy.windows} windows, {energy.min:.4g}…{energy.max:.4g} mJ; {report.energy.source}"
        )
        yield Tile("energy an inference", f"{energy.median:.4g} mJ", Source.MEASURED, printable(more, 300))


def _winner(report: Report) -> Finalist | None:
    if report.search is None:
        return None
    return next((one for one in report.search.finalists if one.genotype == report.search.genotype), None)


def _rows(report: Report) -> Iterator[tuple[str, Line]]:
    """RAM and flash, item by item."""
    for title, lines in (("RAM", report.ram), ("flash", report.flash)):
        for line in lines:
            yield title, line


def _sections(report: Report, material: Material) -> Iterator[tuple[str, tuple[Chart, ...]]]:
    comparison = figures.comparison(report.verdict)
    yield "Estimate against measurement", () if comparison is None else (comparison,)
    if report.search is not None:
        yield "What the search has found", searching.fronts(material.evaluated, report.search)
        yield "How the search went", searching.progress(material.evaluated, report.search)
    if material.space is not None:
        yield "What of the space fits the board", searching.feasibility(material.space)
    flash = figures.components(report.flash, material.flash_estimate, material.flash_linked)
    yield "Flash", () if flash is None else (flash,)
    if material.classified is not None:
        yield "What was taken for what", (figures.confusion(material.classified),)


def _sources(report: Report) -> set[Source]:
    """The sources of all figures that the page shows."""
    found = {Source.ANALYTIC, Source.HOST}
    for lines in (report.ram, report.flash):
        found |= {side.source for line in lines for side in (line.estimate, line.found)}
    found |= {source for check in report.verdict.checks for source in (check.expected_source, check.measured_source)}
    found |= {figure.source for figure in (*report.timing.values(), *report.accuracy.values())}
    if report.work is not None and (report.work.latency is not None or report.work.energy is not None):
        found.add(Source.MODELLED)
    if report.energy is not None:
        found.add(Source.MEASURED)
    return found
