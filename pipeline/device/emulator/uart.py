"""A polled UART between the program and the terminal, of whatever family."""

from __future__ import annotations

from time import monotonic

from pipeline.device.emulator.counting import RX_CAPACITY, TX_FLUSH, State
from pipeline.device.emulator.families.family import UartLayout
from pipeline.device.emulator.terminal import Terminal

_SENDING_POLLS = 2  # of the UART after a byte was sent: the program asks whether it may send on
_EMPTY_POLLS = 32  # before the emulator sleeps
_IDLE_WAIT_S = 0.02  # longest sleep; a byte from the host ends it at once


class Uart:
    """The registers of one UART; addresses are offsets into its block.

    A program that polls for a byte again and again waits for the host: then the emulator sleeps, and the time counts
    as idle cycles.

    Args:
        layout: Where its registers are.
        clock_hz: Of the board, for the idle cycles.
        state: Counters and buffers.
        terminal: The host's side.
    """

    def __init__(self, layout: UartLayout, *, clock_hz: int, state: State, terminal: Terminal) -> None:
        self._layout = layout
        self._clock_hz = clock_hz
        self._state = state
        self._terminal = terminal
        self._words: dict[int, int] = {}
        self._empty_polls = 0
        self._tx_seen = 0
        self.idle_seconds = 0.0

    def stored(self, offset: int) -> int:
        """What was last written."""
        return self._words.get(offset, 0)

    def read(self, offset: int, byte: int) -> int:
        """The register at ``offset``, of which byte number ``byte`` is the first that is wanted."""
        if offset == self._layout.status:
            return self._status()
        if offset == self._layout.receive:
            # One read takes one byte; the upper bytes of the register are not data.
            return self._state.rx_take() if byte == 0 else 0
        return self.stored(offset)

    def write(self, offset: int, value: int) -> None:
        """Write the register at ``offset``."""
        layout = self._layout
        if offset == layout.send:
            if self._is_on(layout.transmits):
                waiting = self._state.tx_put(value & 0xFF)
                if _goes_at_once(value & 0xFF) or waiting >= TX_FLUSH:
                    self.flush()
        elif offset == layout.request:
            if value & layout.drop:
                self._state.rx_take()
        elif offset not in (layout.status, layout.receive):
            self._words[offset] = value
            if offset == layout.control:
                status = self._status_while_waiting()
                self._state.set_uart(
                    status=status if status & layout.received else 0, transmits=self._is_on(layout.transmits)
                )

    def flush(self) -> None:
        """Send what the UART has taken."""
        data = self._state.tx_take()
        if data:
            self._terminal.write(data)

    def _is_on(self, direction: int) -> bool:
        wanted = self._layout.enabled | direction
        return self.stored(self._layout.control) & wanted == wanted

    def _status(self) -> int:
        status = self._status_while_waiting()
        if status & self._layout.received and not self._received():
            status &= ~self._layout.received
        return status

    def _status_while_waiting(self) -> int:
        """The status register if a received byte waits."""
        layout = self._layout
        status = layout.idle
        if self._is_on(layout.transmits):
            status |= layout.ready_to_send
        if self._is_on(layout.receives):
            status |= layout.ready_to_receive | layout.received
        return status

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


def _goes_at_once(byte: int) -> bool:
    """Line feeds and bytes of a transfer: a program may compute for long behind one."""
    return byte < ord(" ") and byte != ord("\r")
