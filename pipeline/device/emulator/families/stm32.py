"""What STM32 families share: the UART."""

from __future__ import annotations

from pipeline.device.emulator.families.family import UartLayout

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
