"""``danas-deploy space``: which share of the search space fits a board, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import (
    BoardOption,
    DebugOption,
    FlashOption,
    InputModeOption,
    JsonOption,
    PreferOption,
    QuietOption,
    RamOption,
    SeedOption,
    SpaceOption,
    checked,
    print_json,
)

if TYPE_CHECKING:
    from pipeline.genotype import Genotype
    from pipeline.search.space import Space

#: Designs of a space that cannot be listed: 200 of each data configuration.
DRAWN = 2800

ClassesOption = Annotated[int, typer.Option("--classes", min=1, max=1000, help="Classes that a design tells apart.")]
MacsOption = Annotated[str | None, typer.Option("--macs", help="Most MACs an inference: 6M.", show_default="no limit")]
PresetOption = Annotated[str, typer.Option("--preset", help="All of the space, `full`, or what `quick` searches see.")]
DesignsOption = Annotated[
    int | None,
    typer.Option(
        "--designs",
        min=1,
        max=100_000,
        help="Look at so many designs at random.",
        show_default=f"all of paper, {DRAWN} of wide",
    ),
]
SvgOption = Annotated[
    Path | None, typer.Option("--svg", metavar="FILE", help="Write the heat maps as a drawing.", show_default=False)
]

#: The display is told after so many designs.
_SHOWN = 100


def space_command(
    board: BoardOption,
    ram: RamOption = None,
    flash: FlashOption = None,
    macs: MacsOption = None,
    classes: ClassesOption = 2,
    space: SpaceOption = "paper",
    preset: PresetOption = "full",
    designs: DesignsOption = None,
    seed: SeedOption = 0,
    prefer: PreferOption = "balanced",
    input_mode: InputModeOption = "resident",
    svg: SvgOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Which share of the space fits a board, for each data configuration, before anything is trained."""
    from pipeline import boards
    from pipeline.errors import InterruptedRun
    from pipeline.estimate.estimator import Planned
    from pipeline.files import write_atomic
    from pipeline.progress import display
    from pipeline.report.space import SpaceReport, space_json, space_svg, space_text
    from pipeline.report.terminal import coloured, columns
    from pipeline.search.feasibility import analytic
    from pipeline.search.spaces import made
    from pipeline.search.survey import drawn, survey, without_collector
    from pipeline.settings import Kind, Settings, parse_count, parse_size

    settings = checked(
        Settings,
        kind=Kind.SEARCH,
        board=board,
        space=space,
        preset=preset,
        seed=seed,
        prefer=prefer,
        input_mode=input_mode,
        ram=parse_size(ram) if ram else None,
        flash=parse_size(flash) if flash else None,
        macs=parse_count(macs) if macs else None,
    )
    kind = boards.load(board)
    limits = settings.limits(kind)
    whole = made(settings.space, settings.preset)
    if designs is None and not whole.listed:
        designs = DRAWN
    chosen: Sequence[Genotype] | Space = whole if designs is None else drawn(whole, designs, settings.seed)
    of = Planned(prefer=settings.prefer, ram_bytes=limits.ram_bytes, input_mode=settings.input_mode)
    found = []
    try:
        with without_collector(), display(quiet=quiet).step("Estimate the designs of the space") as step:
            for design in survey(chosen, analytic(kind, classes, of=of), limits):
                found.append(design)
                if len(found) % _SHOWN == 0:
                    step.update(design.genotype.data.id, done=len(found), total=len(chosen))
            step.result(f"{len(found):,} designs")
    except KeyboardInterrupt:
        raise InterruptedRun(
            "interrupted",
            f"interrupted after {len(found):,} of {len(chosen):,} designs",
            next="Give the command again.",
        ) from None
    report = SpaceReport(
        kind, limits, classes, found, whole.name, len(whole), None if designs is None else settings.seed
    )
    if svg is not None:
        write_atomic(svg, space_svg(report))
    if as_json:
        print_json(space_json(report) | ({"svg": str(svg)} if svg is not None else {}))
    else:
        typer.echo(space_text(report, colour=coloured(), width=columns()).rstrip())
