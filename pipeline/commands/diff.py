"""``danas-deploy diff``: the first operator at which a board and the reference kernels part."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from pipeline.commands.options import (
    BoardOption,
    DebugOption,
    DeviceOption,
    EmulateOption,
    EmulatorOption,
    EnvironmentOption,
    FolderOption,
    InputModeOption,
    InputsOption,
    JsonOption,
    LabOption,
    ModelArgument,
    PreferOption,
    QuietOption,
    RuntimeOption,
    SeedOption,
    TreeOption,
    WaitOption,
    print_json,
    recipe_of,
    target_of,
    tree_of,
)

ImagesOption = Annotated[int, typer.Option("--images", min=1, help="Inputs that are compared.")]
AllOption = Annotated[bool, typer.Option("--all", help="Compare every operator, not only what a search needs.")]


def diff(
    model: ModelArgument,
    board: BoardOption,
    inputs: InputsOption = None,
    images: ImagesOption = 3,
    every: AllOption = False,
    seed: SeedOption = 0,
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
    folder: FolderOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Name the first operator whose output on a board differs from LiteRT's reference kernels; exit code 7 then."""
    from pipeline import boards
    from pipeline.errors import GateError
    from pipeline.job import deploying, differing
    from pipeline.job.driving import inputs_of
    from pipeline.progress import display
    from pipeline.report.diff import diff_text

    shown, kind, target = display(quiet=quiet), boards.load(board), target_of(emulate, device, lab, wait, emulator)
    recipe = recipe_of(
        environment=environment,
        prefer=prefer,
        input_mode=input_mode,
        runtime=runtime,
        tflm_tree=tree_of(runtime, tflm_tree),
    )
    with (
        deploying.workplace(kind, target, recipe, folder, what="diff", on_wait=shown.note) as place,
        shown.step("Compare") as step,
    ):
        found = differing.diff(
            model,
            kind,
            target,
            inputs=lambda graph: inputs_of(graph, inputs, images, seed),
            into=place,
            recipe=recipe,
            every=every,
            step=step,
        )
    if not as_json:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        typer.echo(diff_text(found, colour=colour).rstrip())
    data: dict[str, object] = {"diff": found.model_dump(mode="json")}
    if found.found is not None:
        error = GateError(
            "operator-differs",
            found.found.text(),
            why="The runtime on the device does not compute what LiteRT's reference kernels compute.",
            next="Report it with the model: this is a bug of the runtime, the compiler or the board.",
        )
        error.result = data
        raise error
    if as_json:
        print_json(data)
