"""The STM32F446 port's start-up against the rules of its reference manual, on the host, and its kind of USART.

As in ``test_port.py``: the rules (RM0390: PWR, RCC, FLASH_ACR, USART) are written down here a second time.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from port_events import Registers, events

from pipeline import resources

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler for the host"),
]

RCC_CR, RCC_PLLCFGR, RCC_CFGR = 0x40023800, 0x40023804, 0x40023808
RCC_AHB1ENR, RCC_APB1ENR = 0x40023830, 0x40023840
PWR_CR, PWR_CSR, FLASH_ACR = 0x40007000, 0x40007004, 0x40023C00
GPIOA, USART2 = 0x40020000, 0x40004400
HSE_HZ, HSI_HZ = 8_000_000, 16_000_000
AFTER_RESET = {RCC_CR: 0x83, RCC_PLLCFGR: 0x24003010, PWR_CR: 0xC000}


class Chip(Registers):
    """The chip, and what its registers say of it."""

    def __init__(self) -> None:
        super().__init__(AFTER_RESET)

    @property
    def pll_hz(self) -> int:
        value = self.get(RCC_PLLCFGR)
        assert value >> 22 & 1, "the PLL's source is HSE"
        into, factor = HSE_HZ // (value & 0x3F), value >> 6 & 0x1FF
        assert 1_000_000 <= into <= 2_000_000
        assert 50 <= factor <= 432
        assert 100_000_000 <= into * factor <= 432_000_000
        assert into * factor / (value >> 24 & 15) <= 48_000_000, "output Q"
        assert value >> 28 & 7 >= 2, "output R"
        return into * factor // (2 * ((value >> 16 & 3) + 1))

    @property
    def apb1_hz(self) -> int:
        """What clocks the USART: the bus, and nothing else can."""
        value = self.get(RCC_CFGR)
        assert value >> 4 & 15 == 0, "AHB is not divided"
        divider = value >> 10 & 7
        return (self.pll_hz if value & 3 == 2 else HSI_HZ) >> (divider - 3 if divider & 4 else 0)


def _check_write(chip: Chip, address: int, value: int) -> None:
    """The rules that hold when a register is written; ``chip`` is as before."""
    changed = chip.get(address) ^ value
    pll_is_on = bool(chip.get(RCC_CR) & 1 << 24)
    if address == PWR_CR:
        assert chip.saw(RCC_APB1ENR, 1 << 28), "PWR answers once its clock is on"
        assert not (changed & 3 << 14 and pll_is_on), "the voltage scale changes while the PLL is off"
        if changed & 3 << 16:
            assert chip.get(RCC_CFGR) & 3 == 0, "over-drive is entered on the internal oscillator"
        if changed & 1 << 17:
            assert chip.saw(PWR_CSR, 1 << 16), "ODRDY before ODSWEN"
    elif address == RCC_CR:
        assert value & 1, "the internal oscillator stays on"
        assert not (changed & 1 << 18 and chip.get(RCC_CR) & 1 << 16), "HSEBYP changes while HSE is off"
        if changed & 1 << 24:
            assert chip.saw(RCC_CR, 1 << 17), "HSERDY before PLLON"
            assert chip.get(PWR_CR) >> 14 & 3 == 3, "180 MHz need scale 1"
    elif address == RCC_PLLCFGR:
        assert not pll_is_on
        assert (value ^ AFTER_RESET[RCC_PLLCFGR]) & 0x80BC8000 == 0, "reserved bits stay"
    elif address == FLASH_ACR:
        on = chip.get(FLASH_ACR) >> 9 & 3
        assert not value >> 11 & 3 & on, "a cache is reset while it is off"
    elif address == RCC_CFGR and value & 3:
        assert value & 3 == 2, "the PLL is chosen"
        assert changed == 2, "the dividers were set before"
        assert chip.saw(RCC_CR, 1 << 25), "the PLL has locked"
        assert chip.saw(PWR_CSR, 1 << 16 | 1 << 17 | 1 << 14), "ODRDY, ODSWRDY, VOSRDY"
        assert chip.seen[FLASH_ACR] & 15 == 5, "wait states are in force"
        assert chip.get(FLASH_ACR) >> 8 & 7 == 7, "prefetch and both caches"
        assert chip.pll_hz == 180_000_000
        assert 180 / 2 ** ((value >> 10 & 7) - 3) <= 45
        assert 180 / 2 ** ((value >> 13 & 7) - 3) <= 90
    elif address == RCC_CFGR and changed & 0xFCF0 and not value & 0xFCF0:
        assert chip.get(RCC_CFGR) & 3 == 0 and not chip.saw(RCC_CFGR, 2 << 2), "no divider goes while the PLL runs it"
    elif GPIOA <= address < GPIOA + 0x400:
        assert chip.get(RCC_AHB1ENR) & 1
    elif USART2 <= address < USART2 + 0x400:
        assert chip.get(RCC_APB1ENR) & 1 << 17
        if address - USART2 == 0x08:
            assert not chip.get(USART2 + 0x0C) & 1 << 13, "BRR is written while the USART is off"


def _replay(lines: list[str]) -> Chip:
    return Chip().replay(lines, _check_write)


def _check_uart(chip: Chip, baud: int, tolerance: float) -> None:
    assert chip.get(USART2 + 0x0C) == 1 << 13 | 0b1100, "UE, RE, TE; 8 bits, no parity, 16 samples"
    assert chip.get(USART2 + 0x10) == 0, "1 stop bit"
    assert chip.get(USART2 + 0x08) >= 16
    assert abs(chip.apb1_hz / chip.get(USART2 + 0x08) / baud - 1) <= tolerance
    assert chip.get(GPIOA + 0x00) >> 4 & 15 == 0b1010, "PA2 and PA3 have their alternate functions"
    assert chip.get(GPIOA + 0x20) >> 8 & 0xFF == 0x77, "which is USART2"
    assert chip.get(GPIOA + 0x0C) >> 4 & 15 == 0b0100, "PA3 is pulled up"


@pytest.mark.parametrize(("baud", "tolerance"), [(921_600, 0.004), (9_600, 0.0002)])
def test_the_steps_to_full_speed_are_in_order(tmp_path: Path, baud: int, tolerance: float) -> None:
    chip = _replay(events("nucleo_f446re", tmp_path, baud=baud))
    assert chip.get(RCC_CR) & (1 << 16 | 1 << 18) == 1 << 16 | 1 << 18, "the clock comes in from outside"
    assert chip.saw(RCC_CFGR, 2 << 2), "the PLL is the system clock"
    assert chip.apb1_hz == 45_000_000
    _check_uart(chip, baud, tolerance)


@pytest.mark.parametrize(("fault", "register"), [("dead", RCC_CR), ("stuck", RCC_CFGR)])
def test_a_clock_that_fails_is_reported_by_the_internal_oscillator(tmp_path: Path, fault: str, register: int) -> None:
    """The bus has its divider by then, with which the rate could not be made."""
    lines = events("nucleo_f446re", tmp_path, fault)
    assert f"HALT Clock {register:08X}" in lines
    chip = _replay(lines)
    assert chip.apb1_hz == HSI_HZ
    _check_uart(chip, 921_600, 0.022)


def test_the_usart_goes_on_after_an_overrun(tmp_path: Path) -> None:
    here, port = Path(__file__).parent, resources.firmware_templates() / "port"
    (tmp_path / "cortex_m").mkdir()
    shutil.copy(here / "port_harness.h", tmp_path / "cortex_m" / "registers.h")
    command = ["g++", "-std=gnu++17", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}", f"-I{port}"]
    command.append(f'-DHARNESS_REGISTERS="{port / "cortex_m" / "registers.h"}"')
    subprocess.run([*command, str(here / "usart_v1_harness.cpp"), "-o", str(tmp_path / "usart")], check=True)
    done = subprocess.run([str(tmp_path / "usart")], capture_output=True, text=True, check=True, timeout=30)
    # What came, with the bytes that were lost in between, and what a program that polls has got of it.
    assert done.stdout.split() == ["none", "a", "none", "c", "none", "none", "e", "none", "sent:x"]
