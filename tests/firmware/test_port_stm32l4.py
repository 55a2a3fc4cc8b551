"""The STM32L4+ port's start-up against the rules of its reference manual, on the host.

As in ``test_port.py``: the rules (RM0432: PWR, RCC, FLASH_ACR, LPUART) are written down here a second time.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from port_events import events

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler for the host"),
]

RCC_CR, RCC_CFGR, RCC_PLLCFGR = 0x40021000, 0x40021008, 0x4002100C
RCC_AHB2ENR, RCC_APB1ENR1, RCC_APB1ENR2, RCC_CCIPR = 0x4002104C, 0x40021058, 0x4002105C, 0x40021088
PWR_CR1, PWR_CR2, PWR_SR2, PWR_CR5, FLASH_ACR = 0x40007000, 0x40007004, 0x40007014, 0x40007080, 0x40022000
GPIOG, LPUART1 = 0x48001800, 0x40008000
MSI_HZ, HSI_HZ = 4_000_000, 16_000_000
AFTER_RESET = {RCC_CR: 0x63, RCC_PLLCFGR: 0x1000, PWR_CR1: 0x200, PWR_CR5: 0x100, FLASH_ACR: 0x600}
PRESCALERS = (1, 2, 4, 6, 8, 10, 12, 16, 32, 64, 128, 256)


@dataclass
class Chip:
    """What was last written to each register and last read from it."""

    written: dict[int, int] = field(default_factory=lambda: dict(AFTER_RESET))
    seen: dict[int, int] = field(default_factory=dict)

    def get(self, address: int) -> int:
        return self.written.get(address, 0)

    def saw(self, address: int, bits: int) -> bool:
        return self.seen.get(address, 0) & bits == bits

    @property
    def pll_hz(self) -> int:
        value = self.get(RCC_PLLCFGR)
        assert value & 3 == 1, "the PLL's source is MSI"
        assert value >> 24 & 1, "its output R is on"
        into = MSI_HZ // ((value >> 4 & 15) + 1)
        assert 2_660_000 <= into <= 16_000_000
        multiplied = into * (value >> 8 & 0x7F)
        assert 64_000_000 <= multiplied <= 344_000_000
        return multiplied // (2 * ((value >> 25 & 3) + 1))


def _check_write(chip: Chip, address: int, value: int) -> None:
    """The rules that hold when a register is written; ``chip`` is as before."""
    changed = chip.get(address) ^ value
    pll_is_on = bool(chip.get(RCC_CR) & 1 << 24)
    divider = chip.get(RCC_CFGR) >> 4 & 15
    if 0x40007000 <= address < 0x40007400:
        assert chip.get(RCC_APB1ENR1) & 1 << 28, "PWR answers once its clock is on"
    if address == PWR_CR1 and changed & 3 << 9:
        assert chip.get(RCC_CFGR) & 3 == 0, "the range changes at a low speed"
    elif address == PWR_CR5 and changed & 1 << 8:
        assert divider == 8, "boost is entered at half the clock"
        assert chip.get(PWR_CR1) >> 9 & 3 == 1, "in range 1"
        assert not chip.saw(PWR_SR2, 1 << 10) and PWR_SR2 in chip.seen, "and the voltage has settled"
    elif address == RCC_PLLCFGR:
        assert not pll_is_on
        assert value & (0xF << 2 | 1 << 15 | 1 << 18 | 1 << 19 | 1 << 23) == 0, "reserved bits stay"
    elif address == RCC_CR and changed & 1 << 24:
        assert chip.saw(RCC_CR, 1 << 1), "MSIRDY before PLLON"
    elif address == FLASH_ACR:
        assert value >> 8 & 7 == 7, "prefetch and both caches"
    elif address == RCC_CFGR and changed & 3:
        assert value & 3 == 3, "the PLL is chosen"
        assert divider == 8 and changed == 3, "the clock doubles twice: first to half of 120 MHz"
        assert chip.saw(RCC_CR, 1 << 25), "the PLL has locked"
        assert not chip.get(PWR_CR5) & 1 << 8, "boost"
        assert chip.seen[FLASH_ACR] & 15 == 5, "wait states are in force"
        assert chip.pll_hz == 120_000_000
    elif address == RCC_CFGR and changed & 0xF0 and value & 0xF0 == 0:
        assert chip.saw(RCC_CFGR, 3 << 2), "whole speed once the PLL is the system clock"
    elif GPIOG <= address < GPIOG + 0x400:
        assert chip.get(RCC_AHB2ENR) & 1 << 6
        assert chip.get(PWR_CR2) & 1 << 9, "port G has its supply"
    elif LPUART1 <= address < LPUART1 + 0x400:
        assert chip.get(RCC_APB1ENR2) & 1
        if address - LPUART1 in (0x08, 0x0C, 0x2C):
            assert not chip.get(LPUART1) & 1, "BRR, PRESC and CR3 are written while the LPUART is off"


def _replay(lines: list[str]) -> Chip:
    chip = Chip()
    for event in lines:
        what, place, value = event.split()
        if what == "W":
            _check_write(chip, int(place, 16), int(value, 16))
            chip.written[int(place, 16)] = int(value, 16)
        elif what == "R":
            chip.seen[int(place, 16)] = int(value, 16)
    return chip


def _check_uart(chip: Chip, kernel_hz: int, baud: int, tolerance: float) -> None:
    assert chip.get(LPUART1 + 0x00) == 0b1101, "UE, RE, TE; 8 bits, no parity"
    assert chip.get(LPUART1 + 0x04) == 0, "1 stop bit"
    assert chip.get(LPUART1 + 0x08) == 1 << 12, "OVRDIS: an overrun would stop the receiver"
    clock = kernel_hz / PRESCALERS[chip.get(LPUART1 + 0x2C)]
    assert 3 <= clock / baud <= 4096
    assert 0x300 <= chip.get(LPUART1 + 0x0C) <= 0xFFFFF
    assert abs(256 * clock / chip.get(LPUART1 + 0x0C) / baud - 1) <= tolerance
    assert chip.get(GPIOG + 0x00) >> 14 & 15 == 0b1010, "PG7 and PG8 have their alternate functions"
    assert (chip.get(GPIOG + 0x20) >> 28, chip.get(GPIOG + 0x24) & 15) == (8, 8), "which is LPUART1"
    assert chip.get(GPIOG + 0x0C) >> 14 & 15 == 0b0100, "PG8 is pulled up"


@pytest.mark.parametrize(("baud", "tolerance"), [(921_600, 0.0001), (115_200, 0.0001), (9_600, 0.0001)])
def test_the_steps_to_full_speed_are_in_order(tmp_path: Path, baud: int, tolerance: float) -> None:
    chip = _replay(events("nucleo_l4r5zi", tmp_path, baud=baud))
    assert chip.saw(RCC_CFGR, 3 << 2), "the PLL is the system clock"
    assert chip.get(RCC_CFGR) >> 4 & 0x3FF == 0, "and no bus is divided"
    assert chip.get(RCC_CCIPR) >> 10 & 3 == 1, "LPUART1 is clocked by the system clock"
    _check_uart(chip, 120_000_000, baud, tolerance)


def test_a_dead_clock_is_reported_by_the_internal_oscillator(tmp_path: Path) -> None:
    lines = events("nucleo_l4r5zi", tmp_path, "dead")
    assert f"HALT Clock {RCC_CR:08X}" in lines
    chip = _replay(lines)
    assert chip.get(RCC_CFGR) & 3 == 0, "still on the internal oscillator"
    assert chip.get(RCC_CR) & 1 << 8, "HSI16 is on"
    assert chip.get(RCC_CCIPR) >> 10 & 3 == 2, "and LPUART1 is clocked by it"
    _check_uart(chip, HSI_HZ, 921_600, 0.001)
