"""Whether a model fits, before anything is built; and if not, by how much, and at which operator it is largest."""

from __future__ import annotations

from pipeline.boards import Board, Content
from pipeline.errors import DoesNotFitError, printable
from pipeline.estimate.kernels import constant_bytes
from pipeline.estimate.model import Estimate, Limits, MemoryPlan
from pipeline.estimate.regions import RamLayout, of_estimate
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
    _demand_ram(graph, plan, figures, limits, None if board is None else of_estimate(board, figures))
    if figures.flash_bytes > limits.flash_bytes:
        largest = max(graph.operators, key=lambda operator: constant_bytes(graph, operator))
        size = constant_bytes(graph, largest)
        raise _refusal(
            "flash",
            figures.flash_bytes,
            limits.flash_bytes,
            f"most, {size:,} B, is for {_named(graph, largest)}" + _region(figures.flash_bytes, board),
        )


def _demand_ram(graph: Graph, plan: MemoryPlan, figures: Estimate, limits: Limits, layout: RamLayout | None) -> None:
    """RAM in all within the limit, and each block in one piece in a region that may hold it."""
    over = 0 if layout is None else layout.over
    needed, limit = figures.ram_bytes, limits.ram_bytes
    if needed <= limit and not over:
        return
    peak = f"most at {_named(graph, graph.operators[plan.peak_operator])}"
    where = f"activations take {plan.arena_bytes:,} B, {peak}"
    if layout is not None and over:
        if len(layout.areas) > 1:
            raise _no_place(layout, where)
        regions = layout.regions
        where += f"; the arena would end {over:,} B behind {regions[-1].name}, where RAM ends"
        if needed <= limit:  # By what is set aside for the stack and not expected to be used.
            limit = sum(region.bytes for region in regions)
            needed = limit + over
            where += f", as {figures.stack_reserve:,} B are set aside for the stack"
    elif layout is not None:
        where += f"; the arena would lie in {layout.blocks[-1].where}"
    raise _refusal("RAM", needed, limit, where)


def _no_place(layout: RamLayout, where: str) -> DoesNotFitError:
    """Of RAM in several pieces: what has no place, and what the largest piece for the arena would be."""
    stack, static, arena = layout.blocks
    beside = f"beside {stack.bytes:,} B that are set aside for the stack and {static.bytes:,} B of static data"
    most = layout.largest_arena
    if not most.bytes:
        what = f"{beside[7:]} leave no place for an arena in any RAM region"
    else:
        what = (
            f"the arena of {arena.bytes:,} B has no place: it is {arena.bytes - most.bytes:,} B larger than the "
            f"largest, {most.bytes:,} B in {most.where}"
        )
        where += f"; {beside}"
    return DoesNotFitError(
        "does-not-fit",
        what,
        why=f"By estimate; {where}; an object lies in one piece, in {_pieces(layout)}.",
        next="Take a smaller model or a board with more RAM in one piece.",
    )


def _pieces(layout: RamLayout) -> str:
    return ", or ".join(f"{area.name} ({area.bytes:,} B)" for area in layout.areas if Content.ARENA in area.holds)


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
