"""The registers of an STM32 as far as start-up code, a polled UART and a cycle counter need them.

Most registers only remember what was written. The board file says which bits a write makes the hardware answer with
(oscillators, PLL, over-drive). The core's registers are those of the Armv7-M Architecture Reference Manual (ARM
DDI 0403) and the Cortex-M7 Technical Reference Manual (ARM DDI 0489); the UART is RM0385's USART.
Nothing here knows the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from pipeline.boards import Board, Emulator
from pipeline.device.emulator.counting import RX_CAPACITY, TX_FLUSH, State
from pipeline.device.emulator.terminal import Terminal

DWT_CTRL = 0xE0001000
DWT_CYCCNT = 0xE0001004
DWT_LAR = 0xE0001FB0
DWT_UNLOCK = 0xC5ACCE55
DEMCR = 0xE000EDFC
CSSELR = 0xE000ED84
CCSIDR = 0xE000ED80

USART_CR1, USART_RQR, USART_ISR, USART_RDR, USART_TDR = 0x00, 0x18, 0x1C, 0x24, 0x28
USART_BYTES = 0x400
_UE, _RE, _TE = 1 << 0, 1 << 2, 1 << 3
_RXNE, _TC, _TXE, _TEACK, _REACK = 1 << 5, 1 << 6, 1 << 7, 1 << 21, 1 << 22

# Values after reset, and of registers that never change (DDI 0489, register summaries); caches of 4 kB each as in the
# STM32F746 (DS10916), whose core is an r0p1.
_CORE_RESET = {
    "cortex-m7": {
        0xE000ED00: 0x410FC271,  # CPUID, r0p1
        0xE000ED14: 0x00040200,  # CCR
        0xE000ED78: 0x09000003,  # CLIDR
        0xE000ED7C: 0x8303C003,  # CTR
        0xE000EF40: 0x10110021,  # MVFR0
        0xE000EF44: 0x11000011,  # MVFR1
        0xE000EF48: 0x00000040,  # MVFR2
    },
    "cortex-m4": {
        0xE000ED00: 0x410FC241,  # CPUID, r0p1
        0xE000ED14: 0x00000200,  # CCR
        0xE000EF40: 0x10110021,  # MVFR0
        0xE000EF44: 0x11000011,  # MVFR1
    },
}
_CCSIDR_DATA = 0xF003E019  # 4 ways of 32 sets of 32 bytes
_CCSIDR_INSTRUCTION = 0xF007E009  # 2 ways of 64 sets of 32 bytes

_SENDING_POLLS = 2  # of the UART after a byte was sent: the program asks whether it may send on
_EMPTY_POLLS = 32  # before the emulator sleeps
_IDLE_WAIT_S = 0.02  # longest sleep; a byte from the host ends it at once


@dataclass(frozen=True)
class _Ready:
    register: int
    when: int
    then: int


class Peripherals:
    """All the memory-mapped registers of a board.

    The cycle counter reads instructions executed plus the time that the board spent waiting for the host, at the
    board's clock: an inference is counted by instructions alone, and a time-out on the counter still comes about when
    the host has gone.
    """

    def __init__(self, board: Board, emulator: Emulator, state: State, terminal: Terminal) -> None:
        self._state = state
        self._terminal = terminal
        self._clock_hz = board.core.clock_hz
        self._has_lock = emulator.cpu == "cortex-m7"
        self._uart = board.serial.base
        self._words = dict(_CORE_RESET[emulator.cpu])
        self._ready: dict[int, list[_Ready]] = {}
        for bit in emulator.ready:
            target = bit.register_ if bit.then_register is None else bit.then_register
            self._ready.setdefault(target, []).append(_Ready(bit.register_, bit.when, bit.then))
        self._locked = self._has_lock
        self._running = False
        self._held = 0  # what the counter reads while it stands still
        self._origin = 0
        self._empty_polls = 0
        self._tx_seen = 0
        self.idle_seconds = 0.0

    def read(self, address: int, size: int) -> int:
        """Value of the ``size`` bytes (1, 2 or 4) at ``address``."""
        word = self._read_word(address & ~3, address & 3)
        return (word >> (8 * (address & 3))) & ((1 << (8 * size)) - 1)

    def write(self, address: int, size: int, value: int) -> None:
        """Write ``size`` bytes (1, 2 or 4) at ``address``."""
        word = address & ~3
        shift = 8 * (address & 3)
        mask = ((1 << (8 * size)) - 1) << shift
        merged = (self._words.get(word, 0) & ~mask) | ((value << shift) & mask)
        if self._uart <= word < self._uart + USART_BYTES:
            self._write_uart(word - self._uart, merged)
        elif DWT_CTRL <= word < DWT_CTRL + 0x1000:
            self._write_dwt(word, merged)
        elif word == DEMCR:
            self._words[word] = merged
            self._update_counter()
        elif word in (0xE000ED00, 0xE000ED78, 0xE000ED7C):
            pass  # read-only
        else:
            self._words[word] = merged

    def flush(self) -> None:
        """Send what the UART has taken."""
        data = self._state.tx_take()
        if data:
            self._terminal.write(data)

    def _read_word(self, word: int, byte: int) -> int:
        if self._uart <= word < self._uart + USART_BYTES:
            return self._read_uart(word - self._uart, byte)
        if word == DWT_CYCCNT:
            return self._cycles()
        if word == CCSIDR and self._has_lock:
            return _CCSIDR_INSTRUCTION if self._words.get(CSSELR, 0) & 1 else _CCSIDR_DATA
        value = self._words.get(word, 0)
        for bit in self._ready.get(word, ()):
            if self._words.get(bit.register, 0) & bit.when == bit.when:
                value |= bit.then
        return value

    # The cycle counter (ARM DDI 0403, C1.8). On a Cortex-M7 its registers are locked until DWT_LAR is written.

    def _now(self) -> int:
        return self._state.instructions + self._state.idle_cycles

    def _cycles(self) -> int:
        return (self._now() - self._origin if self._running else self._held) & 0xFFFFFFFF

    def _write_dwt(self, word: int, value: int) -> None:
        if word == DWT_LAR:
            self._locked = self._has_lock and value != DWT_UNLOCK
        elif self._locked:
            pass
        elif word == DWT_CYCCNT:
            self._held = value
            self._origin = self._now() - value
            self._publish()
        else:
            self._words[word] = value
            self._update_counter()

    def _update_counter(self) -> None:
        running = bool(self._words.get(DWT_CTRL, 0) & 1 and self._words.get(DEMCR, 0) & (1 << 24))
        if running and not self._running:
            self._origin = self._now() - self._held
        elif self._running and not running:
            self._held = self._cycles()
        self._running = running
        self._publish()

    def _publish(self) -> None:
        self._state.set_cycle_origin(self._origin if self._running else None)

    # The UART.

    def _read_uart(self, offset: int, byte: int) -> int:
        if offset == USART_ISR:
            return self._status()
        if offset == USART_RDR:
            # One read takes one byte; the upper bytes of the register are not data.
            return self._state.rx_take() if byte == 0 else 0
        return self._words.get(self._uart + offset, 0)

    def _status(self) -> int:
        status = self._status_while_waiting()
        if status & _RXNE and not self._received():
            status &= ~_RXNE
        return status

    def _status_while_waiting(self) -> int:
        """The status register if a received byte waits."""
        control = self._words.get(self._uart + USART_CR1, 0)
        if not control & _UE:
            return _TC | _TXE
        transmit = _TEACK if control & _TE else 0
        receive = _REACK | _RXNE if control & _RE else 0
        return _TC | _TXE | transmit | receive

    def _received(self) -> bool:
        if self._state.rx_pending():
            return True
        if self._state.tx_total != self._tx_seen:
            self._tx_seen = self._state.tx_total
            self._empty_polls = 0
        self._empty_polls += 1
        if self._empty_polls <= _SENDING_POLLS:
            return False
        self.flush()
        data = self._terminal.read(RX_CAPACITY)
        if not data:
            if self._empty_polls <= _EMPTY_POLLS:
                return False
            begin = monotonic()
            self._terminal.wait(_IDLE_WAIT_S)
            waited = monotonic() - begin
            self.idle_seconds += waited
            # Where the machine is so busy that the wait took longer, the program's time-outs must not suffer.
            self._state.idle_cycles += int(min(waited, _IDLE_WAIT_S) * self._clock_hz)
            data = self._terminal.read(RX_CAPACITY)
            if not data:
                return False
        self._empty_polls = 0
        self._state.rx_put(data)
        return True

    def _write_uart(self, offset: int, value: int) -> None:
        if offset == USART_TDR:
            control = self._words.get(self._uart + USART_CR1, 0)
            if control & _UE and control & _TE:
                waiting = self._state.tx_put(value & 0xFF)
                # Line feeds and bytes of a transfer: a program may compute for long behind one.
                if (value & 0xFF < ord(" ") and value & 0xFF != ord("\r")) or waiting >= TX_FLUSH:
                    self.flush()
        elif offset == USART_RQR:
            if value & (1 << 3):  # RXFRQ: drop what was received
                self._state.rx_take()
        elif offset not in (USART_ISR, USART_RDR):
            self._words[self._uart + offset] = value
            if offset == USART_CR1:
                status = self._status_while_waiting()
                self._state.set_uart(
                    status=status if status & _RXNE else 0, transmits=bool(value & _UE and value & _TE)
                )
