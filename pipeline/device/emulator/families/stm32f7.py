"""STM32F75x and F74x (RM0385: memory map, RCC, PWR)."""

from __future__ import annotations

from pipeline.device.emulator.families.family import Answer, Family, Window
from pipeline.device.emulator.families.stm32 import USART_V2

_RCC_CR, _RCC_PLLCFGR, _RCC_CFGR = 0x40023800, 0x40023804, 0x40023808
_PWR_CR1, _PWR_CSR1 = 0x40007000, 0x40007004

FAMILY = Family(
    windows=(Window(0x40000000, 0x20000, "APB1 and APB2"), Window(0x40020000, 0x40000, "AHB1")),
    uart=USART_V2,
    answers=(
        Answer("RCC_CR: HSION, HSIRDY", _RCC_CR, 1 << 0, 1 << 1),
        Answer("RCC_CR: HSEON, HSERDY", _RCC_CR, 1 << 16, 1 << 17),
        Answer("RCC_CR: PLLON, PLLRDY", _RCC_CR, 1 << 24, 1 << 25),
        Answer("RCC_CFGR: SW, SWS = PLL", _RCC_CFGR, 2 << 0, 2 << 2),
        Answer("PWR_CSR1: VOSRDY", _RCC_CR, 1 << 24, 1 << 14, _PWR_CSR1),
        Answer("PWR_CR1 ODEN, PWR_CSR1 ODRDY", _PWR_CR1, 1 << 16, 1 << 16, _PWR_CSR1),
        Answer("PWR_CR1 ODSWEN, PWR_CSR1 ODSWRDY", _PWR_CR1, 1 << 17, 1 << 17, _PWR_CSR1),
    ),
    reset={_RCC_CR: 0x83, _RCC_PLLCFGR: 0x24003010, _PWR_CR1: 0xC000},
)
