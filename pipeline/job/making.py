"""Stages estimate, render and build: from a .tflite to an ELF. Cheap, so they are done anew each time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import BuildError, printable
from pipeline.estimate.fitting import demand_fit
from pipeline.files import write_atomic
from pipeline.job.context import Context, StageResult
from pipeline.job.estimating import drawing, estimated
from pipeline.progress import Step
from pipeline.runs import MEMORY_MAP, missing

if TYPE_CHECKING:
    from pipeline.firmware.build import Firmware


def estimate(context: Context, step: Step) -> tuple[Path, ...]:
    """RAM and flash before anything is built; a model beyond the limits ends here.

    Raises:
        DoesNotFitError: ``does-not-fit``.
    """
    figures, limits = context.estimate, context.limits
    path = context.run.write_json(
        "estimate.json",
        {
            "schema_version": 2,
            "estimate": figures.model_dump(mode="json"),
            "ram_bytes": figures.ram_bytes,
            "flash_bytes": figures.flash_bytes,
            "limits": limits.model_dump(mode="json"),
            "peak_operator": context.plan.peak_operator,
        },
    )
    step.result(f"RAM {figures.ram_bytes:,} B, flash {figures.flash_bytes:,} B, {figures.macs:,} MAC")
    picture = write_atomic(context.run.path(MEMORY_MAP), drawing(context))
    demand_fit(context.graph, context.plan, figures, limits, context.board)
    return (path, picture)


def estimate_result(context: Context) -> StageResult:
    """The items of the estimate."""
    return estimated(context)


def render(context: Context, step: Step) -> tuple[Path, ...]:
    """Write the C++ sources; files whose text has not changed are left alone."""
    from pipeline.firmware.render import render as write_sources

    rendered = write_sources(
        context.graph,
        context.plan,
        context.board,
        into=context.firmware,
        runtime=context.runtime,
        model_id=context.settings.model_id,
        environment=context.settings.environment,
    )
    step.result(f"build {rendered.build_id}")
    return (
        context.run.write_json(
            "firmware/rendered.json",
            {
                "schema_version": 1,
                "folder": "firmware",
                "build_id": rendered.build_id,
                "model_hash": rendered.model_hash,
            },
        ),
    )


def render_result(context: Context) -> StageResult:
    """Where the sources are."""
    values = context.run.read_json("firmware/rendered.json")
    sources = sorted(path.relative_to(context.firmware).as_posix() for path in context.firmware.glob("src/*"))
    text = "\n".join(
        [
            f"Sources of build {printable(values['build_id'])} in {printable(context.firmware, 4096)}:",
            *(f"  {printable(one)}" for one in sources),
        ]
    )
    return StageResult(values | {"sources": sources}, text)


def build(context: Context, step: Step) -> tuple[Path, ...]:
    """Build with PlatformIO and read the ELF back."""
    from pipeline.estimate.regions import linked
    from pipeline.firmware import toolchain
    from pipeline.firmware.anatomy import dissect
    from pipeline.firmware.build import build as run_platformio

    if not context.run.path("firmware", "rendered.json").is_file():
        raise missing(context.run, "firmware/rendered.json")
    built = run_platformio(
        context.firmware,
        context.board,
        environment=context.settings.environment,
        on_line=step.update,
    )
    report, ours = built.report, context.board.build.framework is None
    made = toolchain.built_with(built.elf)
    step.result(f"{report.flash_bytes:,} B flash, {report.static_bytes + report.arena_bytes:,} B static and arena")
    path = context.run.write_json(
        "firmware/elf.json",
        {
            "schema_version": 2,
            "elf": built.elf.relative_to(context.run.folder).as_posix(),
            "environment": context.settings.environment or context.board.build.usual,
            "build_id": built.build_id,
            "flash_bytes": report.flash_bytes,
            "static_bytes": report.static_bytes,
            "arena_bytes": report.arena_bytes,
            # Of a program that is a part of a framework's nobody has said what in the map is whose.
            "flash": [item.model_dump(mode="json") for item in dissect(report, built.map).items] if ours else [],
            "compiler": made.compiler,
            "flags": made.flags,
            "ram": [item.model_dump(mode="json") for item in report.ram],
            "stack": _stack(context, built),
            "blocks": [
                {"name": block.name, "base": block.base, "bytes": block.bytes}
                for block in (linked(context.board, report.symbols).blocks if ours else ())
            ],
        },
    )
    return (path, built.elf)


def _stack(context: Context, built: Firmware) -> dict[str, Any]:
    """The most that the program can use of the stack by its own call graph, and the deepest chains; or why not."""
    from pipeline.firmware import callgraph

    if context.board.build.framework is not None:
        reason = f"the functions of the {context.board.build.framework} core say nothing of their frames"
        return {"bytes": None, "reason": reason, "estimate": None, "chains": {}}
    if context.runtime.tolerances.ram:
        reason = f"the runtime {context.runtime.name} calls through pointers of which nothing is known"
        return {"bytes": None, "reason": reason, "estimate": None, "chains": {}}
    estimated = next(item.bytes for item in context.estimate.ram if item.name == "stack")
    try:
        functions = callgraph.functions_of(built.elf, built.elf.parent)
        bounds = callgraph.bounds(functions)
    except BuildError as error:
        return {"bytes": None, "reason": error.why, "estimate": estimated, "chains": {}}
    reason = "" if bounds.bytes <= estimated else f"{bounds.bytes - estimated} B more than estimated"
    chains = {
        name: {
            "bytes": chain.bytes,
            "functions": [{"name": one, "bytes": functions[one].frame} for one in chain.names],
        }
        for name, chain in (("commands", bounds.commands), ("inference", bounds.inference), ("fault", bounds.fault))
    }
    return {"bytes": bounds.bytes, "reason": reason, "estimate": estimated, "chains": chains}


def build_result(context: Context) -> StageResult:
    """What the ELF holds."""
    values = context.run.read_json("firmware/elf.json")
    stack = values["stack"]
    lines = [
        printable(context.run.path(values["elf"]), 4096),
        f"flash {values['flash_bytes']:,} B, static {values['static_bytes']:,} B, arena {values['arena_bytes']:,} B "
        "(linked ELF)",
        printable(values["compiler"], 200),
    ]
    if stack["bytes"] is not None:
        chain = stack["chains"]["commands"]["functions"]
        lines.append(f"stack {stack['bytes']:,} B at most, through {len(chain)} functions (call graph)")
    if stack["reason"]:
        lines.append(f"stack: {printable(stack['reason'], 500)}")
    calibration = context.estimate.calibration
    if calibration is not None and calibration.mark:
        lines.append(f"Warning: {calibration.mark}")
    return StageResult(values, "\n".join(lines))
