"""The words that a family is described with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Window:
    """Addresses ``base`` … ``base + bytes - 1`` hold registers; both are multiples of 4096."""

    base: int
    bytes: int
    name: str


@dataclass(frozen=True)
class Answer:
    """The hardware's answer that start-up code polls for.

    While ``register`` has all the bits ``when`` set and none of ``unless``, ``then_register`` (the same where it is
    None) reads with ``then`` set.
    """

    name: str
    register: int
    when: int
    then: int
    then_register: int | None = None
    unless: int = 0


@dataclass(frozen=True)
class UartLayout:
    """Where the registers of a polled UART are, by their offset, and what their bits mean.

    Attributes:
        control: Register that switches it on.
        enabled: Bits of ``control`` that must be set, all of them, for anything to work.
        receives, transmits: Bits of ``control`` for either direction.
        status: Register that the program polls.
        idle: What ``status`` reads while the UART is off.
        ready_to_send, ready_to_receive: Bits of ``status`` while the direction is on.
        received: Bit of ``status`` while a byte waits.
        receive, send: Data registers; the same one in some families.
        request: Register of which the bit ``drop`` drops the received byte, where there is one.
        drop: See ``request``.
        bytes: Size of the block of registers.
    """

    control: int
    enabled: int
    receives: int
    transmits: int
    status: int
    idle: int
    ready_to_send: int
    ready_to_receive: int
    received: int
    receive: int
    send: int
    request: int | None = None
    drop: int = 0
    bytes: int = 0x400


@dataclass(frozen=True)
class Family:
    """What the boards of a family have in common beyond their core.

    Attributes:
        windows: All the addresses that answer, the core's private bus apart. An access elsewhere is a fault.
        uart: The kind of UART behind the virtual COM port.
        answers: See :class:`Answer`.
        reset: Registers that are not 0 after a reset, as far as the port reads them.
        clocks: Further answers, by the ``clock.kind`` of the board file: an oscillator gets ready where the board has
            what it needs, and a program that takes a crystal for a clock signal, or the other way, waits for ever.
    """

    windows: tuple[Window, ...]
    uart: UartLayout
    answers: tuple[Answer, ...]
    reset: dict[int, int] = field(default_factory=dict)
    clocks: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
