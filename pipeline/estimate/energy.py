"""Energy of an inference before there is a power monitor: supply voltage × active current × modelled time.

The current is the datasheet's, for code that is not ours; the board's other parts (regulator, probe, sensors) and the
time between inferences are not in it. A measured trace takes its place (``danas-deploy energy``).
"""

from __future__ import annotations

from pipeline.boards import Board
from pipeline.figures import Modelled


def energy(time: Modelled, board: Board) -> Modelled | None:
    """Modelled millijoules of an inference; None for a board whose current is not known.

    Args:
        time: Modelled milliseconds of the inference.
        board: The board type.
    """
    power = board.energy
    if power is None:
        return None
    return Modelled(
        value=power.volts * power.amperes * time.value,
        low=power.volts * power.low * time.low,
        high=power.volts * power.high * time.high,
        unit="mJ",
        text=(
            f"modelled: {power.volts:g} V × {1000 * power.amperes:g} mA "
            f"({1000 * power.low:g}…{1000 * power.high:g} mA; {power.conditions}; {power.source}) × "
            f"modelled time {time.value:.4g} ms ({time.low:.4g}…{time.high:.4g} ms)"
        ),
    )


def without_energy(board: Board) -> str:
    """Why a board offers no energy; empty where it does."""
    return "" if board.energy else f"{board.name} has no supply current: its board file has no [energy]"
