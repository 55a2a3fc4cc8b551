"""The Estimate of a Graph on a board, and the memory plan that a board's RAM leaves room for."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.boards import Board
from pipeline.errors import UsageError
from pipeline.estimate.flash import Forms, flash_items
from pipeline.estimate.macs import macs
from pipeline.estimate.model import Estimate, InputMode, MemoryPlan, Prefer
from pipeline.estimate.planner import plan as make_plan
from pipeline.estimate.ram import called, called_by, other_items, ram_items, stack_bound
from pipeline.estimate.regions import arena_room
from pipeline.estimate.stages import stages
from pipeline.estimate.table import calibration_of, load_for
from pipeline.graph.model import Graph


def plan_for(
    graph: Graph,
    board: Board,
    *,
    prefer: Prefer = Prefer.BALANCED,
    ram_bytes: int | None = None,
    input_mode: InputMode = InputMode.RESIDENT,
) -> MemoryPlan:
    """The memory plan of a Graph on a board: what a firmware for it runs, and what is estimated before.

    Args:
        graph: Read from a .tflite, or a skeleton.
        board: The board type.
        prefer: What the firmware is made for.
        ram_bytes: RAM that the program may have; None: the board's.
        input_mode: How the firmware takes its input.

    Raises:
        UsageError: ``no-operators`` where nothing runs; ``no-calibration`` where the table is missing;
            ``input-not-streamable``.
    """
    streams = input_mode is InputMode.STREAMED
    if not stages(graph):
        raise UsageError("no-operators", "the model has no operators", next="Give a model that computes something.")
    static, stack = other_items(graph.output.nbytes, called(graph, streams=streams), load_for(board))
    room = room_for(board, static=static.bytes, stack=stack.bytes, ram_bytes=ram_bytes)
    return make_plan(graph, prefer=prefer, limit=room, streamed_input=streams)


@dataclass(frozen=True)
class Planned:
    """What a network will need of the runtime ``aot``, with a plan as :func:`plan_for` makes it with these settings."""

    prefer: Prefer = Prefer.BALANCED
    ram_bytes: int | None = None
    input_mode: InputMode = InputMode.RESIDENT

    def __call__(self, graph: Graph, board: Board) -> Estimate:
        """The estimate of a Graph on a board.

        Raises:
            UsageError: As :func:`plan_for` and :func:`estimate`.
        """
        plan = plan_for(graph, board, prefer=self.prefer, ram_bytes=self.ram_bytes, input_mode=self.input_mode)
        return estimate(graph, board, plan=plan)


def room_for(board: Board, *, static: int, stack: int, ram_bytes: int | None = None) -> int:
    """Bytes that static data and what is used of the stack leave for the arena."""
    room = (board.ram_bytes if ram_bytes is None else ram_bytes) - static - stack
    return max(0, min(room, arena_room(board, stack=board.stack.reserve_bytes, static=static)))


def estimate(graph: Graph, board: Board, *, plan: MemoryPlan | None = None, forms: Forms | None = None) -> Estimate:
    """What a Graph will need on a board.

    Args:
        graph: Read from a .tflite, or a skeleton: both give the same figures, but for what weights alone decide.
        board: The board type; its processor chooses the calibration table, and its port a part of it.
        plan: The memory plan that will run; None: :func:`plan_for`'s.
        forms: What weights have decided; None: flash is that of the worst case.

    Raises:
        UsageError: ``no-calibration`` where the table, or the port or a kernel in it, is missing.
    """
    table = load_for(board)
    plan = plan_for(graph, board) if plan is None else plan
    calls = called_by(graph, plan)
    return Estimate(
        ram=ram_items(graph, plan, calls, table),
        flash=flash_items(graph, plan, table, forms),
        stack_reserve=board.stack.reserve_bytes,
        frame_reserve=stack_bound(calls, table).frame_reserve,
        macs=macs(graph),
        calibration=calibration_of(board),
    )
