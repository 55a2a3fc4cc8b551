"""What a calibration is made of: parts that each measure one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pipeline.calibration.workshop import Workshop


class Part(Protocol):
    """Measures one table of a processor.

    Attributes:
        name: What ``--part`` calls it.
        suffix: What follows the processor in the name of its file: nothing, or a dot and a word.
    """

    name: str
    suffix: str

    def measure(self, workshop: Workshop, say: Callable[[str], None]) -> str:
        """Build and run what it takes; the table as the text of a TOML file.

        Args:
            workshop: Of the board that is calibrated.
            say: Told what has been measured.

        Raises:
            DanasError: What builds, flashes and sessions raise.
        """
