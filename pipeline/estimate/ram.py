"""RAM of a program: arena, static data and stack."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.estimate.kernels import kernel_name, stage_state, words
from pipeline.estimate.model import Item, MemoryPlan
from pipeline.estimate.stages import Stage
from pipeline.estimate.table import Table
from pipeline.graph.model import Graph

#: Bytes by which the command `stream` calls a model from deeper than `run` does; seen on the emulated Nucleo-F746ZG.
_STREAM_STACK = 96


def ram_items(graph: Graph, plan: MemoryPlan, table: Table) -> tuple[Item, ...]:
    """The items arena, static and stack, in bytes."""
    return (
        Item(name="arena", bytes=plan.arena_bytes),
        *other_items(graph, plan.stages, table, streams=plan.streams(graph.input.index)),
    )


def other_items(graph: Graph, stages: Sequence[Stage], table: Table, *, streams: bool = False) -> tuple[Item, ...]:
    """The items static and stack, which are the same for every plan of the stages; ``streams``: with a streamed input.

    The stack item is what is expected to be used: the deepest of the command loop and the model's kernels.
    """
    program = table.program
    # The command loop keeps a copy of the first output.
    static = program.static + stage_state(len(stages) + streams) + words(graph.output.nbytes)
    names = {kernel_name(graph, stage) for stage in stages}
    deepest = max((table.kernels[name].stack for name in names if name in table.kernels), default=0)
    stack = max(program.stack, deepest + program.calling_stack + (_STREAM_STACK if streams else 0))
    return (Item(name="static", bytes=static), Item(name="stack", bytes=stack))
