"""Calibration: the figures of a processor and a compiler that estimates need, measured once with small programs.

Each part measures one table (:data:`PARTS`)::

    workshop = Workshop(board, Target(emulate=True), folder)
    for part in PARTS:
        write(part, workshop, into=folder_of_tables, say=logging.info)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.calibration.code import CodePart
from pipeline.calibration.costs import CostsPart
from pipeline.calibration.part import Part
from pipeline.calibration.stack import StackPart
from pipeline.calibration.workshop import Workshop
from pipeline.estimate import table
from pipeline.files import write_atomic

__all__ = ["PARTS", "Part", "Workshop", "write"]

#: In this order: a part may use the tables of those before it.
PARTS: tuple[Part, ...] = (CodePart(), StackPart(), CostsPart())


def write(part: Part, workshop: Workshop, *, into: Path, say: Callable[[str], None]) -> Path:
    """Measure one part and write its table.

    Args:
        part: One of :data:`PARTS`.
        workshop: Of the board that is calibrated.
        into: Folder of the tables; made where it is missing.
        say: Told what has been measured.

    Raises:
        DanasError: What the part's builds and sessions raise; ``disk-full``, ``not-writable``.
    """
    path = into / f"{workshop.board.core.cpu}{part.suffix}.toml"
    write_atomic(path, part.measure(workshop, say).encode())
    table.forget()
    return path
