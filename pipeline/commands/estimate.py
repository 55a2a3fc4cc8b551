"""``danas-deploy estimate``: what a model needs of a board, before anything is built."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from pipeline.commands.jobs import job_of, print_result
from pipeline.commands.options import (
    DebugOption,
    EnvironmentOption,
    FlashOption,
    InputModeOption,
    JsonOption,
    MaybeBoardOption,
    PreferOption,
    QuietOption,
    RamOption,
    RunOption,
    RuntimeOption,
    SourceArgument,
    TreeOption,
    tree_of,
)

ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Print the memory plan: what is alive when, and why it is cut there.")
]


def estimate(
    source: SourceArgument,
    board: MaybeBoardOption = None,
    ram: RamOption = None,
    flash: FlashOption = None,
    environment: EnvironmentOption = None,
    runtime: RuntimeOption = "aot",
    tflm_tree: TreeOption = None,
    prefer: PreferOption = "balanced",
    input_mode: InputModeOption = "resident",
    explain: ExplainOption = False,
    run: RunOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """RAM and flash of a model, before anything is built."""
    recipe: dict[str, Any] = {"environment": environment, "prefer": prefer, "input_mode": input_mode}
    recipe |= {"runtime": runtime, "tree": tree_of(runtime, tflm_tree)}
    job = job_of(source, board, ram, flash, recipe, run, quiet)
    result = job.one("estimate")
    data, text = {"estimate": result.data}, result.text
    if explain:
        from pipeline.job.making import explained

        plan = explained(job.context, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
        data, text = data | {"plan": plan.data}, f"{text.rstrip()}\n\n{plan.text}"
    print_result(job, data, text, result.verdict, as_json)
