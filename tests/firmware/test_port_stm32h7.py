"""The STM32H7 port's start-up against the rules of its reference manual, on the host.

As in ``test_port.py``: the rules (RM0433: PWR, RCC, FLASH_ACR, USART; ES0392) are written down here a second time.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from port_events import Registers, events

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler for the host"),
]

RCC_CR, RCC_CFGR, RCC_D1CFGR, RCC_D2CFGR, RCC_D3CFGR = 0x58024400, 0x58024410, 0x58024418, 0x5802441C, 0x58024420
RCC_PLLCKSELR, RCC_PLLCFGR, RCC_PLL1DIVR = 0x58024428, 0x5802442C, 0x58024430
RCC_D2CCIP2R, RCC_AHB2ENR, RCC_AHB4ENR, RCC_APB1LENR = 0x58024454, 0x580244DC, 0x580244E0, 0x580244E8
PWR_CSR1, PWR_CR3, PWR_D3CR, FLASH_ACR = 0x58024804, 0x5802480C, 0x58024818, 0x52002000
AXI_TARG7_FN_MOD, GPIOD, USART3 = 0x51008108, 0x58020C00, 0x40004800
HSE_HZ, HSI_HZ = 8_000_000, 64_000_000
AFTER_RESET = {
    RCC_CR: 0x25,
    RCC_PLLCKSELR: 0x02020200,
    RCC_PLLCFGR: 0x01FF0000,
    RCC_PLL1DIVR: 0x01010280,
    PWR_CR3: 0x6,
    PWR_D3CR: 0x4000,
    FLASH_ACR: 0x37,
}


class Chip(Registers):
    """The chip, and what its registers say of it."""

    def __init__(self) -> None:
        super().__init__(AFTER_RESET)

    @property
    def pll_hz(self) -> int:
        choice, dividers = self.get(RCC_PLLCKSELR), self.get(RCC_PLL1DIVR)
        assert choice & 3 == 2, "the PLL's source is HSE"
        into = HSE_HZ / (choice >> 4 & 63)
        assert into == 2_000_000 and self.get(RCC_PLLCFGR) >> 2 & 3 == 1, "RGE says 2 to 4 MHz"
        assert not self.get(RCC_PLLCFGR) & 3, "the wide oscillator, no fraction"
        assert self.get(RCC_PLLCFGR) >> 16 & 7 == 1, "P alone is on"
        multiplied = into * ((dividers & 0x1FF) + 1)
        assert 192e6 <= multiplied <= 836e6
        by = (dividers >> 9 & 0x7F) + 1
        assert by % 2 == 0, "P divides by an even number"
        return int(multiplied / by)


def _check_write(chip: Chip, address: int, value: int) -> None:
    """The rules that hold when a register is written; ``chip`` is as before."""
    changed = chip.get(address) ^ value
    if address == PWR_D3CR:
        assert chip.saw(PWR_CSR1, 1 << 13), "ACTVOSRDY before VOS"
        assert chip.get(RCC_CFGR) & 7 == 0, "at a low speed"
    elif address == RCC_CR:
        assert not (changed & 1 << 18 and chip.get(RCC_CR) & 1 << 16), "HSEBYP changes while HSE is off"
        if changed & 1 << 24:
            assert chip.saw(RCC_CR, 1 << 17), "HSERDY before PLL1ON"
            assert chip.saw(PWR_D3CR, 3 << 14 | 1 << 13), "scale 1, VOSRDY"
        assert not changed & ~(1 << 16 | 1 << 18 | 1 << 24 | 1 << 17 | 1 << 25), (
            "nothing else, but for what is only read"
        )
    elif address in (RCC_PLLCKSELR, RCC_PLLCFGR, RCC_PLL1DIVR):
        assert not chip.get(RCC_CR) & 1 << 24, "PLL1 is off"
        own = {RCC_PLLCKSELR: 0x3F3, RCC_PLLCFGR: 0x7000F, RCC_PLL1DIVR: 0xFFFF}[address]
        assert not changed & ~own, "what is not PLL1's, or of Q and R, stays"
    elif address == RCC_CFGR and value & 7:
        assert changed == 3, "PLL1 is chosen"
        assert chip.saw(RCC_CR, 1 << 25), "the PLL has locked"
        assert chip.seen[FLASH_ACR] & 0x3F == 0x22, "two wait states, and the programming delay, are in force"
        assert chip.pll_hz == 400_000_000
        one, two, three = (chip.get(register) for register in (RCC_D1CFGR, RCC_D2CFGR, RCC_D3CFGR))
        assert one >> 8 & 15 == 0 and one & 15 == 8, "the core's clock is not divided, AXI's is by 2: 200 MHz"
        assert {one >> 4 & 7, two >> 4 & 7, two >> 8 & 7, three >> 4 & 7} == {4}, "APBs at half of that: 100 MHz"
    elif GPIOD <= address < GPIOD + 0x400:
        assert chip.get(RCC_AHB4ENR) & 1 << 3
    elif USART3 <= address < USART3 + 0x400:
        assert chip.get(RCC_APB1LENR) & 1 << 18
        if address - USART3 in (0x08, 0x0C):
            assert not chip.get(USART3) & 1, "BRR and CR3 are written while the USART is off"


def _replay(lines: list[str]) -> Chip:
    return Chip().replay(lines, _check_write)


def _check_uart(chip: Chip, kernel_hz: int, baud: int, tolerance: float) -> None:
    assert chip.get(USART3 + 0x00) == 0b1101, "UE, RE, TE; 8 bits, no parity, 16 samples"
    assert chip.get(USART3 + 0x04) == 0, "1 stop bit"
    assert chip.get(USART3 + 0x08) == 1 << 12, "OVRDIS: an overrun would stop the receiver"
    assert abs(kernel_hz / chip.get(USART3 + 0x0C) / baud - 1) <= tolerance
    assert chip.get(GPIOD + 0x00) >> 16 & 15 == 0b1010, "PD8 and PD9 have their alternate functions"
    assert chip.get(GPIOD + 0x24) & 0xFF == 0x77, "which is USART3"
    assert chip.get(GPIOD + 0x0C) >> 16 & 15 == 0b0100, "PD9 is pulled up"


@pytest.mark.parametrize(("baud", "tolerance"), [(921_600, 0.005), (115_200, 0.0001)])
def test_the_steps_to_full_speed_are_in_order(tmp_path: Path, baud: int, tolerance: float) -> None:
    chip = _replay(events("nucleo_h743zi", tmp_path, baud=baud))
    assert chip.get(RCC_CR) & (1 << 16 | 1 << 18) == 1 << 16 | 1 << 18, "the clock comes in from outside"
    assert chip.saw(RCC_CFGR, 3 << 3), "PLL1 is the system clock"
    assert chip.get(RCC_D2CCIP2R) & 7 == 0, "USART3 is clocked by APB1"
    _check_uart(chip, 100_000_000, baud, tolerance)
    assert PWR_CR3 not in {address for address in chip.written if chip.written[address] != AFTER_RESET.get(address)}


@pytest.mark.parametrize(("revision", "slow"), [("1003", True), ("2003", False)])
def test_memories_for_arenas_are_ready_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str, slow: bool
) -> None:
    monkeypatch.setenv("HARNESS_REVISION", revision)
    lines = events("nucleo_h743zi", tmp_path)
    assert (f"W {AXI_TARG7_FN_MOD:08X} 00000001" in lines) == slow, "AXI SRAM's erratum, up to revision Y"
    enabled = f"W {RCC_AHB2ENR:08X} E0000000"
    assert enabled in lines and lines[lines.index(enabled) + 1].startswith(f"R {RCC_AHB2ENR:08X}")
    assert lines.index(enabled) < next(at for at, line in enumerate(lines) if line.startswith(f"W {PWR_D3CR:08X}"))


def test_a_dead_clock_is_reported_by_the_internal_oscillator(tmp_path: Path) -> None:
    lines = events("nucleo_h743zi", tmp_path, "dead")
    assert f"HALT Clock {RCC_CR:08X}" in lines
    chip = _replay(lines)
    assert chip.get(RCC_CFGR) & 7 == 0, "still on the internal oscillator"
    assert chip.get(RCC_D2CCIP2R) & 7 == 3
    _check_uart(chip, HSI_HZ, 921_600, 0.007)


@pytest.mark.skipif(shutil.which("arm-none-eabi-g++") is None, reason="needs arm-none-eabi-gcc")
def test_the_supply_is_chosen_before_ram_is_written(tmp_path: Path) -> None:
    """The first instructions: one store, to the supply's register, and no more to come before its voltage is there."""
    events("nucleo_h743zi", tmp_path)
    port, made = tmp_path / "rendered" / "lib" / "port", tmp_path / "port.o"
    flags = ["-std=gnu++17", "-Os", "-mcpu=cortex-m7", "-mthumb", "-ffunction-sections", f"-I{port}"]
    source = port / "stm32h7" / "port.cpp"
    subprocess.run(["arm-none-eabi-g++", *flags, "-c", str(source), "-o", str(made)], check=True)
    listing = subprocess.run(
        ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", "-j.text.danas_before_ram", str(made)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    code = re.findall(r"^\s+[0-9a-f]+:\s+(\S+)\s*(.*?)\s*(?:[;@].*)?$", listing, re.MULTILINE)
    names = [name.partition(".")[0] for name, _ in code]
    assert code[:2] == [("movw", "r0, #18432"), ("movt", "r0, #22530")], "0x58024800: PWR"
    assert [arguments for name, arguments in code if name.startswith(("st", "push", "vst"))] == ["r1, [r0, #12]"]
    assert set(names) == {"movw", "movt", "ldr", "bic", "orr", "str", "mov", "tst", "bne", "subs", "b"}
    assert names[-1] == "b" and ("tst", "r1, #8192") in [(name.partition(".")[0], what) for name, what in code]
    assert "kBeforeRam = true;" in (port / "board.h").read_text()
