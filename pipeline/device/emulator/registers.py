"""All the memory-mapped registers of an emulated board: its core's, its UART's, and those of its family.

Most registers only remember what was written. The family's file says which bits make the hardware answer with which
(oscillators, PLL, over-drive). Nothing here knows the engine.
"""

from __future__ import annotations

from pipeline.boards import Board
from pipeline.device.emulator import core
from pipeline.device.emulator.counting import State
from pipeline.device.emulator.families.family import Answer, Family
from pipeline.device.emulator.terminal import Terminal
from pipeline.device.emulator.uart import Uart


class Registers:
    """What a program finds outside memory.

    Args:
        board: The board type: its core, and where its UART is.
        family: What its family answers, to this board's clock source.
        state: Counters and buffers.
        terminal: The host's side of the UART.
    """

    def __init__(self, board: Board, family: Family, state: State, terminal: Terminal) -> None:
        self._core = core.CoreRegisters(board.core.cpu, state)
        self._uart = Uart(family.uart, clock_hz=board.core.clock_hz, state=state, terminal=terminal)
        self._uart_base = board.serial.base
        self._uart_end = board.serial.base + family.uart.bytes
        self._words = dict(family.reset)
        self._answers: dict[int, list[Answer]] = {}
        for answer in (*family.answers, *family.clocks.get(board.clock.kind, ())):
            target = answer.register if answer.then_register is None else answer.then_register
            self._answers.setdefault(target, []).append(answer)

    @property
    def idle_seconds(self) -> float:
        """Time that was spent waiting for the host."""
        return self._uart.idle_seconds

    def read(self, address: int, size: int) -> int:
        """Value of the ``size`` bytes (1, 2 or 4) at ``address``."""
        word, byte = address & ~3, address & 3
        if core.BASE <= word < core.BASE + core.BYTES:
            value = self._core.read(word)
        elif self._uart_base <= word < self._uart_end:
            value = self._uart.read(word - self._uart_base, byte)
        else:
            value = self._answered(word)
        return (value >> (8 * byte)) & ((1 << (8 * size)) - 1)

    def write(self, address: int, size: int, value: int) -> None:
        """Write ``size`` bytes (1, 2 or 4) at ``address``; the others of its word stay."""
        word = address & ~3
        shift = 8 * (address & 3)
        mask = ((1 << (8 * size)) - 1) << shift

        def merged(before: int) -> int:
            return (before & ~mask) | ((value << shift) & mask)

        if core.BASE <= word < core.BASE + core.BYTES:
            self._core.write(word, merged(self._core.stored(word)))
        elif self._uart_base <= word < self._uart_end:
            offset = word - self._uart_base
            self._uart.write(offset, merged(self._uart.stored(offset)))
        else:
            self._words[word] = merged(self._words.get(word, 0))

    def flush(self) -> None:
        """Send what the UART has taken."""
        self._uart.flush()

    def _answered(self, word: int) -> int:
        value = self._words.get(word, 0)
        for answer in self._answers.get(word, ()):
            if self._words.get(answer.register, 0) & (answer.when | answer.unless) == answer.when:
                value |= answer.then
        return value
