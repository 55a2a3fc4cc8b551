"""``danas-deploy boards``: the known board types, and how far each has been tried."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.options import DebugOption, JsonOption, print_json

if TYPE_CHECKING:
    from pipeline.boards import Board

boards_app = typer.Typer(help="The known board types.", no_args_is_help=True)

BoardArgument = Annotated[str, typer.Argument(metavar="BOARD")]
ReportArgument = Annotated[Path, typer.Argument(metavar="REPORT", help="report.json of a run on a physical board.")]
IntoOption = Annotated[
    Path | None,
    typer.Option("--into", metavar="FILE", help="File to write.", show_default="the user's attested.json"),
]


@boards_app.command("list")
def boards_list(as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """Names and figures of the known boards, and how far each has been tried."""
    from pipeline import boards
    from pipeline.report import attested

    notes = attested.known()
    rows = [_row(board, attested.status(board, notes)) for board in map(boards.load, boards.names())]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        piece = f" ({row['piece_bytes'] // 1024} in one piece)" if row["piece_bytes"] < row["ram_bytes"] else ""
        typer.echo(
            f"{row['name']:<20} {row['title']}: {row['mcu']}, {row['core']} at {row['clock_hz'] // 10**6} MHz, "
            f"{row['ram_bytes'] // 1024} KiB RAM{piece}, {row['flash_bytes'] // 1024} KiB flash; {row['status']}"
        )


@boards_app.command("show")
def boards_show(name: BoardArgument, as_json: JsonOption = False, debug: DebugOption = False) -> None:
    """All facts about one board, with their sources, and how far it has been tried."""
    from pipeline import boards, resources
    from pipeline.report import attested

    board = boards.load(name)
    notes = [one for one in attested.known() if one.board == board.name]
    status = attested.status(board, notes)
    if as_json:
        told = [one.model_dump(mode="json") for one in notes]
        print_json(board.model_dump(mode="json") | {"status": status, "attestations": told})
        return
    typer.echo((resources.boards() / f"{board.name}.toml").read_text(encoding="utf-8").rstrip())
    typer.echo(f"\n# Status: {status}")
    for one in notes:
        typer.echo(f"#   {one.date}: serial number {one.serial_number}, build {one.build_id}, model {one.model[:16]}")


@boards_app.command("attest")
def boards_attest(
    report: ReportArgument, into: IntoOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Note that a physical board has passed: its type is then `measured on DATE`."""
    from pipeline.errors import printable
    from pipeline.report import attested

    made, path = attested.attest(report, into=into)
    if as_json:
        print_json({"file": str(path), "attestation": made.model_dump(mode="json")})
        return
    typer.echo(
        f"{made.board}: measured on {made.date}, serial number {made.serial_number}, build {made.build_id}, "
        f"model {made.model[:16]}; noted in {printable(path, 4096)}"
    )


def _row(board: Board, status: str) -> dict[str, Any]:
    return {
        "name": board.name,
        "title": board.title,
        "mcu": board.mcu,
        "core": board.core.cpu,
        "clock_hz": board.core.clock_hz,
        "ram_bytes": board.ram_bytes,
        "piece_bytes": max(area.bytes for area in board.areas if "arena" in area.holds),
        "flash_bytes": board.flash_bytes,
        "emulated": board.emulator is not None,
        "emulators": [one.engine for one in board.emulators],
        "status": status,
    }
