"""Bytes to a device and back: a serial port, or a peer in the same process.

The contract, which ``tests/device/test_device_link.py`` checks for each: ``read`` gives what has come as soon as
anything has, and nothing when its deadline has passed; ``write`` gives all or raises; a device that has gone raises
``link-closed`` from either, and so does a link that was closed; closing twice is fine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from pipeline.device.deadline import Deadline, ManualClock
from pipeline.device.ports import open_error
from pipeline.errors import DeviceError, printable

_SLICE_S = 0.05  # a read looks at its deadline at least this often
_PIECE = 4096  # a write looks at its deadline after as many bytes


class Link(Protocol):
    """A two-way stream of bytes."""

    name: str
    """What a user calls it: the port."""

    def write(self, data: bytes, deadline: Deadline) -> None:
        """Send all of ``data``.

        Raises:
            DeviceError: ``link-closed``, or ``no-answer`` where the device takes no bytes until the deadline.
        """

    def read(self, limit: int, deadline: Deadline) -> bytes:
        """One to ``limit`` bytes, or none when the deadline has passed.

        Raises:
            DeviceError: ``link-closed``.
        """

    def close(self) -> None:
        """Let go of the device."""


def link_closed(name: str, why: str = "") -> DeviceError:
    """The error of a link whose device has gone."""
    return DeviceError(
        "link-closed",
        f"the connection to {printable(name)} is gone",
        why=why,
        next="Check the cable and whether the board still has power, then try again.",
    )


class SerialLink:
    """A serial port, by anything that pyserial opens: a device file, a pseudo-terminal, ``socket://host:port``.

    Args:
        port: Device file or pyserial URL.
        baud: Bits a second; without effect on a pseudo-terminal.

    Raises:
        NoBoardError: ``no-such-port``, ``port-not-serial``, ``port-held`` or ``port-permission``.
    """

    def __init__(self, port: str, *, baud: int) -> None:
        import serial  # here, to keep --help quick

        self.name = port
        self._failures: tuple[type[BaseException], ...] = (serial.SerialException, OSError, TypeError, _termios_error())
        self._timeouts = serial.SerialTimeoutException
        self._port: Any = None
        # pyserial's RFC 2217 client refuses a time limit for writing; its socket gives up after 5 s by itself.
        self._limits_writes = not port.lower().startswith("rfc2217:")
        try:
            # Exclusive: two programs that read from one port would each get half of every line.
            self._port = serial.serial_for_url(
                port, baudrate=baud, timeout=_SLICE_S, exclusive=None if "://" in port else True
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise open_error(port, error) from error

    def write(self, data: bytes, deadline: Deadline) -> None:
        """See :class:`Link`."""
        port = self._open_port()
        view = memoryview(data)
        for begin in range(0, len(data), _PIECE):
            try:
                if self._limits_writes:
                    port.write_timeout = deadline.remaining
                port.write(view[begin : begin + _PIECE])
            except self._timeouts as error:
                raise DeviceError(
                    "no-answer",
                    f"{printable(self.name)} takes no bytes",
                    why=f"Nothing was taken for {deadline.seconds:.1f} s.",
                    next="Reset the board and try again.",
                ) from error
            except self._failures as error:
                raise link_closed(self.name, printable(error)) from error

    def read(self, limit: int, deadline: Deadline) -> bytes:
        """See :class:`Link`."""
        port = self._open_port()
        while True:
            try:
                first: bytes = port.read(1)
                if first:
                    more = min(port.in_waiting, limit - 1)
                    return first + (port.read(more) if more > 0 else b"")
            except self._failures as error:
                raise link_closed(self.name, printable(error)) from error
            if deadline.expired:
                return b""

    def close(self) -> None:
        """See :class:`Link`."""
        port, self._port = self._port, None
        if port is not None:
            # pyserial 3.5's RFC 2217 client forgets the socket of a line that was cut.
            leftover = getattr(port, "_socket", None)
            with contextlib.suppress(*self._failures):
                port.close()
            if leftover is not None:
                with contextlib.suppress(OSError):
                    leftover.close()

    def _open_port(self) -> Any:
        if self._port is None:
            raise link_closed(self.name, "It was closed.")
        return self._port


def _termios_error() -> type[BaseException]:
    try:
        import termios  # not on every system
    except ImportError:
        return OSError
    return termios.error


class MemoryLink:
    """A link to a peer in the same process, which answers at once or never; no time passes on a real clock.

    Args:
        peer: Takes what the host sends and gives what the device answers. It may raise ``ConnectionError``, which
            stands for a pulled cable.
        clock: The clock of the deadlines; a read that finds nothing lets it run to its deadline.
    """

    name = "memory"

    def __init__(self, peer: Callable[[bytes], bytes], *, clock: ManualClock) -> None:
        self._peer: Callable[[bytes], bytes] | None = peer
        self._clock = clock
        self._waiting = bytearray()

    def write(self, data: bytes, deadline: Deadline) -> None:
        """See :class:`Link`."""
        self._waiting += self._ask(data)

    def read(self, limit: int, deadline: Deadline) -> bytes:
        """See :class:`Link`."""
        if not self._waiting:
            self._waiting += self._ask(b"")
        if not self._waiting:
            self._clock.advance(deadline.remaining)
            # Time has passed for the peer as well: it may have had something to say.
            self._waiting += self._ask(b"")
        data = bytes(self._waiting[:limit])
        del self._waiting[:limit]
        return data

    def close(self) -> None:
        """See :class:`Link`."""
        self._peer = None

    def _ask(self, data: bytes) -> bytes:
        if self._peer is None:
            raise link_closed(self.name, "It was closed.")
        try:
            return self._peer(data)
        except ConnectionError as error:
            raise link_closed(self.name, printable(error)) from error
