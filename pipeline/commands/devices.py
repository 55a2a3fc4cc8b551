"""``danas-deploy devices``: what is attached, what lab.toml knows, and who holds what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import DebugOption, JsonOption, LabOption, checked, print_json

if TYPE_CHECKING:
    from pipeline.device.inventory import Row

devices_app = typer.Typer(help="The devices that are attached, and those of the lab file.")

AliasArgument = Annotated[str, typer.Argument(metavar="ALIAS", help="The device's name in lab.toml.")]


@devices_app.callback(invoke_without_command=True)
def devices(
    context: typer.Context, lab: LabOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """List devices: attached, known by the lab file, and held by whom."""
    if context.invoked_subcommand is not None:
        return
    from pipeline.device.inventory import inventory
    from pipeline.device.lab import open_lab

    opened = open_lab(lab)
    rows = inventory(opened)
    if as_json:
        print_json({"lab": str(opened.path), "devices": [row.as_dict() for row in rows]})
        return
    typer.echo("\n".join(_line(row) for row in rows) or "No device is attached, and the lab file names none.")


@devices_app.command("add")
def add(
    alias: AliasArgument,
    board: Annotated[str, typer.Option("--board", "-b", help="Board type; see `boards list`.")],
    serial_number: Annotated[
        str | None, typer.Option("--serial-number", help="USB serial number of its probe.", show_default=False)
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            "--port", help="Its port or pyserial URL, where this machine's USB does not show it.", show_default=False
        ),
    ] = None,
    location: Annotated[str, typer.Option("--location", help="Where it stands.")] = "",
    notes: Annotated[str, typer.Option("--notes", help="What people should know of it.")] = "",
    lab: LabOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a device into the lab file."""
    from pipeline.device import lab as labs

    entry = checked(
        labs.Entry,
        alias=alias,
        board=board,
        serial_number=serial_number,
        port=port,
        location=location,
        notes=notes,
    )
    path = labs.add(entry, lab)
    if as_json:
        print_json({"lab": str(path), "added": entry.model_dump()})
    else:
        typer.echo(f"{entry.alias} is in {path}")


@devices_app.command("remove")
def remove(
    alias: AliasArgument, lab: LabOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Take a device out of the lab file."""
    from pipeline.device import lab as labs

    path = labs.remove(alias, lab)
    if as_json:
        print_json({"lab": str(path), "removed": alias})
    else:
        typer.echo(f"{alias} is no longer in {path}")


def _line(row: Row) -> str:
    from pipeline.errors import printable

    device = row.device
    board = device.board or ("? " + " or ".join(row.may_be) if row.may_be else "unknown board")
    parts = [
        f"{device.alias or '(not in the lab file)':<22} {board}",
        f"serial number {printable(device.serial_number, 64)}" if device.serial_number else "no serial number",
        printable(device.port) if device.port else "",
        row.state if row.state != "absent" else "not attached",
        row.location,
        f"held by {row.holder}" if row.holder is not None else "",
    ]
    return ", ".join(part for part in parts if part)
