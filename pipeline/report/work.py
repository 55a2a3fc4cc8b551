"""Predicted work and what is modelled from it, in lines of text; each says what it is and what it comes from."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.boards import Board
from pipeline.errors import printable
from pipeline.estimate.energy import without_energy
from pipeline.estimate.latency import without_latency
from pipeline.estimate.model import Estimate
from pipeline.figures import Figure, Modelled


def interval(modelled: Modelled) -> str:
    """A modelled figure with its interval: ``48.3 ms (28.4…78.7 ms)``."""
    return f"{modelled.value:.4g} {modelled.unit} ({modelled.low:.4g}…{modelled.high:.4g} {modelled.unit})"


def reasons(estimate: Estimate, board: Board, *, measured: bool = False) -> tuple[str, ...]:
    """Why time or energy are not modelled, where they are not; ``measured``: the energy has been."""
    if estimate.instructions is None:
        return ()
    if estimate.latency is None:
        return (without_latency(board),)
    return () if measured or estimate.energy is not None else (without_energy(board),)


def modelled_lines(latency: Modelled | None, energy: Modelled | None, lacking: Iterable[str]) -> list[str]:
    """A line for each modelled figure, with its interval and what it comes from, and one for each that is lacking."""
    lines = [
        f"{name} an inference: {interval(modelled)}; {printable(modelled.text, 1000)}"
        for name, modelled in (("Time", latency), ("Energy", energy))
        if modelled is not None
    ]
    return lines + [f"Not modelled: {printable(reason, 200)}" for reason in lacking]


def work_lines(estimate: Estimate, board: Board, found: Figure | None = None) -> list[str]:
    """The lines of an estimate; none where its work was not predicted. ``found``: what was counted of it."""
    work = estimate.instructions
    if work is None:
        return []
    predicted = f"{work.count:,} {work.unit} an inference (predicted; {printable(work.source, 200)})"
    if found is not None and found.value is not None:
        predicted += f"; found {found.value:,} {found.unit} ({found.source})"
    return [predicted, *modelled_lines(estimate.latency, estimate.energy, reasons(estimate, board))]
