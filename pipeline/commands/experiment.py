"""``danas-deploy experiment``: repeat the experiments behind what is claimed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import (
    DataOption,
    DebugOption,
    GroupOption,
    JsonOption,
    QuietOption,
    UpsamplingOption,
    print_json,
)

if TYPE_CHECKING:
    from pipeline.datasets import DatasetSource
    from pipeline.experiments.protocol import Scale
    from pipeline.experiments.runner import Written

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="An experiment; `list` says what there is, `report` writes their tables.")
]
ScaleOption = Annotated[
    str, typer.Option("--scale", help="`smoke` (a check), `small` (two cores) or `full` (the paper's, on a GPU).")
]
BoardOption = Annotated[str, typer.Option("--board", "-b", help="Board whose memory plans and times count.")]
FolderOption = Annotated[
    Path, typer.Option("--folder", metavar="DIR", help="Working folder; experiments share supernets and tasks in it.")
]
ResultsOption = Annotated[Path, typer.Option("--results", metavar="DIR", help="Where journals, tables and plots go.")]
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run", metavar="RUN", help="With `fidelity`: examine this run's supernets, on its images and board."
    ),
]
SubnetsOption = Annotated[
    int | None, typer.Option("--subnets", min=3, help="With `fidelity --run`: how many are trained alone (20).")
]
DocsOption = Annotated[
    Path, typer.Option("--docs", metavar="FILE", help="Document that `report` writes the tables into.")
]


def experiment(
    name: NameArgument,
    scale: ScaleOption = "small",
    data: DataOption = "sample",
    group_by: GroupOption = None,
    board: BoardOption = "nucleo_f746zg",
    folder: FolderOption = Path("runs/experiments"),
    results: ResultsOption = Path("benchmarks/results"),
    docs: DocsOption = Path("docs/experiments.md"),
    run: RunOption = None,
    subnets: SubnetsOption = None,
    allow_upsampling: UpsamplingOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Run an experiment, or go on with one; writes its journal, a table and plots."""
    from pipeline import boards
    from pipeline.datasets import open_source
    from pipeline.errors import UsageError, printable
    from pipeline.experiments import catalogue, documents, runner
    from pipeline.experiments.protocol import Scale
    from pipeline.progress import display

    try:
        wanted = Scale(scale)
    except ValueError:
        raise UsageError(
            "bad-option",
            f"--scale {printable(scale)}: there is no such scale",
            why=f"Scales: {', '.join(Scale)}.",
            next="Name one of these.",
        ) from None
    if name == "list":
        _list(wanted, as_json)
        return
    if name == "report":
        count = documents.update(docs, results)
        if as_json:
            print_json({"document": str(docs), "journals": count})
        else:
            typer.echo(f"{count} experiments in {printable(docs, 4096)}")
        return
    if run is not None or subnets is not None:
        _of_run(name, wanted, run, subnets, folder=folder, as_json=as_json, quiet=quiet)
        return
    chosen = catalogue.make(name, wanted)
    of = boards.load(board)
    source = open_source(data, group_by=group_by)
    if not allow_upsampling:
        _demand_pixels(source, wanted)
    options = {"data": _shown(data, source.name)}
    if group_by is not None:
        options["group-by"] = group_by
    with _resumable(folder):
        written = runner.run(
            chosen,
            wanted,
            source,
            of,
            folder=folder.absolute(),
            results=results,
            display=display(quiet=quiet),
            options=options,
        )
    _show(written, as_json)


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    from pipeline.errors import InterruptedRun, printable

    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRun(
            "interrupted",
            f"interrupted: what is done is kept in {printable(folder, 4096)}",
            next="Give the same command again: it goes on.",
        ) from None


def _show(written: Written, as_json: bool) -> None:
    from pipeline.errors import printable
    from pipeline.experiments import runner

    if as_json:
        print_json(written.contents)
    else:
        typer.echo(runner.section(written.contents))
        typer.echo(f"Journal: {printable(written.journal, 4096)}")


def _of_run(
    name: str, scale: Scale, run: Path | None, subnets: int | None, *, folder: Path, as_json: bool, quiet: bool
) -> None:
    """Examine a run's supernets; journal, table and plot go into the run."""
    from pipeline.errors import UsageError
    from pipeline.experiments import examined, runner, trusting
    from pipeline.experiments.scales import BUDGETS
    from pipeline.progress import display

    if run is None or name != trusting.Fidelity.name:
        raise UsageError(
            "bad-option",
            "--run and --subnets are for the experiment fidelity, on a run",
            why="The other experiments make searches of their own, as their --scale has it.",
            next="`danas-deploy experiment fidelity --run RUN --subnets 20`, or leave them out.",
        )
    shown = display(quiet=quiet)
    shared, context = examined.opened(run, shown)
    count = trusting.SUBNETS if subnets is None else subnets
    with _resumable(folder):
        written = runner.run(
            trusting.of_run(shared, BUDGETS[scale], count),
            scale,
            context.source,
            context.board,
            folder=folder.absolute(),
            results=context.run.path("experiments"),
            display=shown,
            options={"run": "RUN", "subnets": str(count)},
        )
    _show(written, as_json)


def _demand_pixels(source: DatasetSource, scale: Scale) -> None:
    """All arms see the resolutions of the scale; to leave one out would be another experiment."""
    from pipeline.datasets import quality
    from pipeline.errors import UsageError
    from pipeline.experiments.scales import BUDGETS

    wanted = {data.resolution for data in BUDGETS[scale].space.data}
    small = sorted(wanted & quality.of(source).upsampled)
    if small:
        raise UsageError(
            "images-too-small",
            f"most images of {source.name} are smaller than {small[0]} px, which the scale {scale} has",
            why="Enlarged images hold nothing that the sensor has not seen.",
            next="Use larger images, another --scale, or take them as they are with --allow-upsampling.",
        )


def _shown(data: str, name: str) -> str:
    """What ``--data`` was, for the journal; where folders lie is nobody's business."""
    if data.startswith("folder:"):
        return f"folder:{name}"
    before, found, _ = data.partition("folder=")
    return f"{before}folder=PATH" if found else data


def _list(scale: Scale, as_json: bool) -> None:
    from pipeline.experiments import catalogue

    made = [catalogue.make(name, scale) for name in catalogue.EXPERIMENTS]
    if as_json:
        print_json(
            [
                {
                    "name": one.name,
                    "title": one.title,
                    "question": one.question,
                    "rule": one.rule,
                    "tasks": len(one.tasks()),
                    "settings": dict(one.settings()),
                }
                for one in made
            ]
        )
        return
    width = max(len(one.name) for one in made)
    for one in made:
        typer.echo(f"{one.name:<{width}}  {len(one.tasks()):>3} tasks  {one.question}")
