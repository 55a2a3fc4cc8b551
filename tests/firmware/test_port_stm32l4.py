"""The start-up of the port for STM32L4 and L4+ against the rules of their reference manuals, on the host.

As in ``test_port.py``: the rules (RM0351 and RM0432: PWR, RCC, FLASH_ACR, USART, LPUART) are written down here a second
time.
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

RCC_CR, RCC_CFGR, RCC_PLLCFGR = 0x40021000, 0x40021008, 0x4002100C
RCC_AHB2ENR, RCC_APB1ENR1, RCC_APB1ENR2, RCC_CCIPR = 0x4002104C, 0x40021058, 0x4002105C, 0x40021088
PWR_CR1, PWR_CR2, PWR_SR2, PWR_CR5, FLASH_ACR = 0x40007000, 0x40007004, 0x40007014, 0x40007080, 0x40022000
RCC_APB2ENR = 0x40021060
GPIOB, GPIOG, USART1, LPUART1 = 0x48000400, 0x48001800, 0x40013800, 0x40008000
MSI_HZ, HSI_HZ = 4_000_000, 16_000_000
AFTER_RESET = {RCC_CR: 0x63, RCC_PLLCFGR: 0x1000, PWR_CR1: 0x200, PWR_CR5: 0x100, FLASH_ACR: 0x600}
PRESCALERS = (1, 2, 4, 6, 8, 10, 12, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Kind:
    """What a board has.

    Attributes:
        hz, wait_states: Its clock, and what that asks of the flash.
        boost: Whether it is an L4+, whose clock needs the boost mode.
        pll: Lowest input in Hz, largest multiplier and reserved bits of the PLL.
        uart, enable, select: Its UART, the register and bit of its clock's gate, and where what clocks it is chosen.
        pins, function: Port, transmitter's and receiver's pin, and their alternate function.
    """

    hz: int
    wait_states: int
    boost: bool
    pll: tuple[int, int, int]
    uart: int
    enable: tuple[int, int]
    select: int
    pins: tuple[int, int, int]
    function: int


#: PLLM has four bits in L4+, three in L4; PLLPDIV is reserved in the STM32L475, which has PLLP alone.
BOARDS = {
    "nucleo_l4r5zi": Kind(
        120_000_000,
        5,
        True,
        (2_660_000, 127, 3 << 2 | 1 << 15 | 1 << 18 | 1 << 19 | 1 << 23),
        LPUART1,
        (RCC_APB1ENR2, 0),
        10,
        (GPIOG, 7, 8),
        8,
    ),
    "disco_l475vg_iot01a": Kind(
        80_000_000,
        4,
        False,
        (4_000_000, 86, 3 << 2 | 1 << 7 | 1 << 15 | 1 << 18 | 1 << 19 | 1 << 23 | 0x1F << 27),
        USART1,
        (RCC_APB2ENR, 14),
        0,
        (GPIOB, 6, 7),
        7,
    ),
}


class Chip(Registers):
    """The chip, and what its registers say of it."""

    def __init__(self, board: Kind) -> None:
        super().__init__(AFTER_RESET)
        self.board = board

    def pin(self, number: int) -> tuple[int, int]:
        """Mode and alternate function of a pin of the UART's port."""
        port = self.board.pins[0]
        function = self.get(port + 0x20 + 4 * (number // 8)) >> 4 * (number % 8) & 15
        return self.get(port) >> 2 * number & 3, function

    @property
    def pll_hz(self) -> int:
        value = self.get(RCC_PLLCFGR)
        assert value & 3 == 1, "the PLL's source is MSI"
        assert value >> 24 & 1, "its output R is on"
        least, most, reserved = self.board.pll
        assert value & reserved == 0
        into, factor = MSI_HZ // ((value >> 4 & 15) + 1), value >> 8 & 0x7F
        assert least <= into <= 16_000_000
        assert 8 <= factor <= most
        assert 64_000_000 <= into * factor <= 344_000_000
        return into * factor // (2 * ((value >> 25 & 3) + 1))


def _check_write(chip: Chip, address: int, value: int) -> None:
    """The rules that hold when a register is written; ``chip`` is as before."""
    board = chip.board
    changed = chip.get(address) ^ value
    pll_is_on = bool(chip.get(RCC_CR) & 1 << 24)
    divider = chip.get(RCC_CFGR) >> 4 & 15
    if 0x40007000 <= address < 0x40007400:
        assert chip.get(RCC_APB1ENR1) & 1 << 28, "PWR answers once its clock is on"
    if address == PWR_CR1 and changed & 3 << 9:
        assert chip.get(RCC_CFGR) & 3 == 0, "the range changes at a low speed"
    elif address == PWR_CR5 and changed & 1 << 8:
        assert board.boost, "an L4 has no such register"
        assert divider == 8, "boost is entered at half the clock"
        assert chip.get(PWR_CR1) >> 9 & 3 == 1, "in range 1"
        assert not chip.saw(PWR_SR2, 1 << 10) and PWR_SR2 in chip.seen, "and the voltage has settled"
    elif address == RCC_PLLCFGR:
        assert not pll_is_on
    elif address == RCC_CR and changed & 1 << 24:
        assert chip.saw(RCC_CR, 1 << 1), "MSIRDY before PLLON"
    elif address == FLASH_ACR:
        assert value >> 8 & 7 == 7, "prefetch and both caches"
    elif address == RCC_CFGR and changed & 3:
        assert value & 3 == 3, "the PLL is chosen"
        assert changed == 3
        assert divider == (8 if board.boost else 0), "with boost the clock doubles twice: first to half of 120 MHz"
        assert chip.saw(RCC_CR, 1 << 25), "the PLL has locked"
        assert chip.get(PWR_CR1) >> 9 & 3 == 1, "range 1"
        assert board.boost == (not chip.get(PWR_CR5) & 1 << 8), "boost"
        assert chip.seen[FLASH_ACR] & 15 == board.wait_states, "wait states are in force"
        assert chip.pll_hz == board.hz
    elif address == RCC_CFGR and changed & 0xF0 and value & 0xF0 == 0:
        assert chip.saw(RCC_CFGR, 3 << 2), "whole speed once the PLL is the system clock"
    elif 0x48000000 <= address < 0x48002000:
        assert chip.get(RCC_AHB2ENR) >> (address - 0x48000000) // 0x400 & 1, "its port has a clock"
        assert not GPIOG <= address < GPIOG + 0x400 or chip.get(PWR_CR2) & 1 << 9, "port G has its supply"
    elif board.uart <= address < board.uart + 0x400:
        register, bit = board.enable
        assert chip.get(register) >> bit & 1
        if address - board.uart in (0x08, 0x0C, 0x2C):
            assert not chip.get(board.uart) & 1, "BRR, PRESC and CR3 are written while the UART is off"


def _replay(name: str, lines: list[str]) -> Chip:
    return Chip(BOARDS[name]).replay(lines, _check_write)


def _made(chip: Chip, kernel_hz: int) -> float:
    """The rate that comes out."""
    uart, divider = chip.board.uart, chip.get(chip.board.uart + 0x0C)
    if uart != LPUART1:
        assert 16 <= divider <= 0xFFFF and uart + 0x2C not in chip.written, "a USART of L4 has no prescaler"
        return kernel_hz / divider
    clock = kernel_hz / PRESCALERS[chip.get(uart + 0x2C)]
    assert 0x300 <= divider <= 0xFFFFF
    assert 3 <= clock / (256 * clock / divider) <= 4096
    return 256 * clock / divider


def _check_uart(chip: Chip, kernel_hz: int, baud: int, tolerance: float) -> None:
    uart, (port, transmits, receives) = chip.board.uart, chip.board.pins
    assert chip.get(uart + 0x00) == 0b1101, "UE, RE, TE; 8 bits, no parity"
    assert chip.get(uart + 0x04) == 0, "1 stop bit"
    assert chip.get(uart + 0x08) == 1 << 12, "OVRDIS: an overrun would stop the receiver"
    assert abs(_made(chip, kernel_hz) / baud - 1) <= tolerance
    assert chip.pin(transmits) == chip.pin(receives) == (2, chip.board.function), "both pins are the UART's"
    assert chip.get(port + 0x0C) >> 2 * receives & 3 == 1, "the receiver is pulled up"


@pytest.mark.parametrize(
    ("name", "baud", "tolerance"),
    [
        ("nucleo_l4r5zi", 921_600, 0.0001),
        ("nucleo_l4r5zi", 115_200, 0.0001),
        ("nucleo_l4r5zi", 9_600, 0.0001),
        ("disco_l475vg_iot01a", 921_600, 0.003),
    ],
)
def test_the_steps_to_full_speed_are_in_order(tmp_path: Path, name: str, baud: int, tolerance: float) -> None:
    chip = _replay(name, events(name, tmp_path, baud=baud))
    assert chip.saw(RCC_CFGR, 3 << 2), "the PLL is the system clock"
    assert chip.get(RCC_CFGR) >> 4 & 0x3FF == 0, "and no bus is divided"
    assert chip.get(RCC_CCIPR) >> chip.board.select & 3 == 1, "the system clock clocks the UART"
    _check_uart(chip, chip.board.hz, baud, tolerance)


@pytest.mark.parametrize("name", BOARDS)
def test_a_dead_clock_is_reported_by_the_internal_oscillator(tmp_path: Path, name: str) -> None:
    lines = events(name, tmp_path, "dead")
    assert f"HALT Clock {RCC_CR:08X}" in lines
    chip = _replay(name, lines)
    assert chip.get(RCC_CFGR) & 3 == 0, "still on the internal oscillator"
    assert chip.get(RCC_CR) & 1 << 8, "HSI16 is on"
    assert chip.get(RCC_CCIPR) >> chip.board.select & 3 == 2, "and clocks the UART"
    _check_uart(chip, HSI_HZ, 921_600, 0.022 if chip.board.uart == USART1 else 0.001)
