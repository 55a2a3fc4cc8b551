"""The STM32F7 port's start-up against the rules of its reference manual, on the host.

Each access to a register is recorded; the rules (RM0385: PWR, RCC, FLASH_ACR, USART) are written down here a second
time, with numbers that do not come from the port. An emulated board accepts any order of steps, a real one does not.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from port_events import Registers, events

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler for the host"),
]

RCC_CR, RCC_PLLCFGR, RCC_CFGR = 0x40023800, 0x40023804, 0x40023808
RCC_AHB1ENR, RCC_APB1ENR, RCC_APB2ENR, RCC_DCKCFGR2 = 0x40023830, 0x40023840, 0x40023844, 0x40023890
PWR_CR1, PWR_CSR1, FLASH_ACR = 0x40007000, 0x40007004, 0x40023C00
GPIOA, GPIOB, GPIOD, USART1, USART3 = 0x40020000, 0x40020400, 0x40020C00, 0x40011000, 0x40004800
HSI_HZ = 16_000_000
AFTER_RESET = {RCC_CR: 0x83, RCC_PLLCFGR: 0x24003010, PWR_CR1: 0xC000}


@dataclass(frozen=True)
class Wiring:
    """What a board has.

    Attributes:
        hse_hz, bypass: Its clock, and whether that is a signal instead of a crystal.
        uart, enable, select: Its UART, the register and bit of its clock's gate, and where what clocks it is chosen.
        transmits, receives: Port and pin.
    """

    hse_hz: int
    bypass: bool
    uart: int
    enable: tuple[int, int]
    select: int
    transmits: tuple[int, int]
    receives: tuple[int, int]


BOARDS = {
    "nucleo_f746zg": Wiring(8_000_000, True, USART3, (RCC_APB1ENR, 18), 4, (GPIOD, 8), (GPIOD, 9)),
    "disco_f746ng": Wiring(25_000_000, False, USART1, (RCC_APB2ENR, 4), 0, (GPIOA, 9), (GPIOB, 7)),
}


class Chip(Registers):
    """The chip, and what its registers say of it."""

    def __init__(self, board: Wiring) -> None:
        super().__init__(AFTER_RESET)
        self.board = board

    def function(self, port: int, pin: int) -> int | None:
        """The alternate function that a pin has; None where it has none."""
        if self.get(port) >> 2 * pin & 3 != 2:
            return None
        return self.get(port + 0x20 + 4 * (pin // 8)) >> 4 * (pin % 8) & 15

    @property
    def pll_hz(self) -> int:
        value, hse_hz = self.get(RCC_PLLCFGR), self.board.hse_hz
        assert value >> 22 & 1, "the PLL's source is HSE"
        multiplied = hse_hz // (value & 0x3F) * (value >> 6 & 0x1FF)
        assert 1_000_000 <= hse_hz // (value & 0x3F) <= 2_000_000
        assert 100_000_000 <= multiplied <= 432_000_000
        return multiplied // (2 * ((value >> 16 & 3) + 1))


def _check_write(chip: Chip, address: int, value: int) -> None:
    """The rules that hold when a register is written; ``chip`` is as before."""
    changed = chip.get(address) ^ value
    pll_is_on = bool(chip.get(RCC_CR) & 1 << 24)
    uart = chip.board.uart
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
    elif GPIOA <= address < GPIOD + 0x400:
        assert chip.get(RCC_AHB1ENR) >> (address - GPIOA) // 0x400 & 1, "its port has a clock"
    elif uart <= address < uart + 0x400:
        register, bit = chip.board.enable
        assert chip.get(register) >> bit & 1
        if address - uart in (0x08, 0x0C):
            assert not chip.get(uart) & 1, "BRR and CR3 are written while the USART is off"


def _replay(name: str, lines: list[str]) -> Chip:
    return Chip(BOARDS[name]).replay(lines, _check_write)


def _check_uart(chip: Chip, kernel_hz: int, baud: int, tolerance: float) -> None:
    uart, (port, pin) = chip.board.uart, chip.board.receives
    assert chip.get(uart + 0x00) == 0b1101, "UE, RE, TE; 8 bits, no parity, 16 samples"
    assert chip.get(uart + 0x04) == 0, "1 stop bit"
    assert chip.get(uart + 0x08) == 1 << 12, "OVRDIS: an overrun would stop the receiver"
    assert abs(kernel_hz / chip.get(uart + 0x0C) / baud - 1) <= tolerance
    assert chip.function(*chip.board.transmits) == chip.function(port, pin) == 7, "both pins are the USART's"
    assert chip.get(port + 0x0C) >> 2 * pin & 3 == 1, "the receiver is pulled up"


@pytest.mark.parametrize(
    ("name", "baud", "tolerance"),
    [
        ("nucleo_f746zg", 921_600, 0.002),
        ("nucleo_f746zg", 115_200, 0.0001),
        ("nucleo_f746zg", 9_600, 0.0001),
        ("disco_f746ng", 921_600, 0.002),
    ],
)
def test_the_steps_to_full_speed_are_in_order(tmp_path: Path, name: str, baud: int, tolerance: float) -> None:
    chip = _replay(name, events(name, tmp_path, baud=baud))
    bypass = 1 << 18 if chip.board.bypass else 0
    assert chip.get(RCC_CR) & (1 << 16 | 1 << 18) == 1 << 16 | bypass, "the clock comes in, or is made of a crystal"
    assert chip.saw(RCC_CFGR, 2 << 2), "the PLL is the system clock"
    assert chip.get(RCC_DCKCFGR2) >> chip.board.select & 3 == 1, "the system clock clocks the USART"
    _check_uart(chip, 216_000_000, baud, tolerance)


@pytest.mark.parametrize(
    ("name", "fault", "register"),
    [
        ("nucleo_f746zg", "dead", RCC_CR),
        ("nucleo_f746zg", "stuck", RCC_CFGR),
        ("disco_f746ng", "dead", RCC_CR),
    ],
)
def test_a_clock_that_fails_is_reported_by_the_internal_oscillator(
    tmp_path: Path, name: str, fault: str, register: int
) -> None:
    lines = events(name, tmp_path, fault)
    assert f"HALT Clock {register:08X}" in lines
    chip = _replay(name, lines)
    assert chip.seen.get(RCC_CFGR, 0) & 3 << 2 == 0, "still on the internal oscillator"
    assert chip.get(RCC_DCKCFGR2) >> chip.board.select & 3 == 2
    _check_uart(chip, HSI_HZ, 921_600, 0.022)
