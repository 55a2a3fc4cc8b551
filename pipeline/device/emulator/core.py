"""The system registers of an Armv7-M core: identity, caches, debug, and the cycle counter.

Armv7-M Architecture Reference Manual (ARM DDI 0403), Cortex-M4 (DDI 0439) and Cortex-M7 (DDI 0489) Technical
Reference Manuals. Nothing here knows the engine.
"""

from __future__ import annotations

from pipeline.device.emulator.counting import State

#: The private peripheral bus.
BASE, BYTES = 0xE0000000, 0x100000
DWT_CTRL = 0xE0001000
DWT_CYCCNT = 0xE0001004
DWT_LAR = 0xE0001FB0
DWT_UNLOCK = 0xC5ACCE55
DEMCR = 0xE000EDFC
CSSELR = 0xE000ED84
CCSIDR = 0xE000ED80

_READ_ONLY = frozenset((0xE000ED00, 0xE000ED78, 0xE000ED7C))

# Values after reset, and of registers that never change (DDI 0439 and DDI 0489, register summaries); caches of 4 kB
# each as in the STM32F746 (DS10916), whose core is an r0p1.
_RESET = {
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


class CoreRegisters:
    """The private peripheral bus.

    The cycle counter reads instructions executed plus the time that the board spent waiting for the host, at the
    board's clock: an inference is counted by instructions alone, and a time-out on the counter still comes about when
    the host has gone.

    Args:
        cpu: ``cortex-m4`` or ``cortex-m7``.
        state: Counters.
    """

    def __init__(self, cpu: str, state: State) -> None:
        self._state = state
        self._is_m7 = cpu == "cortex-m7"
        self._words = dict(_RESET[cpu])
        self._locked = self._is_m7
        self._running = False
        self._held = 0  # what the counter reads while it stands still
        self._origin = 0

    def read(self, word: int) -> int:
        """The register at the address ``word``."""
        if word == DWT_CYCCNT:
            return self._cycles()
        if word == CCSIDR and self._is_m7:
            return _CCSIDR_INSTRUCTION if self.stored(CSSELR) & 1 else _CCSIDR_DATA
        return self.stored(word)

    def stored(self, word: int) -> int:
        """What was last written, or stands there after a reset."""
        return self._words.get(word, 0)

    def write(self, word: int, value: int) -> None:
        """Write the register at the address ``word``."""
        if DWT_CTRL <= word < DWT_CTRL + 0x1000:
            self._write_dwt(word, value)
        elif word == DEMCR:
            self._words[word] = value
            self._update_counter()
        elif word not in _READ_ONLY:
            self._words[word] = value

    # The cycle counter (ARM DDI 0403, C1.8). On a Cortex-M7 its registers are locked until DWT_LAR is written.

    def _now(self) -> int:
        return self._state.instructions + self._state.idle_cycles

    def _cycles(self) -> int:
        return (self._now() - self._origin if self._running else self._held) & 0xFFFFFFFF

    def _write_dwt(self, word: int, value: int) -> None:
        if word == DWT_LAR:
            self._locked = self._is_m7 and value != DWT_UNLOCK
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
        running = bool(self.stored(DWT_CTRL) & 1 and self.stored(DEMCR) & (1 << 24))
        if running and not self._running:
            self._origin = self._now() - self._held
        elif self._running and not running:
            self._held = self._cycles()
        self._running = running
        self._publish()

    def _publish(self) -> None:
        self._state.set_cycle_origin(self._origin if self._running else None)
