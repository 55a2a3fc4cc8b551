"""The bars that the runtime is held to on the emulated Nucleo-F746ZG, and TFLite Micro's figures beside them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: Where the bars were set; another board's figures stand without them.
BOARD = "nucleo_f746zg"
#: What `balanced` may take of either column.
_BALANCED = 1.15
#: What the compact layout may take of the instructions.
_COMPACT = 1.3


class Bars(StrEnum):
    """Which bars a layout is held to; ``streamed`` where the input arrives row by row and is never resident."""

    SPEED = "speed"
    RAM = "ram"
    FLASH = "flash"
    BALANCED = "balanced"
    STREAMED = "streamed"


@dataclass(frozen=True)
class Goal:
    """The bars of one network: bytes, and instructions of an inference; None where there is none.

    ``tflm_arena``, ``tflm_flash`` (model and code) and ``tflm_instructions`` are TFLite Micro's with CMSIS-NN kernels,
    of August 2026, by GCC 12.2.
    """

    ram_fastest: int
    ram_least: int
    flash_compact: int | None = None
    flash_fastest: int | None = None
    instructions: int | None = None
    ram_streamed: int | None = None
    tflm_arena: int | None = None
    tflm_flash: int | None = None
    tflm_instructions: int | None = None

    def bars(self, held_to: Bars) -> tuple[int | None, int | None, int | None]:
        """RAM, flash and instructions that a layout may take."""
        if held_to is Bars.STREAMED:
            return self.ram_streamed, None, None
        if held_to is Bars.BALANCED:
            return (
                round(self.ram_least * _BALANCED),
                round(self.flash_compact * _BALANCED) if self.flash_compact else None,
                round(self.instructions * _BALANCED) if self.instructions else None,
            )
        if held_to is Bars.RAM:
            return self.ram_least, None, None
        if held_to is Bars.FLASH:
            return None, self.flash_compact, round(self.instructions * _COMPACT) if self.instructions else None
        return self.ram_fastest, self.flash_fastest, self.instructions


GOALS = {
    "mobilenet_v2_035_96x96x1": Goal(
        ram_fastest=26_000,
        ram_least=24_500,
        flash_compact=470_000,
        flash_fastest=605_000,
        instructions=17_500_000,
        ram_streamed=16_500,
        tflm_arena=204_640,
        tflm_flash=712_176,
        tflm_instructions=44_600_000,
    ),
    "mobilenet_v1_025_96x96x3": Goal(
        ram_fastest=42_000,
        ram_least=41_000,
        flash_compact=255_000,
        flash_fastest=310_000,
        instructions=10_500_000,
        tflm_arena=101_000,
        tflm_flash=410_000,
    ),
    "ds_cnn_49x10": Goal(
        ram_fastest=9_300,
        ram_least=6_300,
        flash_compact=46_000,
        flash_fastest=60_000,
        instructions=4_100_000,
        tflm_arena=23_100,
        tflm_flash=131_000,
    ),
    "resnet8_32x32x3": Goal(
        ram_fastest=21_000,
        ram_least=16_500,
        flash_compact=102_000,
        flash_fastest=110_000,
        instructions=14_500_000,
        tflm_arena=54_600,
        tflm_flash=175_000,
    ),
    # TFLite Micro's activations alone.
    "mobilenet_v2_025_224x224x3": Goal(ram_fastest=173_000, ram_least=171_000, ram_streamed=50_000, tflm_arena=752_640),
}
