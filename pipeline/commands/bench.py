"""``danas-deploy bench``: comparisons on a board."""

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
    InputsOption,
    JsonOption,
    LabOption,
    ModelArgument,
    PreferOption,
    QuietOption,
    SeedOption,
    WaitOption,
    print_json,
    recipe_of,
    target_of,
)

bench = typer.Typer(help="Comparisons on a board.", no_args_is_help=True)

ImagesOption = Annotated[int, typer.Option("--images", min=1, help="Inputs that are run with each engine.")]
TreesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tflm-tree",
        metavar="DIR",
        help="TFLM source tree; may be given several times (else DANAS_TFLM_TREE, or tflm_tree in danas.toml).",
        show_default=False,
    ),
]


@bench.callback()
def _bench() -> None:
    """Comparisons on a board."""


@bench.command()
def runtimes(
    model: ModelArgument,
    board: BoardOption,
    tflm_tree: TreesOption = None,
    inputs: InputsOption = None,
    images: ImagesOption = 3,
    seed: SeedOption = 0,
    emulate: EmulateOption = False,
    emulator: EmulatorOption = None,
    device: DeviceOption = None,
    lab: LabOption = None,
    wait: WaitOption = None,
    environment: EnvironmentOption = None,
    prefer: PreferOption = "balanced",
    folder: FolderOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Put the inference engines side by side: RAM, flash, instructions or cycles, and the outputs' equality."""
    import numpy as np

    from pipeline import boards, settings
    from pipeline.firmware.runtimes.tree import HOW_TO_GET_ONE
    from pipeline.graph.reader import content_of, parse
    from pipeline.graph.reference import Reference
    from pipeline.graph.repack import self_contained
    from pipeline.job import benching, deploying
    from pipeline.job.driving import inputs_of
    from pipeline.progress import display
    from pipeline.report.bench import Bench, bench_text

    shown, kind, target = display(quiet=quiet), boards.load(board), target_of(emulate, device, lab, wait, emulator)
    named = [settings.tflm_tree(tree) for tree in tflm_tree] if tflm_tree else [settings.tflm_tree(None)]
    recipes = [recipe_of(environment=environment, prefer=prefer)]
    recipes += [recipe_of(environment=environment, runtime="tflm", tflm_tree=tree) for tree in named if tree]
    for recipe in recipes:
        recipe.engine()  # a tree that is none is refused before anything is built
    notes = () if len(recipes) > 1 else (f"No TFLM source tree is named. {HOW_TO_GET_ONE}",)
    with deploying.workplace(kind, target, recipes[0], folder, what="bench", on_wait=shown.note) as place:
        content = self_contained(content_of(model))
        graph = parse(content)
        sent = inputs_of(graph, inputs, images, seed)
        expected = [np.ascontiguousarray(one).tobytes() for one in Reference(model).run(sent)]
        found = []
        for number, recipe in enumerate(recipes):
            with shown.step(recipe.engine().description) as step:
                one = benching.compete(
                    content,
                    kind,
                    target,
                    recipe,
                    inputs=sent,
                    expected=expected,
                    into=place / f"{number}-{recipe.runtime}",
                    step=step,
                )
                step.result(one.problem or f"build {one.build_id}")
                found.append(one)
    result = Bench(
        board=kind.name,
        target="emulated" if target.emulate else "device",
        model=graph.sha256,
        file_bytes=graph.file_bytes,
        inputs=len(sent),
        competitors=tuple(found),
        notes=notes,
    )
    if as_json:
        print_json({"bench": result.model_dump(mode="json")})
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        typer.echo(bench_text(result, colour=colour).rstrip())
