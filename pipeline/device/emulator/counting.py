"""What is counted while the program runs, and the UART's two buffers, in plain Python.

``native.py`` holds the same state in C; both give the same figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

# One instruction that branches to itself: with no interrupts the program has halted.
SELF_BRANCH = b"\xfe\xe7"
RX_CAPACITY = 32 * 1024
TX_CAPACITY = 4 * 1024
TX_FLUSH = 1024  # this many waiting bytes are sent even within a line


def instructions_in(code: bytes | bytearray | memoryview) -> int:
    """Number of Thumb instructions in a block of code (Armv7-M Architecture Reference Manual, A5.1).

    A halfword whose top five bits are 0b11101, 0b11110 or 0b11111 begins an instruction of 32 bits.

    >>> instructions_in(bytes.fromhex("00bf" "fff7feff" "7047"))
    3
    """
    count = position = 0
    while position + 1 < len(code):
        position += 4 if code[position + 1] >= 0xE8 else 2
        count += 1
    return count


class State(Protocol):
    """Counters and buffers that the peripherals look at."""

    lowest_store: int
    """Lowest address in the watched range that was written; the range's end where nothing was."""

    @property
    def instructions(self) -> int:
        """Instructions executed: whole blocks, counted as they are entered."""

    idle_cycles: int
    """Cycles that passed while the board waited for the host."""

    @property
    def tx_total(self) -> int:
        """Bytes that the program has sent since reset, modulo 2^32."""

    def set_cycle_origin(self, origin: int | None) -> None:
        """Cycle at which the counter read zero; None while it stands still."""

    def set_uart(self, *, status: int, transmits: bool) -> None:
        """The UART's status register while a received byte waits (0: it does not receive), and whether it sends."""

    def rx_pending(self) -> int:
        """Bytes received and not yet read."""

    def rx_put(self, data: bytes) -> None:
        """Received bytes, at most ``RX_CAPACITY`` less :meth:`rx_pending`."""

    def rx_take(self) -> int:
        """The oldest received byte, 0 where there is none."""

    def tx_put(self, byte: int) -> int:
        """A byte on its way to the host; the number that now waits there, below ``TX_CAPACITY``."""

    def tx_take(self) -> bytes:
        """All bytes on their way to the host."""


class PythonState:
    """:class:`State` without a compiler."""

    def __init__(self, *, watch_end: int) -> None:
        self.instructions = 0
        self.idle_cycles = 0
        self.tx_total = 0
        self.lowest_store = watch_end
        self._rx = bytearray()
        self._tx = bytearray()

    def set_cycle_origin(self, origin: int | None) -> None:
        """Nothing to do: every read of the counter comes to the peripherals."""

    def set_uart(self, *, status: int, transmits: bool) -> None:
        """Nothing to do: every access to the UART comes to the peripherals."""

    def rx_pending(self) -> int:
        """See :class:`State`."""
        return len(self._rx)

    def rx_put(self, data: bytes) -> None:
        """See :class:`State`."""
        self._rx += data

    def rx_take(self) -> int:
        """See :class:`State`."""
        return self._rx.pop(0) if self._rx else 0

    def tx_put(self, byte: int) -> int:
        """See :class:`State`."""
        self._tx.append(byte)
        self.tx_total += 1
        return len(self._tx)

    def tx_take(self) -> bytes:
        """See :class:`State`."""
        data = bytes(self._tx)
        self._tx.clear()
        return data


class BlockCounter:
    """Counts blocks for a :class:`PythonState`; the numbers of blocks in flash are remembered, as flash never changes.

    Args:
        read: Bytes of the board's memory at an address.
        in_flash: Whether an address lies in flash.
    """

    def __init__(
        self, state: PythonState, *, read: Callable[[int, int], bytes | bytearray], in_flash: Callable[[int], bool]
    ) -> None:
        self._state = state
        self._read = read
        self._in_flash = in_flash
        self._known: dict[tuple[int, int], tuple[int, bool]] = {}

    def enter(self, address: int, size: int) -> bool:
        """Count a block; True where it is a branch to itself, that is, the program has halted."""
        known = self._known.get((address, size))
        if known is None:
            code = self._read(address, size)
            known = (instructions_in(code), bytes(code) == SELF_BRANCH)
            if self._in_flash(address):
                self._known[address, size] = known
        self._state.instructions += known[0]
        return known[1]
