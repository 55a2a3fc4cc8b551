"""Cost tables: what each part of a kernel takes on one processor, and how well that holds.

``CPU.costs.toml`` is written by ``danas-deploy calibrate``, from stages that the firmware has counted itself: executed
instructions on an emulated board, cycles on a physical one.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import UsageError, printable
from pipeline.estimate import profiles

#: What follows the processor in a table's name.
SUFFIX = ".costs"

_Price = Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(_Frozen):
    """How far the fitted stages of a kernel are from what was counted, as a share of it.

    Attributes:
        stages: How many there were.
        mean: Of the absolute residuals.
        worst: The largest of them.
    """

    stages: Annotated[int, Field(gt=0)]
    mean: _Price
    worst: _Price


class CostTable(_Frozen):
    """A cost table.

    Attributes:
        board: The board that was measured.
        clock_hz: Its clock as the firmware reports it.
        date: The day, ISO 8601.
        source: ``emulated instructions``, or ``measured on serial`` and the serial number.
        unit: What a price is counted in.
        prices: By the first word of a term's name, and what follows the dot; terms.py.
        spread: By kernel.
    """

    schema_version: Literal[1]
    cpu: str
    board: str
    compiler: str
    flags: str
    clock_hz: Annotated[int, Field(gt=0)]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    source: str
    unit: Literal["instructions", "cycles"]
    spread: dict[str, Spread]
    prices: dict[str, dict[str, _Price]]

    @property
    def terms(self) -> dict[str, float]:
        """The prices by the names of the terms."""
        return {f"{group}.{name}": price for group, found in self.prices.items() for name, price in found.items()}


def read(path: Path) -> CostTable:
    """Read and validate a table.

    Raises:
        UsageError: ``calibration-table`` with file and field.
    """
    table = profiles.read(path, CostTable)
    profiles.demand_processor(path, table.cpu, field="cpu")
    return table


def load(cpu: str) -> CostTable:
    """The table of a processor, by a board's ``core.cpu``: the user's before the package's.

    Raises:
        UsageError: ``no-costs`` where there is none, or ``calibration-table``.
    """
    path = profiles.find(f"{cpu}{SUFFIX}.toml")
    if path is None:
        raise UsageError(
            "no-costs",
            f"there is no cost table for {printable(cpu)}",
            why="Latency is predicted from what was counted once on a board with this processor.",
            next=profiles.WRITE_AGAIN,
        )
    return _load(path)


@cache
def _load(path: Path) -> CostTable:
    return read(path)
