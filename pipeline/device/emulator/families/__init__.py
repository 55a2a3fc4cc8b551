"""What the emulated board knows of each family of microcontrollers, one file a family.

A family is named as its port in ``firmware_templates/port`` is, and a board file's ``port`` chooses both.
"""

from __future__ import annotations

from pipeline.boards import Board
from pipeline.device.emulator.families import mps2, stm32f4, stm32f7, stm32h7, stm32l4
from pipeline.device.emulator.families.family import Family
from pipeline.errors import UsageError, printable

#: By the name of the port.
FAMILIES: dict[str, Family] = {
    "mps2": mps2.FAMILY,
    "stm32f4": stm32f4.FAMILY,
    "stm32f7": stm32f7.FAMILY,
    "stm32h7": stm32h7.FAMILY,
    "stm32l4": stm32l4.FAMILY,
}


def of(board: Board) -> Family:
    """The family of a board.

    Raises:
        UsageError: ``no-emulator`` where nobody has described it.
    """
    try:
        return FAMILIES[board.port]
    except KeyError:
        raise UsageError(
            "no-emulator",
            f"{board.name} cannot be emulated",
            why=f"Nobody has described the peripherals of {printable(board.port)}; known: {', '.join(FAMILIES)}.",
            next="Describe them in pipeline/device/emulator/families/, or take [emulator] out of the board file.",
        ) from None
