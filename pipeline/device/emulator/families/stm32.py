"""What STM32 families share: the UARTs, and the clock and power registers of F4 and F7."""

from __future__ import annotations

from pipeline.device.emulator.families.family import Answer, UartLayout

#: The USART of STM32F1, F2, F4, L1 (RM0390, USART registers): CR1 with UE, RE and TE; SR with TC, TXE and RXNE; DR.
USART_V1 = UartLayout(
    control=0x0C,
    enabled=1 << 13,
    receives=1 << 2,
    transmits=1 << 3,
    status=0x00,
    idle=1 << 6 | 1 << 7,
    ready_to_send=0,
    ready_to_receive=0,
    received=1 << 5,
    receive=0x04,
    send=0x04,
)

#: The USART and LPUART of STM32F0, F3, F7, G, H7, L4 (RM0385 and RM0432, USART registers): CR1 with UE, RE and TE;
#: ISR with TC, TXE, TEACK, REACK and RXNE; RDR; TDR; RQR with RXFRQ.
USART_V2 = UartLayout(
    control=0x00,
    enabled=1 << 0,
    receives=1 << 2,
    transmits=1 << 3,
    status=0x1C,
    idle=1 << 6 | 1 << 7,
    ready_to_send=1 << 21,
    ready_to_receive=1 << 22,
    received=1 << 5,
    receive=0x24,
    send=0x28,
    request=0x18,
    drop=1 << 3,
)

_RCC_CR, _RCC_PLLCFGR, _RCC_CFGR = 0x40023800, 0x40023804, 0x40023808
_PWR_CONTROL, _PWR_STATUS = 0x40007000, 0x40007004

#: STM32F7, and STM32F4 with over-drive (RM0385 and RM0390: RCC, PWR).
F4_F7_ANSWERS = (
    Answer("RCC_CR: HSION, HSIRDY", _RCC_CR, 1 << 0, 1 << 1),
    Answer("RCC_CR: PLLON, PLLRDY", _RCC_CR, 1 << 24, 1 << 25),
    Answer("RCC_CFGR: SW, SWS = PLL", _RCC_CFGR, 2 << 0, 2 << 2),
    Answer("PWR status: VOSRDY", _RCC_CR, 1 << 24, 1 << 14, _PWR_STATUS),
    Answer("PWR control: ODEN, status: ODRDY", _PWR_CONTROL, 1 << 16, 1 << 16, _PWR_STATUS),
    Answer("PWR control: ODSWEN, status: ODSWRDY", _PWR_CONTROL, 1 << 17, 1 << 17, _PWR_STATUS),
)
F4_F7_CLOCKS = {
    "hse-bypass": (Answer("RCC_CR: HSEON and HSEBYP, HSERDY", _RCC_CR, 1 << 16 | 1 << 18, 1 << 17),),
    "hse-crystal": (Answer("RCC_CR: HSEON without HSEBYP, HSERDY", _RCC_CR, 1 << 16, 1 << 17, unless=1 << 18),),
}
F4_F7_RESET = {_RCC_CR: 0x83, _RCC_PLLCFGR: 0x24003010, _PWR_CONTROL: 0xC000}
