"""STM32L4 and L4+ (RM0351 and RM0432: memory map, RCC, PWR, FLASH).

PWR_CR5 is there in L4+ alone; programs for L4 have no use for it.
"""

from __future__ import annotations

from pipeline.device.emulator.families.family import Answer, Family, Window
from pipeline.device.emulator.families.stm32 import USART_V2

_RCC_CR, _RCC_CFGR, _RCC_PLLCFGR = 0x40021000, 0x40021008, 0x4002100C
_PWR_CR1, _PWR_CR5 = 0x40007000, 0x40007080
_FLASH_ACR = 0x40022000

FAMILY = Family(
    windows=(Window(0x40000000, 0x30000, "APB1, APB2 and AHB1"), Window(0x48000000, 0x2000, "AHB2: GPIO")),
    uart=USART_V2,  # an LPUART has the same registers
    answers=(
        Answer("RCC_CR: MSION, MSIRDY", _RCC_CR, 1 << 0, 1 << 1),
        Answer("RCC_CR: HSION, HSIRDY", _RCC_CR, 1 << 8, 1 << 10),
        Answer("RCC_CR: PLLON, PLLRDY", _RCC_CR, 1 << 24, 1 << 25),
        Answer("RCC_CFGR: SW, SWS, low bit", _RCC_CFGR, 1 << 0, 1 << 2),
        Answer("RCC_CFGR: SW, SWS, high bit", _RCC_CFGR, 1 << 1, 1 << 3),
    ),
    clocks={
        "hse-bypass": (Answer("RCC_CR: HSEON and HSEBYP, HSERDY", _RCC_CR, 1 << 16 | 1 << 18, 1 << 17),),
        "hse-crystal": (Answer("RCC_CR: HSEON without HSEBYP, HSERDY", _RCC_CR, 1 << 16, 1 << 17, unless=1 << 18),),
    },
    reset={_RCC_CR: 0x63, _RCC_PLLCFGR: 0x1000, _PWR_CR1: 0x200, _PWR_CR5: 0x100, _FLASH_ACR: 0x600},
)
