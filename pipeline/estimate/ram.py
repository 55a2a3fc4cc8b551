"""RAM of a program: arena, static data and stack."""

from __future__ import annotations

from pipeline.estimate.kernels import kernel_name, stage_state
from pipeline.estimate.model import Item, MemoryPlan
from pipeline.estimate.table import Table
from pipeline.graph.model import Graph


def ram_items(graph: Graph, plan: MemoryPlan, table: Table) -> tuple[Item, ...]:
    """The items arena, static and stack, in bytes.

    The stack item is what is expected to be used: the deepest of the command loop and the model's kernels.
    """
    program = table.program
    # The command loop keeps a copy of the first output, in whole words.
    output_copy = -(-graph.output.nbytes // 4) * 4
    static = program.static + stage_state(len(plan.stages) + plan.streams(graph.input.index)) + output_copy
    names = {kernel_name(graph, stage) for stage in plan.stages}
    deepest = max((table.kernels[name].stack for name in names if name in table.kernels), default=0)
    stack = max(program.stack, deepest + program.calling_stack)
    return (
        Item(name="arena", bytes=plan.arena_bytes),
        Item(name="static", bytes=static),
        Item(name="stack", bytes=stack),
    )
