"""A number never travels without its source: what a model gave is never mixed with what a device gave."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Source(StrEnum):
    """Where a figure comes from."""

    ANALYTIC = "analytic"  # computed from shapes or from the Graph
    LINKED_ELF = "linked ELF"  # read from the ELF or its link map
    EMULATED = "emulated"  # reported by the firmware on an emulated board, or by the emulator itself
    MEASURED = "measured"  # reported by the firmware on a physical board
    HOST = "host"  # computed on the host by the reference kernels or by Keras


class Figure(BaseModel):
    """One number with unit and source; ``value`` is None with a ``reason`` where there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: int | float | None
    unit: Annotated[str, Field(examples=["B", "cycles", "instructions", "ms", "%"])]
    source: Source
    reason: str = ""
