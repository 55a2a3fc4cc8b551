"""``danas-deploy doctor``: whether this machine and a board can be used, and what to do where not."""

from __future__ import annotations

import typer

from pipeline.commands.options import (
    DebugOption,
    DeviceOption,
    EmulateOption,
    EmulatorOption,
    EnvironmentOption,
    JsonOption,
    LabOption,
    MaybeBoardOption,
    print_json,
    target_of,
)


def doctor(
    board: MaybeBoardOption = None,
    emulate: EmulateOption = False,
    emulator: EmulatorOption = None,
    device: DeviceOption = None,
    lab: LabOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say what is there and what is lacking; exit code 0 when the board (else, what builds for any) could be used.

    With --device the board is meant physically, else emulated.
    """
    from pipeline import boards
    from pipeline import doctor as doctors
    from pipeline.errors import EnvironmentProblem, NoBoardError, printable

    kind = boards.load(board) if board is not None else None
    found = doctors.examine(kind, target_of(emulate, device, lab, None, emulator), environment=environment)
    if not as_json:
        width = max(len(one.name) for one in found.findings)
        for one in found.findings:
            remedy = f"\n{'':{width + 12}}{printable(one.remedy, 400)}" if one.state != "ok" and one.remedy else ""
            typer.echo(f"{one.state:<8}  {one.name:<{width}}  {printable(one.found, 600)}{remedy}")
    what = f"{found.board or 'a board'}{f' ({printable(found.device, 80)})' if found.device else ''}"
    if found.usable:
        if as_json:
            print_json(found.as_dict())
        else:
            typer.echo(f"{what} can be used." if found.board else "Firmware can be built here.")
        return
    blocking = [one for one in found.findings if one.blocks]
    why, remedy = "; ".join(f"{one.name}: {one.found}" for one in blocking), blocking[0].remedy
    error: NoBoardError | EnvironmentProblem
    if all(one.on == "device" for one in blocking):
        error = NoBoardError("device-not-ready", f"{what} cannot be used now", why=printable(why, 600), next=remedy)
    else:
        error = EnvironmentProblem(
            "machine-not-ready", f"{what} cannot be used here", why=printable(why, 600), next=remedy
        )
    error.result = found.as_dict()
    raise error
