"""The Estimate of a Graph on a board."""

from __future__ import annotations

from pipeline.boards import Board
from pipeline.estimate.flash import flash_items
from pipeline.estimate.macs import macs
from pipeline.estimate.model import Estimate, MemoryPlan
from pipeline.estimate.planner import plan as make_plan
from pipeline.estimate.ram import ram_items
from pipeline.estimate.table import load
from pipeline.graph.model import Graph


def estimate(graph: Graph, board: Board, *, plan: MemoryPlan | None = None) -> Estimate:
    """What a Graph will need on a board.

    Args:
        graph: Read from a .tflite, or a skeleton: both give the same figures, but for what weights alone decide.
        board: The board type; its processor chooses the calibration table.
        plan: The memory plan that will run, where there is one already.

    Raises:
        UsageError: ``no-calibration`` where the table or a kernel in it is missing.
    """
    table = load(board.core.cpu)
    plan = make_plan(graph) if plan is None else plan
    return Estimate(
        ram=ram_items(graph, plan, table),
        flash=flash_items(graph, plan, table),
        stack_reserve=board.stack.reserve_bytes,
        macs=macs(graph),
    )
