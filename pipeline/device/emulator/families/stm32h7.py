"""STM32H742, H743, H750 and H753 (RM0433: memory map, RCC, PWR, FLASH, DBGMCU)."""

from __future__ import annotations

from pipeline.device.emulator.families.family import Answer, Family, Window
from pipeline.device.emulator.families.stm32 import USART_V2

_RCC_CR, _RCC_CFGR = 0x58024400, 0x58024410
_RCC_PLLCKSELR, _RCC_PLLCFGR, _RCC_PLL1DIVR = 0x58024428, 0x5802442C, 0x58024430
_PWR_CSR1, _PWR_CR3, _PWR_D3CR = 0x58024804, 0x5802480C, 0x58024818
_FLASH_ACR, _DBGMCU_IDC = 0x52002000, 0x5C001000

FAMILY = Family(
    windows=(
        Window(0x40000000, 0x18000, "APB1 and APB2"),
        Window(0x51000000, 0x100000, "AXI interconnect"),
        Window(0x52000000, 0x9000, "AHB3"),
        Window(0x58020000, 0x7000, "AHB4"),
        Window(0x5C001000, 0x1000, "DBGMCU"),
    ),
    uart=USART_V2,
    answers=(
        Answer("PWR_CR3: SCUEN and LDOEN, PWR_CSR1: ACTVOSRDY", _PWR_CR3, 3 << 1, 1 << 13, _PWR_CSR1),
        Answer("PWR_D3CR: VOS scale 1, VOSRDY", _PWR_D3CR, 3 << 14, 1 << 13),
        Answer("RCC_CR: HSION, HSIRDY", _RCC_CR, 1 << 0, 1 << 2),
        Answer("RCC_CR: PLL1ON, PLL1RDY", _RCC_CR, 1 << 24, 1 << 25),
        Answer("RCC_CFGR: SW, SWS = PLL1", _RCC_CFGR, 3 << 0, 3 << 3),
    ),
    clocks={
        "hse-bypass": (Answer("RCC_CR: HSEON and HSEBYP, HSERDY", _RCC_CR, 1 << 16 | 1 << 18, 1 << 17),),
        "hse-crystal": (Answer("RCC_CR: HSEON without HSEBYP, HSERDY", _RCC_CR, 1 << 16, 1 << 17, unless=1 << 18),),
    },
    reset={
        _RCC_CR: 0x25,
        _RCC_PLLCKSELR: 0x02020200,
        _RCC_PLLCFGR: 0x01FF0000,
        _RCC_PLL1DIVR: 0x01010280,
        _PWR_CR3: 0x6,
        _PWR_D3CR: 0x4000,
        _FLASH_ACR: 0x37,
        _DBGMCU_IDC: 0x20036450,  # revision V
    },
)
