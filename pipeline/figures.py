"""A number never travels without its source: what a model gave is never mixed with what a device gave."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Source(StrEnum):
    """Where a figure comes from."""

    ANALYTIC = "analytic"  # computed from shapes or from the Graph
    LINKED_ELF = "linked ELF"  # read from the ELF or its link map
    EMULATED = "emulated"  # reported by the firmware on an emulated board, or by the emulator itself
    MEASURED = "measured"  # reported by the firmware on a physical board
    HOST = "host"  # computed on the host by the reference kernels or by Keras
    MODELLED = "modelled"  # calculated from other figures with factors that nobody has measured for this program


class Figure(BaseModel):
    """One number with unit and source; ``value`` is None with a ``reason`` where there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: int | float | None
    unit: Annotated[str, Field(examples=["B", "cycles", "instructions", "ms", "%"])]
    source: Source
    reason: str = ""

    @property
    def shown(self) -> str:
        """The value for a reader, without its unit; ``unknown`` where there is none."""
        return "unknown" if self.value is None else f"{self.value:,}"


def total(*parts: Figure) -> Figure:
    """The sum, with unit and source of the first part; None where one of them is, with its reason."""
    unknown = next((part for part in parts if part.value is None), None)
    value = None if unknown is not None else sum(part.value for part in parts if part.value is not None)
    reason = "" if unknown is None else unknown.reason
    return Figure(value=value, unit=parts[0].unit, source=parts[0].source, reason=reason)


class Modelled(BaseModel):
    """A number that a model gives, and how far off it may be: the true one is expected within ``low``…``high``.

    ``text`` says in one line what it was calculated from; it is shown wherever the number is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float
    unit: Annotated[str, Field(examples=["ms", "mJ"])]
    source: Literal[Source.MODELLED] = Source.MODELLED
    text: str

    @model_validator(mode="after")
    def _is_an_interval(self) -> Modelled:
        if not 0 <= self.low <= self.value <= self.high:
            raise ValueError("a modelled figure lies within its interval, and is not negative")
        return self

    @property
    def figure(self) -> Figure:
        """The number alone, for tables of figures."""
        return Figure(value=self.value, unit=self.unit, source=self.source)
