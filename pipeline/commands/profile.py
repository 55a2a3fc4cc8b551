"""``danas-deploy profile``: what each stage of an inference costs on a board."""

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

ImagesOption = Annotated[int, typer.Option("--images", min=1, help="Inputs; the figures are their mean.")]


def profile(
    model: ModelArgument,
    board: BoardOption,
    inputs: InputsOption = None,
    images: ImagesOption = 1,
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
    """Instructions or cycles of each operator on a board, with its MACs and the bytes of its constants."""
    from pipeline import boards
    from pipeline.graph.reader import content_of
    from pipeline.job import deploying, profiling
    from pipeline.job.driving import inputs_of
    from pipeline.progress import display
    from pipeline.report.profile import profile_text

    shown, kind, target = display(quiet=quiet), boards.load(board), target_of(emulate, device, lab, wait, emulator)
    recipe = recipe_of(
        environment=environment,
        prefer=prefer,
        input_mode=input_mode,
        runtime=runtime,
        tflm_tree=tree_of(runtime, tflm_tree),
    )
    with deploying.workplace(kind, target, recipe, folder, what="profile", on_wait=shown.note) as place:
        content = content_of(model)
        with shown.step("Build") as step:
            made = deploying.make(content, kind, into=place, recipe=recipe, on_line=step.update)
            step.result(f"build {made.firmware.build_id}")
        with shown.step("Profile") as step:
            sent = inputs_of(made.graph, inputs, images, seed)
            found = profiling.profile(made, kind, target, inputs=sent, step=step)
    if as_json:
        print_json({"profile": found.model_dump(mode="json")})
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        typer.echo(profile_text(found, colour=colour).rstrip())
