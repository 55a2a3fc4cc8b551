"""``danas-deploy calibrate``: measure the tables that estimates for a processor come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import (
    BoardOption,
    DebugOption,
    DeviceOption,
    EmulateOption,
    EmulatorOption,
    JsonOption,
    LabOption,
    QuietOption,
    WaitOption,
    print_json,
    recipe_of,
    target_of,
)

IntoOption = Annotated[
    Path | None,
    typer.Option("--into", metavar="DIR", help="Folder of the tables.", show_default="the user's tables"),
]
PartOption = Annotated[
    list[str] | None,
    typer.Option("--part", metavar="PART", help="Measure this part alone; may be given several times."),
]


def calibrate(
    board: BoardOption,
    emulate: EmulateOption = False,
    emulator: EmulatorOption = None,
    device: DeviceOption = None,
    lab: LabOption = None,
    wait: WaitOption = None,
    part: PartOption = None,
    into: IntoOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure code, stack and work of each kernel with small programs, and write the processor's tables."""
    from pipeline import boards, calibration
    from pipeline.errors import UsageError, printable
    from pipeline.estimate import profiles
    from pipeline.job import deploying
    from pipeline.progress import display

    shown, kind, target = display(quiet=quiet), boards.load(board), target_of(emulate, device, lab, wait, emulator)
    names = [one.name for one in calibration.PARTS]
    for name in part or ():
        if name not in names:
            raise UsageError(
                "bad-option",
                f"--part {printable(name)}: no part of a calibration is called so",
                why=f"Parts: {', '.join(names)}.",
                next="Name one of these, or leave --part out for all.",
            )
    written = []
    with deploying.workplace(kind, target, recipe_of(), None, what="calibrate", on_wait=shown.note) as place:
        workshop = calibration.Workshop(kind, target, place / "firmware")
        for one in calibration.PARTS:
            if part and one.name not in part:
                continue
            with shown.step(f"Calibrate {one.name}") as step:
                path = calibration.write(one, workshop, into=into or profiles.user_folder(), say=step.update)
                step.result(printable(path, 4096))
                written.append(str(path))
    if as_json:
        print_json({"board": kind.name, "cpu": kind.core.cpu, "tables": written})
    else:
        typer.echo("\n".join(printable(path, 4096) for path in written))
