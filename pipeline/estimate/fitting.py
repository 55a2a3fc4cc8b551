"""Whether a model fits, before anything is built; and if not, by how much, and at which operator it is largest."""

from __future__ import annotations

from pipeline.boards import Board
from pipeline.errors import DoesNotFitError, printable
from pipeline.estimate.kernels import constant_bytes
from pipeline.estimate.model import Estimate, Limits, MemoryPlan
from pipeline.estimate.regions import of_estimate
from pipeline.graph.model import Graph, Operator


def demand_fit(graph: Graph, plan: MemoryPlan, figures: Estimate, limits: Limits, board: Board | None = None) -> None:
    """Refuse a model that needs more RAM or flash than there is.

    Args:
        graph: The model.
        plan: Its memory plan, which has the operator at which the activations are largest.
        figures: Its estimate.
        limits: What there is.
        board: The board type, whose regions must hold what the linker sets aside; None: the limits alone count.

    Raises:
        DoesNotFitError: ``does-not-fit``; ``stack-reserve`` where the linker sets aside less than the stack may need.
    """
    needed = next((item.bytes for item in figures.ram if item.name == "stack"), 0) + figures.frame_reserve
    if needed > figures.stack_reserve:
        raise DoesNotFitError(
            "stack-reserve",
            f"the stack may need {needed:,} B, and {figures.stack_reserve:,} B are set aside for it",
            why=f"By estimate; {figures.frame_reserve} B of it are for the frame of a fault.",
            next="Raise reserve_bytes under [stack] in the board's file.",
        )
    layout = None if board is None else of_estimate(board, figures)
    over = 0 if layout is None else layout.over
    if figures.ram_bytes > limits.ram_bytes or over:
        where = f"activations take {plan.arena_bytes:,} B, most at {_named(graph, graph.operators[plan.peak_operator])}"
        needed, limit = figures.ram_bytes, limits.ram_bytes
        if layout is not None and over:
            regions = layout.regions
            where += f"; the arena would end {over:,} B behind {regions[-1].name}, where RAM ends"
            if needed <= limit:  # By what is set aside for the stack and not expected to be used.
                limit = sum(region.bytes for region in regions)
                needed = limit + over
                where += f", as {figures.stack_reserve:,} B are set aside for the stack"
        elif layout is not None:
            where += f"; the arena would lie in {layout.blocks[-1].where}"
        raise _refusal("RAM", needed, limit, where)
    if figures.flash_bytes > limits.flash_bytes:
        largest = max(graph.operators, key=lambda operator: constant_bytes(graph, operator))
        size = constant_bytes(graph, largest)
        raise _refusal(
            "flash",
            figures.flash_bytes,
            limits.flash_bytes,
            f"most, {size:,} B, is for {_named(graph, largest)}" + _region(figures.flash_bytes, board),
        )


def _region(flash_bytes: int, board: Board | None) -> str:
    if board is None or flash_bytes <= board.flash[0].bytes:
        return ""
    return f"; region {board.flash[0].name} has {board.flash[0].bytes:,} B"


def _refusal(what: str, needed: int, limit: int, where: str) -> DoesNotFitError:
    return DoesNotFitError(
        "does-not-fit",
        f"the model needs {needed:,} B of {what}, {needed - limit:,} B more than the limit of {limit:,} B",
        why=f"By estimate; {where}.",
        next=f"Take a smaller model or a bigger board; where --{what.lower()} is the limit, raise it.",
    )


def _named(graph: Graph, operator: Operator) -> str:
    tensor = graph.tensors[operator.outputs[0]]
    return f"operator {operator.index}, {operator.code}, tensor {tensor.index} {printable(tensor.name, 80)!r}"
