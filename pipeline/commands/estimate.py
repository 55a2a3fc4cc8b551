"""``danas-deploy estimate``: what a model needs of a board, before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.jobs import is_folder, job_of, print_result
from pipeline.commands.options import (
    DebugOption,
    EnvironmentOption,
    FlashOption,
    InputModeOption,
    JsonOption,
    MaybeBoardOption,
    PreferOption,
    QuietOption,
    RamOption,
    RunOption,
    RuntimeOption,
    SourceArgument,
    TreeOption,
    tree_of,
)

if TYPE_CHECKING:
    from pipeline.job.context import StageResult

ExplainOption = Annotated[
    bool,
    typer.Option(
        "--explain", help="Print the memory map over time, why it is cut so, and what would lower the RAM, worked out."
    ),
]
SvgOption = Annotated[
    Path | None,
    typer.Option("--svg", metavar="FILE", help="Write the memory map as a drawing there.", show_default=False),
]
PublishedOption = Annotated[
    bool, typer.Option("--published", help="Put the published formulas (arXiv 2502.12690) beside the estimate.")
]

#: What a run has settled when it began.
_SETTLED = ("board", "ram", "flash", "environment", "runtime", "tflm_tree", "prefer", "input_mode", "run")


def estimate(
    context: typer.Context,
    source: SourceArgument,
    board: MaybeBoardOption = None,
    ram: RamOption = None,
    flash: FlashOption = None,
    environment: EnvironmentOption = None,
    runtime: RuntimeOption = "aot",
    tflm_tree: TreeOption = None,
    prefer: PreferOption = "balanced",
    input_mode: InputModeOption = "resident",
    explain: ExplainOption = False,
    svg: SvgOption = None,
    published: PublishedOption = False,
    run: RunOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """RAM and flash of a model before anything is built; of a run, beside what its ELF and board say."""
    from pipeline.errors import DoesNotFitError
    from pipeline.files import write_atomic
    from pipeline.job import estimating
    from pipeline.report.terminal import coloured, columns

    if is_folder(source):
        _refuse_settled(context, source)
    recipe: dict[str, Any] = {"environment": environment, "prefer": prefer, "input_mode": input_mode}
    recipe |= {"runtime": runtime, "tree": tree_of(runtime, tflm_tree)}
    job = job_of(source, board, ram, flash, recipe, run, quiet)
    refused = None
    try:
        job.one("estimate")
    except DoesNotFitError as error:  # What does not fit is what one wants explained.
        refused = error
    shown: dict[str, StageResult] = {}
    style: dict[str, Any] = {"colour": coloured(), "width": columns()}
    shown["estimate"] = estimating.estimated(job.context, **style)
    if published:
        shown["published"] = estimating.by_published_formulas(job.context, **style)
    if explain:
        shown["explained"] = estimating.explained(job.context, **style)
    data = {name: result.data for name, result in shown.items()}
    # Two documents of one part: the plan and its map stand by themselves.
    data |= data.pop("explained", {})
    if svg is not None:
        write_atomic(svg, estimating.drawing(job.context))
        data["svg"] = str(svg)
    if refused is not None:
        refused.result = {"run": str(job.run.folder), **data}
        if not as_json:
            typer.echo("\n".join(result.text for result in shown.values()).rstrip())
        raise refused
    print_result(job, data, "\n".join(result.text for result in shown.values()), None, as_json)


def _refuse_settled(context: typer.Context, run: Path) -> None:
    """A run has its model, board and recipe: an option that says otherwise would not be heard.

    Raises:
        UsageError: ``run-is-settled``.
    """
    from pipeline.errors import UsageError, printable

    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in _SETTLED and _is_given(context, parameter.name)
    ]
    if given:
        raise UsageError(
            "run-is-settled",
            f"{', '.join(given)} together with the run {printable(run)}",
            why="A run has its own model, board, limits and recipe.",
            next=f"Leave it out, or give the model: {printable(run / 'model.tflite')} --board NAME.",
        )


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line; which click's enumeration says so depends on Typer's release."""
    found = context.get_parameter_source(name)
    return found is not None and found.name == "COMMANDLINE"
