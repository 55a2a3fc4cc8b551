"""Bytes and lines of a link: reading with deadlines, and dropping what is on its way."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.device.deadline import Clock, Deadline
from pipeline.device.link import Link
from pipeline.device.replies import LINE_LIMIT, garbled
from pipeline.errors import DeviceError

READY = "m-ready"
QUIET_S = 0.06  # without a byte: nothing more is on its way
_READ = 65536


class Lines:
    """What comes from a device, line by line or byte by byte.

    Args:
        link: Bytes to the device.
        clock: Of the deadlines.
        health: Called when the device is silent or gone; see :class:`~pipeline.device.protocol.Session`.
    """

    def __init__(self, link: Link, *, clock: Clock, health: Callable[[], None] | None = None) -> None:
        self.name = link.name
        self.buffer = bytearray()
        self._link = link
        self._clock = clock
        self._health = health

    def deadline(self, seconds: float) -> Deadline:
        """A deadline from now."""
        return Deadline(seconds, clock=self._clock)

    def check_health(self) -> None:
        """Raise the reason where somebody knows why the device is silent."""
        if self._health is not None:
            self._health()

    def write(self, data: bytes, deadline: Deadline) -> None:
        """See :class:`~pipeline.device.link.Link`."""
        try:
            self._link.write(data, deadline)
        except DeviceError:
            self.check_health()
            raise

    def fill(self, deadline: Deadline) -> bool:
        """Read more into the buffer; False after the deadline."""
        try:
            data = self._link.read(_READ, deadline)
        except DeviceError:
            self.check_health()
            raise
        self.buffer += data
        return bool(data)

    def read(self, deadline: Deadline, *, limit: int = LINE_LIMIT, silence_s: float | None = None) -> str | None:
        """The next line without its end; None after the deadline, or after ``silence_s`` without a byte.

        Raises:
            DeviceError: ``garbled-line`` where the line is too long or no printable ASCII. It is dropped.
        """
        searched = 0
        while True:
            end = self.buffer.find(b"\n", searched)
            if end >= 0:
                break
            searched = len(self.buffer)
            if searched > limit:
                line = bytes(self.buffer)
                self.buffer.clear()
                garbled(line[:60].decode("latin-1"), f"a line of at most {limit} characters")
            if not self.fill(deadline if silence_s is None else deadline.within(silence_s)):
                return None
        raw = bytes(self.buffer[:end])
        del self.buffer[: end + 1]
        text = raw.removesuffix(b"\r").decode("latin-1")
        if end > limit or not text.isascii() or not text.isprintable():
            garbled(text, "a line of printable ASCII")
        return text

    def drain(self, deadline: Deadline) -> None:
        """Drop what is on its way until the line is quiet."""
        self.buffer.clear()
        while not deadline.expired and self.fill(deadline.within(QUIET_S)):
            self.buffer.clear()
