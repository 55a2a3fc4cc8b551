"""The STM32F7 port's start-up against the rules of its reference manual, on the host.

Each access to a register is recorded; the rules (RM0385: PWR, RCC, FLASH_ACR, USART) are written down here a second
time, with numbers that do not come from the port. An emulated board accepts any order of steps, a real one does not.
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

RCC_CR, RCC_PLLCFGR, RCC_CFGR = 0x40023800, 0x40023804, 0x40023808
RCC_AHB1ENR, RCC_APB1ENR, RCC_DCKCFGR2 = 0x40023830, 0x40023840, 0x40023890
PWR_CR1, PWR_CSR1, FLASH_ACR = 0x40007000, 0x40007004, 0x40023C00
GPIOD, USART3 = 0x40020C00, 0x40004800
HSE_HZ, HSI_HZ = 8_000_000, 16_000_000
AFTER_RESET = {RCC_CR: 0x83, RCC_PLLCFGR: 0x24003010, PWR_CR1: 0xC000}


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
        assert value >> 22 & 1, "the PLL's source is HSE"
        multiplied = HSE_HZ // (value & 0x3F) * (value >> 6 & 0x1FF)
        assert 1_000_000 <= HSE_HZ // (value & 0x3F) <= 2_000_000
        assert 100_000_000 <= multiplied <= 432_000_000
        return multiplied // (2 * ((value >> 16 & 3) + 1))


def _events(folder: Path, *arguments: str, baud: int | None = None) -> list[str]:
    return events("nucleo_f746zg", folder, *arguments, baud=baud)


def _check_write(chip: Chip, address: int, value: int) -> None:
    """The rules that hold when a register is written; ``chip`` is as before."""
    changed = chip.get(address) ^ value
    pll_is_on = bool(chip.get(RCC_CR) & 1 << 24)
    if address == PWR_CR1:
        assert chip.saw(RCC_APB1ENR, 1 << 28), "PWR answers once its clock is on"
        assert not (changed & 3 << 14 and pll_is_on), "the voltage scale changes while the PLL is off"
        if changed & 3 << 16:
            assert chip.get(RCC_CFGR) & 3 == 0, "over-drive is entered on the internal oscillator"
        if changed & 1 << 17:
            assert chip.saw(PWR_CSR1, 1 << 16), "ODRDY before ODSWEN"
    elif address == RCC_CR:
        assert not (changed & 1 << 18 and chip.get(RCC_CR) & 1 << 16), "HSEBYP changes while HSE is off"
        if changed & 1 << 24:
            assert chip.saw(RCC_CR, 1 << 17), "HSERDY before PLLON"
            assert chip.get(PWR_CR1) >> 14 & 3 == 3, "216 MHz need scale 1"
    elif address == RCC_PLLCFGR:
        assert not pll_is_on
        assert (value ^ AFTER_RESET[RCC_PLLCFGR]) & 0xF0BC8000 == 0, "reserved bits stay"
    elif address == FLASH_ACR:
        assert not (value & 1 << 11 and chip.get(FLASH_ACR) & 1 << 9), "ART is reset while it is off"
    elif address == RCC_CFGR and value & 3:
        assert value & 3 == 2, "the PLL is chosen"
        assert changed == 2, "the dividers were set before"
        assert chip.saw(RCC_CR, 1 << 25), "the PLL has locked"
        assert chip.saw(PWR_CSR1, 1 << 16 | 1 << 17 | 1 << 14), "ODRDY, ODSWRDY, VOSRDY"
        assert chip.seen[FLASH_ACR] & 15 == 7, "wait states are in force"
        assert chip.pll_hz == 216_000_000
        assert value >> 4 & 15 == 0, "AHB is not divided"
        assert 216 / 2 ** ((value >> 10 & 7) - 3) <= 54
        assert 216 / 2 ** ((value >> 13 & 7) - 3) <= 108
    elif GPIOD <= address < GPIOD + 0x400:
        assert chip.saw(RCC_AHB1ENR, 1 << 3) or chip.get(RCC_AHB1ENR) & 1 << 3
    elif USART3 <= address < USART3 + 0x400:
        assert chip.get(RCC_APB1ENR) & 1 << 18
        if address - USART3 in (0x08, 0x0C):
            assert not chip.get(USART3) & 1, "BRR and CR3 are written while the USART is off"


def _replay(events: list[str]) -> Chip:
    chip = Chip()
    for event in events:
        what, place, value = event.split()
        if what == "W":
            _check_write(chip, int(place, 16), int(value, 16))
            chip.written[int(place, 16)] = int(value, 16)
        elif what == "R":
            chip.seen[int(place, 16)] = int(value, 16)
    return chip


def _check_uart(chip: Chip, kernel_hz: int, baud: int, tolerance: float) -> None:
    assert chip.get(USART3 + 0x00) == 0b1101, "UE, RE, TE; 8 bits, no parity, 16 samples"
    assert chip.get(USART3 + 0x04) == 0, "1 stop bit"
    assert chip.get(USART3 + 0x08) == 1 << 12, "OVRDIS: an overrun would stop the receiver"
    assert abs(kernel_hz / chip.get(USART3 + 0x0C) / baud - 1) <= tolerance
    assert chip.get(GPIOD + 0x00) >> 16 & 15 == 0b1010, "PD8 and PD9 have their alternate functions"
    assert chip.get(GPIOD + 0x24) & 0xFF == 0x77, "which is USART3"
    assert chip.get(GPIOD + 0x0C) >> 16 & 15 == 0b0100, "PD9 is pulled up"


@pytest.mark.parametrize(("baud", "tolerance"), [(921_600, 0.002), (115_200, 0.0001), (9_600, 0.0001)])
def test_the_steps_to_full_speed_are_in_order(tmp_path: Path, baud: int, tolerance: float) -> None:
    chip = _replay(_events(tmp_path, baud=baud))
    assert chip.get(RCC_CR) & (1 << 16 | 1 << 18) == 1 << 16 | 1 << 18, "the clock comes in from outside"
    assert chip.saw(RCC_CFGR, 2 << 2), "the PLL is the system clock"
    assert chip.get(RCC_DCKCFGR2) >> 4 & 3 == 1, "USART3 is clocked by the system clock"
    _check_uart(chip, 216_000_000, baud, tolerance)


def test_a_dead_clock_is_reported_by_the_internal_oscillator(tmp_path: Path) -> None:
    events = _events(tmp_path, "dead")
    assert f"HALT Clock {RCC_CR:08X}" in events
    chip = _replay(events)
    assert chip.get(RCC_CFGR) & 3 == 0, "still on the internal oscillator"
    assert chip.get(RCC_DCKCFGR2) >> 4 & 3 == 2
    _check_uart(chip, HSI_HZ, 921_600, 0.022)
