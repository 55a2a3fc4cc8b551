"""``danas-deploy energy``: the energy of an inference from a power monitor's trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import DebugOption, JsonOption, QuietOption, RunArgument, print_json

if TYPE_CHECKING:
    from pipeline.device.power import Rule

TraceOption = Annotated[
    Path, typer.Option("--trace", metavar="CSV", help="What the power monitor's program has exported.")
]
FormatOption = Annotated[
    str, typer.Option("--format", help="`auto`, `ppk2`, `joulescope`, `otii`, or `csv`: any file with a header.")
]
VoltsOption = Annotated[
    float | None,
    typer.Option("--volts", min=0.1, max=60, help="Supply voltage.", show_default="the trace's"),
]
MarkerOption = Annotated[
    str | None,
    typer.Option("--marker", help="Logic channel that is high during an inference, as D0.", show_default=False),
]
FromOption = Annotated[
    float | None,
    typer.Option("--from", help="Begin of the one window, seconds from the first sample.", show_default=False),
]
ToOption = Annotated[float | None, typer.Option("--to", help="End of that window.", show_default=False)]
ThresholdOption = Annotated[
    str | None,
    typer.Option("--threshold", help="An inference is where the current is at least this: 40mA.", show_default=False),
]
LeastOption = Annotated[
    str | None, typer.Option("--least", help="Shortest window that counts: 1ms.", show_default=False)
]
InferencesOption = Annotated[int, typer.Option("--inferences", min=1, help="Inferences in each window.")]
ColumnsOption = Annotated[
    str | None,
    typer.Option("--columns", help="The header's names, for format csv: time=T,current=I0.", show_default=False),
]
UnitsOption = Annotated[
    str | None, typer.Option("--units", help="Units that the header lacks: time=ms,current=uA.", show_default=False)
]


def energy(
    run: RunArgument,
    trace: TraceOption,
    format: FormatOption = "auto",  # noqa: A002
    volts: VoltsOption = None,
    marker: MarkerOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    threshold: ThresholdOption = None,
    least: LeastOption = None,
    inferences: InferencesOption = 1,
    columns: ColumnsOption = None,
    units: UnitsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Energy of an inference from a power monitor's CSV; replaces the modelled figure in RUN's report."""
    from pipeline.commands.jobs import open_job
    from pipeline.device.power import FORMATS, Options, measure
    from pipeline.errors import UsageError, printable
    from pipeline.job.powering import energy_text, store

    known = ("auto", *(one.name for one in FORMATS), "csv")
    if format not in known:
        raise UsageError(
            "bad-option",
            f"--format {printable(format)!r} is no format of traces",
            why=f"Known are {', '.join(known)}.",
            next="Leave it out: most files are recognised.",
        )
    rule = _rule(marker, start, stop, threshold, least)
    options = Options(
        format=format, volts=volts, marker=marker, names=_pairs("--columns", columns), units=_pairs("--units", units)
    )
    job = open_job(run, quiet)
    with job.run.locked(), job.display.step("Trace") as step:
        found = store(job.run, measure(trace, options, rule, inferences=inferences))
        step.result(f"{found.windows} windows, {found.millijoules.median:.4g} mJ")
    if job.run.path("verdict.json").is_file():
        job.one("report")
    if as_json:
        print_json({"run": str(job.run.folder), "energy": found.model_dump(mode="json") | {"source": found.source}})
    else:
        typer.echo(energy_text(found))


def _rule(
    marker: str | None, start: float | None, stop: float | None, threshold: str | None, least: str | None
) -> Rule:
    """What counts as an inference, by the options.

    Raises:
        UsageError: ``no-window``: none of the ways, or more than one; ``bad-current``, ``bad-latency``.
    """
    from pipeline.device.power import Between, above, marked
    from pipeline.errors import UsageError
    from pipeline.settings import parse_current, parse_latency

    shortest = parse_latency(least) / 1000 if least else 0.0
    ways = [marker is not None, start is not None or stop is not None, threshold is not None]
    if sum(ways) != 1 or (start is None) is not (stop is None):
        raise UsageError(
            "no-window",
            "which part of the trace is an inference is not said, or said twice",
            why="There are three ways: a logic channel, two times, or a current.",
            next="Take one of --marker D0, --from 0.5 --to 0.62, or --threshold 40mA.",
        )
    if marker is not None:
        return marked(marker, shortest)
    if threshold is not None:
        return above(parse_current(threshold), shortest)
    return Between(start or 0.0, stop or 0.0)


def _pairs(option: str, text: str | None) -> dict[str, str]:
    """``time=T,current=I`` as a dictionary.

    Raises:
        UsageError: ``bad-option``.
    """
    from pipeline.device.power.formats import QUANTITIES
    from pipeline.errors import UsageError, printable

    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    found = {key.strip(): value.strip() for key, _, value in pairs}
    if any(not value for value in found.values()) or set(found) - set(QUANTITIES):
        raise UsageError(
            "bad-option",
            f"{option} {printable(text or '')!r} cannot be read",
            why=f"It takes {', '.join(QUANTITIES)}, each with = and its value.",
            next=f"For example {option} time={'T,current=I0' if option == '--columns' else 'ms,current=uA'}.",
        )
    return found
