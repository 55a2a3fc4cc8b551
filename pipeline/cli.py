"""The commands: parse, call one function, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline import __version__
from pipeline.commands.bench import bench
from pipeline.commands.calibrate import calibrate
from pipeline.commands.diff import diff
from pipeline.commands.options import (
    BoardOption,
    DataOption,
    DebugOption,
    EmulateOption,
    EnvironmentOption,
    EvaluationsOption,
    FlashOption,
    GroupOption,
    ImagesOption,
    InputModeOption,
    InputsOption,
    JsonOption,
    MacsOption,
    ModelArgument,
    PortOption,
    PreferOption,
    PresetOption,
    QuietOption,
    RamOption,
    RunArgument,
    RunOption,
    RuntimeOption,
    SamplerOption,
    SeedOption,
    SerialOption,
    TimeOption,
    TreeOption,
    checked,
    print_json,
    target_of,
    tree_of,
)
from pipeline.commands.profile import profile

if TYPE_CHECKING:
    from pipeline.job import Job
    from pipeline.settings import Settings, Target
    from pipeline.validate import Verdict

app = typer.Typer(
    name="danas-deploy",
    help="Data-aware architecture search, from images to a network proven on a microcontroller board.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
boards_app = typer.Typer(help="The known board types.", no_args_is_help=True)
app.add_typer(boards_app, name="boards")


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"danas-deploy {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Data-aware architecture search, from images to a network proven on a microcontroller board."""


def _search_command(name: str, text: str, *, whole: bool) -> None:
    """The main job, or its search alone; both take the same options, since a search can be resumed to the end."""

    def command(
        board: BoardOption,
        data: DataOption = "sample",
        group_by: GroupOption = None,
        preset: PresetOption = "quick",
        evaluations: EvaluationsOption = None,
        time: TimeOption = None,
        sampler: SamplerOption = "evolution",
        ram: RamOption = None,
        flash: FlashOption = None,
        macs: MacsOption = None,
        seed: SeedOption = 0,
        images: ImagesOption = None,
        emulate: EmulateOption = False,
        port: PortOption = None,
        serial_number: SerialOption = None,
        environment: EnvironmentOption = None,
        runtime: RuntimeOption = "aot",
        tflm_tree: TreeOption = None,
        prefer: PreferOption = "balanced",
        input_mode: InputModeOption = "resident",
        run: RunOption = None,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
        debug: DebugOption = False,
    ) -> None:
        from pipeline.settings import Kind, Settings, parse_count, parse_duration, parse_size

        settings = checked(
            Settings,
            kind=Kind.SEARCH,
            board=board,
            target=target_of(emulate, port, serial_number),
            seed=seed,
            images=images,
            environment=environment,
            runtime=runtime,
            tflm_tree=tree_of(runtime, tflm_tree),
            prefer=prefer,
            input_mode=input_mode,
            data=_absolute(data),
            group_by=group_by,
            preset=preset,
            evaluations=evaluations,
            time_s=parse_duration(time) if time else None,
            sampler=sampler,
            ram=parse_size(ram) if ram else None,
            flash=parse_size(flash) if flash else None,
            macs=parse_count(macs) if macs else None,
        )
        job = _new_job(settings, run, quiet, needs_board=whole)
        if whole:
            _finish(job, as_json)
        else:
            _stage(job, "search", as_json)

    command.__doc__ = text
    app.command(name)(command)


_search_command(
    "search-and-flash",
    "The main job: search, quantize, render, build, flash, measure, validate, report.",
    whole=True,
)


@app.command()
def deploy(
    model: ModelArgument,
    board: BoardOption,
    inputs: InputsOption = None,
    ram: RamOption = None,
    flash: FlashOption = None,
    seed: SeedOption = 0,
    images: ImagesOption = None,
    emulate: EmulateOption = False,
    port: PortOption = None,
    serial_number: SerialOption = None,
    environment: EnvironmentOption = None,
    runtime: RuntimeOption = "aot",
    tflm_tree: TreeOption = None,
    prefer: PreferOption = "balanced",
    input_mode: InputModeOption = "resident",
    run: RunOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Take any int8 .tflite from estimate to verdict on a board."""
    target, tree = target_of(emulate, port, serial_number), tree_of(runtime, tflm_tree)
    settings = _deploy_settings(
        model,
        board,
        ram,
        flash,
        target,
        inputs,
        seed,
        images,
        environment,
        prefer,
        input_mode,
        runtime,
        tree,
    )
    job = _new_job(settings, run, quiet)
    _finish(job, as_json)


@app.command()
def resume(
    run: RunArgument,
    emulate: EmulateOption = False,
    port: PortOption = None,
    serial_number: SerialOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Take up a run that was interrupted; what is finished is not done again."""
    _finish(_open_job(run, quiet, target_of(emulate, port, serial_number)), as_json)


_search_command(
    "search", "Search only: makes a run directory with the best candidates. No board is needed.", whole=False
)


def _stage_command(name: str, text: str) -> None:
    def command(
        run: RunArgument, as_json: JsonOption = False, quiet: QuietOption = False, debug: DebugOption = False
    ) -> None:
        _stage(_open_job(run, quiet), name, as_json)

    command.__doc__ = text
    app.command(name)(command)


_stage_command("quantize", "Slice, fine-tune and convert the best candidates of RUN to int8; choose the winner.")


SourceArgument = Annotated[Path, typer.Argument(metavar="RUN|MODEL", help="Run directory, or an int8 .tflite.")]
MaybeBoardOption = Annotated[
    str | None, typer.Option("--board", "-b", help="Board type, for a .tflite.", show_default=False)
]
ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Print the memory plan: what is alive when, and why it is cut there.")
]


@app.command()
def estimate(
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
    run: RunOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """RAM and flash of a model, before anything is built."""
    recipe: dict[str, Any] = {"environment": environment, "prefer": prefer, "input_mode": input_mode}
    recipe |= {"runtime": runtime, "tree": tree_of(runtime, tflm_tree)}
    job = _job_of(source, board, ram, flash, recipe, run, quiet)
    result = job.one("estimate")
    data, text = {"estimate": result.data}, result.text
    if explain:
        from pipeline.job.making import explained

        plan = explained(job.context, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
        data, text = data | {"plan": plan.data}, f"{text.rstrip()}\n\n{plan.text}"
    _print_result(job, data, text, result.verdict, as_json)


def _model_or_run_command(name: str, text: str) -> None:
    def command(
        source: SourceArgument,
        board: MaybeBoardOption = None,
        ram: RamOption = None,
        flash: FlashOption = None,
        environment: EnvironmentOption = None,
        runtime: RuntimeOption = "aot",
        tflm_tree: TreeOption = None,
        prefer: PreferOption = "balanced",
        input_mode: InputModeOption = "resident",
        run: RunOption = None,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
        debug: DebugOption = False,
    ) -> None:
        recipe: dict[str, Any] = {"environment": environment, "prefer": prefer, "input_mode": input_mode}
        recipe |= {"runtime": runtime, "tree": tree_of(runtime, tflm_tree)}
        _stage(_job_of(source, board, ram, flash, recipe, run, quiet), name, as_json)

    command.__doc__ = text
    app.command(name)(command)


_model_or_run_command("render", "Write the C++ sources of the firmware.")
_model_or_run_command("build", "Build the firmware with PlatformIO.")


def _job_of(
    source: Path,
    board: str | None,
    ram: str | None,
    flash: str | None,
    recipe: dict[str, Any],
    run: Path | None,
    quiet: bool,
) -> Job:
    """The job of a run directory, or a new one of a model file."""
    from pipeline.errors import UsageError, printable

    if _is_folder(source):
        return _open_job(source, quiet)
    if board is None:
        raise UsageError(
            "no-board-given",
            f"{printable(source)} is no run directory",
            why="For a model file the board must be named.",
            next="Add --board NAME; see `danas-deploy boards list`.",
        )
    settings = _deploy_settings(source, board, ram, flash, target_of(False, None, None), **recipe)
    return _new_job(settings, run, quiet, needs_board=False)


def _is_folder(path: Path) -> bool:
    """False as well where one may not look: whoever reads the file says why it cannot."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _device_command(name: str, text: str) -> None:
    def command(
        run: RunArgument,
        emulate: EmulateOption = False,
        port: PortOption = None,
        serial_number: SerialOption = None,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
        debug: DebugOption = False,
    ) -> None:
        _stage(_open_job(run, quiet, target_of(emulate, port, serial_number)), name, as_json)

    command.__doc__ = text
    app.command(name)(command)


_device_command("flash", "Put the built firmware onto the board and see that it answers.")
_device_command("measure", "Send inputs through the board; read outputs, memory and cycles.")
_stage_command("validate", "Compare estimate and measurement, device and host; exit code 7 when a check fails.")
_stage_command("report", "Write report.json and junit.xml, and print the tables.")


app.command()(profile)
app.command()(diff)
app.command()(calibrate)
app.add_typer(bench, name="bench")


@boards_app.command("list")
def boards_list(as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Names and figures of the known boards."""
    from pipeline import boards

    known = [boards.load(name) for name in boards.names()]
    if as_json:
        print_json([_board_row(board) for board in known])
        return
    for board in known:
        row = _board_row(board)
        typer.echo(
            f"{board.name:<20} {board.title}: {board.mcu}, {row['core']} at {board.core.clock_hz // 10**6} MHz, "
            f"{row['ram_bytes'] // 1024} KiB RAM, {row['flash_bytes'] // 1024} KiB flash"
            + (", can be emulated" if board.emulator else "")
        )


@boards_app.command("show")
def boards_show(
    name: Annotated[str, typer.Argument(metavar="BOARD")], as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """All facts about one board, with their sources."""
    from pipeline import boards, resources

    board = boards.load(name)
    if as_json:
        print_json(board.model_dump(mode="json"))
    else:
        typer.echo((resources.boards() / f"{board.name}.toml").read_text(encoding="utf-8").rstrip())


def _board_row(board: Any) -> dict[str, Any]:
    return {
        "name": board.name,
        "title": board.title,
        "mcu": board.mcu,
        "core": board.core.cpu,
        "clock_hz": board.core.clock_hz,
        "ram_bytes": board.ram_bytes,
        "flash_bytes": board.flash_bytes,
        "emulated": board.emulator is not None,
    }


def _absolute(data: str) -> str:
    """A folder by its absolute path: a run may be resumed from elsewhere."""
    kind, _, path = data.partition(":")
    return f"folder:{Path(path).expanduser().resolve()}" if kind == "folder" and path else data


def _deploy_settings(
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
) -> Settings:
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
        model=str(model.resolve()),
        inputs=str(inputs.resolve()) if inputs else None,
        ram=parse_size(ram) if ram else None,
        flash=parse_size(flash) if flash else None,
    )


def _new_job(settings: Settings, folder: Path | None, quiet: bool, *, needs_board: bool = True) -> Job:
    from pipeline.job import Job
    from pipeline.progress import display

    return Job.start(settings, folder, display(quiet=quiet), needs_board=needs_board)


def _open_job(folder: Path, quiet: bool, target: Target | None = None) -> Job:
    """The job of a run; ``target``, where it says anything, takes the place of the run's own."""
    from pipeline.job import Job
    from pipeline.progress import display
    from pipeline.runs import Run
    from pipeline.settings import Target

    job = Job(Run.open(folder), display(quiet=quiet))
    if target not in (None, Target()):
        job.target = target
    return job


def _finish(job: Job, as_json: bool) -> None:
    from pipeline.report.reporters import TerminalReporter

    report = job.all()
    text = TerminalReporter(colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR")).render(report)
    _print_result(job, {"report": report.model_dump(mode="json")}, text, report.verdict, as_json)


def _stage(job: Job, name: str, as_json: bool) -> None:
    result = job.one(name)
    _print_result(job, {name: result.data}, result.text, result.verdict, as_json)


def _print_result(job: Job, data: dict[str, Any], text: str, verdict: Verdict | None, as_json: bool) -> None:
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
