"""``danas-deploy verify``: one model on many devices, for hardware-in-the-loop CI."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import (
    DebugOption,
    InputsOption,
    JsonOption,
    LabOption,
    QuietOption,
    SourceArgument,
    WaitOption,
    print_json,
    target_of,
)

if TYPE_CHECKING:
    from pipeline.job.verifying import Request
    from pipeline.report.matrix import DeviceResult, Verification

DevicesOption = Annotated[
    str,
    typer.Option(
        "--devices",
        metavar="WHICH",
        help="`all` of lab.toml, or with commas what --device takes: aliases, serial numbers, `emulated:BOARD` …",
        show_default=False,
    ),
]
IntoOption = Annotated[
    Path | None,
    typer.Option(
        "--into",
        metavar="DIR",
        help="Folder of the verification; given again, it goes on there.",
        show_default="runs/DATE-verify",
    ),
]
ImagesOption = Annotated[
    int | None, typer.Option("--images", min=1, help="Inputs that go through each device.", show_default="100")
]
BaselineOption = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="REPORT",
        help="An earlier report.json or verification.json: nothing may become worse than --max-regression allows.",
        show_default=False,
    ),
]
RegressionOption = Annotated[
    str | None,
    typer.Option(
        "--max-regression",
        metavar="LIMITS",
        help="What may grow against the baseline, and by how much: `ram=0,flash=1%,cycles=2%`.",
        show_default="nothing",
    ),
]
DeadlineOption = Annotated[
    str, typer.Option("--deadline", metavar="TIME", help="A device that has not finished after this is given up.")
]
JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="Devices at a time.", show_default="a processor core each, at least 2"),
]


def verify(
    source: SourceArgument,
    devices: DevicesOption,
    into: IntoOption = None,
    inputs: InputsOption = None,
    images: ImagesOption = None,
    baseline: BaselineOption = None,
    max_regression: RegressionOption = None,
    lab: LabOption = None,
    wait: WaitOption = None,
    deadline: DeadlineOption = "1h",
    jobs: JobsOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Prove a run's model, or any int8 .tflite, on many devices side by side; exit code 7 when a gate fails."""
    from datetime import UTC, datetime

    from pipeline.errors import InterruptedRun, printable, shell_word
    from pipeline.job import verifying
    from pipeline.progress import display
    from pipeline.report import baseline as baselines
    from pipeline.runs import unnamed
    from pipeline.settings import parse_duration

    known = None if baseline is None else baselines.read(baseline)
    allowances = baselines.STRICT if max_regression is None else baselines.parse_allowances(max_regression)
    place = target_of(False, None, lab, wait)
    chosen = verifying.chosen(devices, lab=place.lab, wait_s=place.wait_s)
    if known is not None:
        known.demand((one.name, one.board, one.target) for one in chosen)
    request = _request(source, inputs, images, parse_duration(deadline), jobs)
    folder = (into or unnamed(f"{datetime.now(UTC):%Y%m%d-%H%M%S}-verify")).absolute()
    try:
        with display(quiet=quiet).step(f"{len(chosen)} devices") as step:
            done: list[str] = []

            def finished(result: DeviceResult) -> None:
                done.append(f"{result.device}: {result.outcome}")
                step.update(", ".join(done), done=len(done), total=len(chosen))

            found = verifying.verify(request, chosen, folder, finished=finished)
            step.result(", ".join(done))
    except KeyboardInterrupt as error:
        raise InterruptedRun(
            "interrupted",
            "Interrupted.",
            why=f"What the devices had finished is kept in {printable(folder, 4096)}.",
            next=f"Give the same command again with --into {shell_word(folder)}.",
        ) from error
    if known is not None:
        found = baselines.compared(found, known, allowances)
    _show(found, folder, as_json)


def _request(source: Path, inputs: Path | None, images: int | None, deadline_s: float, jobs: int | None) -> Request:
    """What is verified: a model file; or a run's model, made as that run made it, on the inputs that its device had."""
    from pipeline.commands.jobs import is_folder
    from pipeline.graph.reader import content_of, parse
    from pipeline.graph.repack import self_contained
    from pipeline.job.driving import given_inputs
    from pipeline.job.verifying import Request
    from pipeline.runs import Run, missing

    options: list[str] = []
    model = source
    if is_folder(source):
        run = Run.open(source)
        model, settings = run.path("model.tflite"), run.settings
        if not model.is_file():
            raise missing(run, "model.tflite")
        if inputs is None and run.path("device", "inputs.npy").is_file():
            inputs = run.path("device", "inputs.npy")
        options += ["--runtime", settings.runtime, "--prefer", settings.prefer, "--input", settings.input_mode]
        options += ["--seed", str(settings.seed)]
        options += ["--tflm-tree", settings.tflm_tree] if settings.tflm_tree else []
    options += ["--images", str(images)] if images is not None else []
    graph = parse(self_contained(content_of(model)))
    if inputs is not None:
        given_inputs(inputs, graph.input)
    return Request(
        name=source.resolve().name,
        model=model.resolve(),
        sha256=graph.sha256,
        inputs=None if inputs is None else inputs.resolve(),
        options=tuple(options),
        deadline_s=deadline_s,
        processes=jobs or max(2, os.cpu_count() or 1),
    )


def _show(found: Verification, folder: Path, as_json: bool) -> None:
    """Leave the documents, print the matrix, tell GitHub where one of its jobs runs this; then the error, if any."""
    from pipeline.errors import printable
    from pipeline.files import write_atomic
    from pipeline.report import matrix_views, terminal

    summary = matrix_views.markdown(found)
    write_atomic(folder / "verification.json", found.model_dump_json(indent=2) + "\n")
    write_atomic(folder / "junit.xml", matrix_views.junit(found))
    write_atomic(folder / "verification.md", summary)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        # Commands are read from both streams; on stdout there may be a JSON document.
        sys.stderr.write("".join(f"{line}\n" for line in matrix_views.workflow_commands(found)))
        if os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
                file.write(summary)
    data: dict[str, object] = {"folder": str(folder), "verification": found.model_dump(mode="json")}
    if not as_json:
        text = matrix_views.terminal_text(found, colour=terminal.coloured(), width=terminal.columns())
        typer.echo(f"{text.rstrip()}\nVerification: {printable(folder, 4096)}")
    error = found.error
    if error is not None:
        error.result = data
        raise error
    if as_json:
        print_json(data)
