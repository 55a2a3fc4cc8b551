"""Arm MPS2 with an FPGA image of the Cortex-M System Design Kit (DDI0479; memory map: DAI0386, DAI0500).

The clocks run when the core starts, and no register answers another: the UART is all there is. The timers stand still,
which nobody sees, as the core's cycle counter counts here.
"""

from __future__ import annotations

from pipeline.device.emulator.families.family import Family, UartLayout, Window

#: DDI0479, APB UART: DATA; STATE with the two buffers full (bits 0, 1); CTRL with TX and RX enable (bits 0, 1). Sent is
#: at once what is written, so the buffer for sending is never full.
_APB_UART = UartLayout(
    control=0x08,
    enabled=0,
    receives=1 << 1,
    transmits=1 << 0,
    status=0x04,
    idle=0,
    ready_to_send=0,
    ready_to_receive=0,
    received=1 << 1,
    receive=0x00,
    send=0x00,
    bytes=0x1000,
)

FAMILY = Family(windows=(Window(0x40000000, 0x10000, "APB"),), uart=_APB_UART, answers=())
