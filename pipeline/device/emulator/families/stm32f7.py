"""STM32F75x and F74x (RM0385: memory map)."""

from __future__ import annotations

from pipeline.device.emulator.families.family import Family, Window
from pipeline.device.emulator.families.stm32 import F4_F7_ANSWERS, F4_F7_CLOCKS, F4_F7_RESET, USART_V2

FAMILY = Family(
    windows=(Window(0x40000000, 0x20000, "APB1 and APB2"), Window(0x40020000, 0x40000, "AHB1")),
    uart=USART_V2,
    answers=F4_F7_ANSWERS,
    reset=F4_F7_RESET,
    clocks=F4_F7_CLOCKS,
)
