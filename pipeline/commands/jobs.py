"""Jobs as the commands open them, from a run directory or a model file, and how their results are printed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pipeline.commands.options import checked, print_json, target_of

if TYPE_CHECKING:
    from pipeline.job import Job
    from pipeline.settings import Settings, Target
    from pipeline.validate import Verdict


def job_of(
    source: Path,
    board: str | None,
    ram: str | None,
    flash: str | None,
    recipe: dict[str, Any],
    run: Path | None,
    quiet: bool,
) -> Job:
    """The job of a run directory, or a new one of a model file.

    Raises:
        UsageError: ``no-board-given``, ``bad-option``, or what :meth:`pipeline.runs.Run.open` refuses.
    """
    from pipeline.errors import UsageError, printable

    if is_folder(source):
        return open_job(source, quiet)
    if board is None:
        raise UsageError(
            "no-board-given",
            f"{printable(source)} is no run directory",
            why="For a model file the board must be named.",
            next="Add --board NAME; see `danas-deploy boards list`.",
        )
    settings = deploy_settings(source, board, ram, flash, target_of(False, None, None, None), **recipe)
    return new_job(settings, run, quiet, needs_board=False)


def is_folder(path: Path) -> bool:
    """False as well where one may not look: whoever reads the file says why it cannot."""
    try:
        return path.is_dir()
    except OSError:
        return False


def deploy_settings(
    model: Path,
    board: str,
    ram: str | None,
    flash: str | None,
    target: Target,
    inputs: Path | None = None,
    seed: int = 0,
    images: int | None = None,
    environment: str | None = None,
    prefer: str = "balanced",
    input_mode: str = "resident",
    runtime: str = "aot",
    tree: str | None = None,
    baud: int | None = None,
    model_id: str | None = None,
) -> Settings:
    """The settings of a run that begins with a model file.

    Raises:
        UsageError: ``bad-option``.
    """
    from pipeline.settings import Kind, Settings, parse_size

    return checked(
        Settings,
        kind=Kind.DEPLOY,
        board=board,
        target=target,
        seed=seed,
        images=images,
        environment=environment,
        runtime=runtime,
        tflm_tree=tree,
        prefer=prefer,
        input_mode=input_mode,
        baud=baud,
        model_id=model_id,
        model=str(model.resolve()),
        inputs=str(inputs.resolve()) if inputs else None,
        ram=parse_size(ram) if ram else None,
        flash=parse_size(flash) if flash else None,
    )


def new_job(settings: Settings, folder: Path | None, quiet: bool, *, needs_board: bool = True) -> Job:
    """A new run and its job; ``needs_board``: see first whether one is there."""
    from pipeline.job import Job
    from pipeline.progress import display

    return Job.start(settings, folder, display(quiet=quiet), needs_board=needs_board)


def open_job(folder: Path, quiet: bool, target: Target | None = None) -> Job:
    """The job of a run; ``target``, where it says anything, takes the place of the run's own."""
    from pipeline.job import Job
    from pipeline.progress import display
    from pipeline.runs import Run
    from pipeline.settings import Target

    job = Job(Run.open(folder), display(quiet=quiet))
    given = Target() if target is None else target
    if given.emulate or given.device is not None:
        job.target = given
    else:
        job.target = job.target.model_copy(update={"wait_s": given.wait_s} | ({"lab": given.lab} if given.lab else {}))
    return job


def finish(job: Job, as_json: bool) -> None:
    """Do all that is missing of a run, and print its report."""
    from pipeline.report.reporters import TerminalReporter

    report = job.all()
    text = TerminalReporter(colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR")).render(report)
    print_result(job, {"report": report.model_dump(mode="json")}, text, report.verdict, as_json)


def stage(job: Job, name: str, as_json: bool) -> None:
    """Do one stage, and print what came of it."""
    result = job.one(name)
    print_result(job, {name: result.data}, result.text, result.verdict, as_json)


def print_result(job: Job, data: dict[str, Any], text: str, verdict: Verdict | None, as_json: bool) -> None:
    """Print what a command found; a failed gate is its error, and one JSON document all the same."""
    from pipeline.errors import GateError, printable

    data = {"run": str(job.run.folder), **data}
    if not as_json:
        typer.echo(f"{text.rstrip()}\nRun: {printable(job.run.folder, 4096)}")
    try:
        if verdict is not None:
            verdict.raise_if_failed()
    except GateError as error:
        error.result = data
        raise
    if as_json:
        print_json(data)
