"""Milliseconds of an inference before there is a board: modelled from its predicted work, and never called measured.

Where the work is predicted in instructions they are multiplied by the board file's cycles an instruction, a guess with
an interval and a named derivation. Where it is predicted in cycles, because a physical board was calibrated, the clock
alone is needed; that is still modelled for this network, since the board has not run it.
"""

from __future__ import annotations

from pipeline.boards import Board
from pipeline.estimate.energy import energy
from pipeline.estimate.model import Estimate, Predicted
from pipeline.figures import Modelled

#: How far a prediction may be from what is counted, as a part of it: what the held-out check allows its worst network.
TOLERANCE = 0.06


def latency(work: Predicted, board: Board) -> Modelled | None:
    """Modelled milliseconds of an inference; None where instructions cannot be turned into cycles.

    Args:
        work: What an inference executes.
        board: The board type: its clock, and its cycles an instruction.
    """
    clock = board.core.clock_hz
    if work.unit == "cycles":
        factors, how = (1.0, 1.0, 1.0), f"{work.count:,} cycles ({work.source})"
    elif board.latency is None:
        return None
    else:
        cpi = board.latency
        factors = (cpi.low, cpi.cpi, cpi.high)
        how = f"{work.count:,} instructions × CPI {cpi.cpi:g} ({cpi.low:g}…{cpi.high:g}; {cpi.source})"
    low, middle, high = (1000 * work.count * factor / clock for factor in factors)
    return Modelled(
        value=middle,
        low=low * (1 - TOLERANCE),
        high=high * (1 + TOLERANCE),
        unit="ms",
        text=f"modelled: {how} / {clock / 1e6:g} MHz",
    )


def without_latency(board: Board) -> str:
    """Why a board offers no milliseconds, for a board that was calibrated in instructions; empty where it does."""
    if board.latency:
        return ""
    return f"{board.name} has no cycles an instruction (no [latency] in its board file): neither time nor energy"


def timed(figures: Estimate, work: Predicted | None, board: Board) -> Estimate:
    """The estimate with its predicted work, and what is modelled from that.

    Args:
        figures: An estimate of RAM and flash.
        work: Of the same network; None where nobody predicts it.
        board: The board type.
    """
    if work is None:
        return figures
    time = latency(work, board)
    spent = None if time is None else energy(time, board)
    return figures.model_copy(update={"instructions": work, "latency": time, "energy": spent})
