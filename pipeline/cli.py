"""The commands: parse, call one function, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import __version__
from pipeline.commands.bench import bench
from pipeline.commands.boards import boards_app
from pipeline.commands.calibrate import calibrate
from pipeline.commands.devices import devices_app
from pipeline.commands.diff import diff
from pipeline.commands.doctor import doctor
from pipeline.commands.energy import energy
from pipeline.commands.estimate import estimate
from pipeline.commands.experiment import experiment
from pipeline.commands.jobs import deploy_settings, finish, job_of, new_job, open_job, stage
from pipeline.commands.options import (
    BaudOption,
    BoardOption,
    BroodOption,
    DataOption,
    DebugOption,
    DeviceOption,
    EmulateOption,
    EmulatorOption,
    EnergyOption,
    EnvironmentOption,
    EvaluationsOption,
    FinalEpochsOption,
    FinalistsOption,
    FinalTimeOption,
    FixOption,
    FlashOption,
    GroupOption,
    ImagesOption,
    InputModeOption,
    InputsOption,
    InstructionsOption,
    JsonOption,
    LabOption,
    LatencyOption,
    MacsOption,
    MaybeBoardOption,
    ModelArgument,
    ModelIdOption,
    NaiveStepsOption,
    ObjectiveOption,
    PenaltyOption,
    PreferOption,
    PresetOption,
    PublishedStepsOption,
    QuietOption,
    RamOption,
    RunArgument,
    RunOption,
    RuntimeOption,
    ScorerOption,
    SeedOption,
    SourceArgument,
    SpaceOption,
    StorageOption,
    StrategyOption,
    StudyOption,
    SupernetOption,
    TimeOption,
    TreeOption,
    UpsamplingOption,
    WaitOption,
    WeightsOption,
    WithImagesOption,
    WorkersOption,
    checked,
    target_of,
    tree_of,
)
from pipeline.commands.profile import profile
from pipeline.commands.space import space_command
from pipeline.commands.verify import verify

app = typer.Typer(
    name="danas-deploy",
    help="Data-aware architecture search, from images to a network proven on a microcontroller board.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
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
        allow_upsampling: UpsamplingOption = False,
        space: SpaceOption = "paper",
        preset: PresetOption = "quick",
        supernet: SupernetOption = "shared",
        evaluations: EvaluationsOption = None,
        time: TimeOption = None,
        strategy: StrategyOption = "evolution",
        scorer: ScorerOption = "supernet",
        naive_steps: NaiveStepsOption = None,
        published_steps: PublishedStepsOption = None,
        brood: BroodOption = 1,
        fix: FixOption = None,
        penalty: PenaltyOption = "reject",
        weights: WeightsOption = None,
        storage: StorageOption = None,
        study: StudyOption = "search",
        workers: WorkersOption = 1,
        ram: RamOption = None,
        flash: FlashOption = None,
        macs: MacsOption = None,
        instructions: InstructionsOption = None,
        latency: LatencyOption = None,
        energy: EnergyOption = None,
        objective: ObjectiveOption = None,
        finalists: FinalistsOption = 3,
        final_epochs: FinalEpochsOption = None,
        final_time: FinalTimeOption = None,
        seed: SeedOption = 0,
        images: ImagesOption = None,
        emulate: EmulateOption = False,
        emulator: EmulatorOption = None,
        device: DeviceOption = None,
        lab: LabOption = None,
        wait: WaitOption = None,
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
        from pipeline import boards
        from pipeline import settings as given
        from pipeline.genotype import Fix
        from pipeline.settings import Kind, Settings, parse_count, parse_duration, parse_size

        settings = checked(
            Settings,
            kind=Kind.SEARCH,
            board=board,
            target=target_of(emulate, device, lab, wait, emulator),
            seed=seed,
            images=images,
            environment=environment,
            runtime=runtime,
            tflm_tree=tree_of(runtime, tflm_tree),
            prefer=prefer,
            input_mode=input_mode,
            data=_absolute(data),
            group_by=group_by,
            allow_upsampling=allow_upsampling,
            space=space,
            preset=preset,
            supernet=supernet,
            evaluations=evaluations,
            time_s=parse_duration(time) if time else None,
            strategy=strategy,
            brood=brood,
            scorer=scorer,
            naive_steps=naive_steps,
            published_steps=published_steps,
            fix=given.parse_fix(fix) if fix else Fix(),
            penalty=penalty,
            storage=storage,
            study=study,
            workers=workers,
            weights=given.parse_weights(weights) if weights else given.EVEN,
            ram=parse_size(ram) if ram else None,
            flash=parse_size(flash) if flash else None,
            macs=parse_count(macs) if macs else None,
            instructions=parse_count(instructions) if instructions else None,
            latency_ms=given.parse_latency(latency) if latency else None,
            energy_mj=given.parse_energy(energy) if energy else None,
            objective=given.parse_objective(objective)
            if objective
            else given.default_objective(strategy, boards.load(board), runtime),
            finalists=finalists,
            final_epochs=final_epochs,
            final_time_s=parse_duration(final_time) if final_time else None,
        )
        job = new_job(settings, run, quiet, needs_board=whole)
        if whole:
            finish(job, as_json)
        else:
            stage(job, "search", as_json)

    command.__doc__ = text
    app.command(name)(command)


_search_command(
    "search-and-flash",
    "The main job: search, quantize, render, build, flash, measure, validate, report.",
    whole=True,
)


@app.command("search-worker", hidden=True)
def search_worker(run: RunArgument, debug: DebugOption = False) -> None:
    """One more worker on a search; `search --workers` starts it."""
    from pipeline.job.context import Context
    from pipeline.job.workers import work
    from pipeline.progress import QuietDisplay
    from pipeline.runs import Run

    work(Context(Run.open(run), QuietDisplay()))


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
    emulator: EmulatorOption = None,
    device: DeviceOption = None,
    lab: LabOption = None,
    wait: WaitOption = None,
    environment: EnvironmentOption = None,
    runtime: RuntimeOption = "aot",
    tflm_tree: TreeOption = None,
    prefer: PreferOption = "balanced",
    input_mode: InputModeOption = "resident",
    baud: BaudOption = None,
    model_id: ModelIdOption = None,
    run: RunOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Take any int8 .tflite from estimate to verdict on a board."""
    target, tree = target_of(emulate, device, lab, wait, emulator), tree_of(runtime, tflm_tree)
    settings = deploy_settings(
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
        baud,
        model_id,
    )
    job = new_job(settings, run, quiet)
    finish(job, as_json)


@app.command()
def resume(
    run: RunArgument,
    emulate: EmulateOption = False,
    emulator: EmulatorOption = None,
    device: DeviceOption = None,
    lab: LabOption = None,
    wait: WaitOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Take up a run that was interrupted; what is finished is not done again."""
    finish(open_job(run, quiet, target_of(emulate, device, lab, wait, emulator)), as_json)


_search_command(
    "search", "Search only: makes a run directory with the best candidates. No board is needed.", whole=False
)


def _stage_command(name: str, text: str) -> None:
    def command(
        run: RunArgument, as_json: JsonOption = False, quiet: QuietOption = False, debug: DebugOption = False
    ) -> None:
        stage(open_job(run, quiet), name, as_json)

    command.__doc__ = text
    app.command(name)(command)


_stage_command("quantize", "Train the best candidates of RUN to the end and make them int8; choose the winner.")


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
        baud: BaudOption = None,
        model_id: ModelIdOption = None,
        run: RunOption = None,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
        debug: DebugOption = False,
    ) -> None:
        recipe: dict[str, Any] = {"environment": environment, "prefer": prefer, "input_mode": input_mode}
        recipe |= {"runtime": runtime, "tree": tree_of(runtime, tflm_tree), "baud": baud, "model_id": model_id}
        stage(job_of(source, board, ram, flash, recipe, run, quiet), name, as_json)

    command.__doc__ = text
    app.command(name)(command)


app.command()(estimate)
_model_or_run_command("render", "Write the C++ sources of the firmware.")
_model_or_run_command("build", "Build the firmware with PlatformIO.")


def _device_command(name: str, text: str) -> None:
    def command(
        run: RunArgument,
        emulate: EmulateOption = False,
        emulator: EmulatorOption = None,
        device: DeviceOption = None,
        lab: LabOption = None,
        wait: WaitOption = None,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
        debug: DebugOption = False,
    ) -> None:
        stage(open_job(run, quiet, target_of(emulate, device, lab, wait, emulator)), name, as_json)

    command.__doc__ = text
    app.command(name)(command)


_device_command("flash", "Put the built firmware onto the board and see that it answers.")
_device_command("measure", "Send inputs through the board; read outputs, memory and cycles.")
_stage_command("validate", "Compare estimate and measurement, device and host; exit code 7 when a check fails.")


@app.command()
def report(
    run: RunArgument,
    with_images: WithImagesOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Write report.json, report.html and junit.xml, and print the tables."""
    job = open_job(run, quiet)
    job.context.with_images = with_images
    stage(job, "report", as_json)


app.command()(verify)
app.command()(profile)
app.command()(diff)
app.command()(energy)
app.command()(calibrate)
app.command("space")(space_command)
app.command()(experiment)
app.add_typer(bench, name="bench")
app.add_typer(devices_app, name="devices")
app.command()(doctor)


def _absolute(data: str) -> str:
    """A folder by its absolute path: a run may be resumed from elsewhere."""
    kind, _, rest = data.partition(":")
    if kind == "folder":
        return f"folder:{Path(rest).expanduser().resolve()}" if rest else data
    options, named, path = f",{rest}".partition(",folder=")
    return f"{kind}:{(options + named)[1:]}{Path(path).expanduser().resolve()}" if path else data
