"""Frames of the binary transfer (``docs/protocol.md``): building them, and taking them apart as the firmware does."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

START = 0xA5
ENQ = 0x05
ACK = 0x06
NAK = 0x15
PIECE = 1024  # the largest payload, bytes
_HEADER = 4  # start, sequence, length
_TRAILER = 4  # CRC-32


def frame(sequence: int, payload: bytes) -> bytes:
    """One frame.

    Args:
        sequence: Number of the frame from 0; it wraps at 256.
        payload: 1 to 1024 bytes.

    >>> frame(0, b"\\x01").hex(" ")
    'a5 00 01 00 01 3e 74 a3 67'
    """
    if not 1 <= len(payload) <= PIECE:
        raise ValueError(f"a frame takes 1 to {PIECE} bytes, not {len(payload)}")
    body = bytes([sequence & 0xFF]) + len(payload).to_bytes(2, "little") + payload
    return bytes([START]) + body + zlib.crc32(body).to_bytes(4, "little")


def frames(data: bytes, piece: int = PIECE, *, first: int = 0) -> Iterator[bytes]:
    """The frames that carry ``data``; ``first`` is the number of the first."""
    for number, begin in enumerate(range(0, len(data), piece), start=first):
        yield frame(number, data[begin : begin + piece])


@dataclass
class Receiver:
    """The device's side, as ``firmware_templates/app/transfer.cpp`` does it: bytes in, answers out.

    A bad frame is answered once, when the line has fallen quiet: all that came with it is dropped.

    Attributes:
        expected: Bytes that the whole transfer carries.
        row: Bytes of a row, where it goes by rows: a frame must end where its row ends.
        data: What has been taken.
    """

    expected: int
    row: int | None = None
    data: bytearray = field(default_factory=bytearray)
    _buffer: bytearray = field(default_factory=bytearray)
    _sequence: int = 0

    @property
    def complete(self) -> bool:
        """Whether all the bytes have come."""
        return len(self.data) >= self.expected

    @property
    def rows(self) -> int:
        """Whole rows that have come."""
        return len(self.data) // (self.row or self.expected)

    @property
    def between(self) -> bool:
        """Whether a row has just ended, or none has begun."""
        return not self.data or len(self.data) % (self.row or self.expected) == 0

    @property
    def rest(self) -> bytes:
        """What came and belongs to no frame yet."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the host; the answers, one byte a frame."""
        self._buffer += data
        answers = bytearray()
        while not self.complete:
            answer = self._next()
            if answer is None:
                break
            if answer == NAK:
                self._buffer.clear()
            answers.append(answer)
        return bytes(answers)

    def silence(self) -> bytes:
        """The line has fallen silent: half a frame is a bad one."""
        if not self._buffer:
            return b""
        self._buffer.clear()
        return bytes([NAK])

    def _next(self) -> int | None:
        """Answer to the next frame; None where it is not whole yet."""
        begin = self._buffer.find(START)
        del self._buffer[: begin if begin >= 0 else len(self._buffer)]
        if len(self._buffer) < _HEADER:
            return None
        sequence, length = self._buffer[1], int.from_bytes(self._buffer[2:4], "little")
        repeated = bool(self.data) and sequence == (self._sequence - 1) & 0xFF
        row = self.row or self.expected
        room = PIECE if repeated else min(PIECE, row - len(self.data) % row)
        if not 1 <= length <= room or not (repeated or sequence == self._sequence):
            return NAK
        whole = _HEADER + length + _TRAILER
        if len(self._buffer) < whole:
            return None
        body = bytes(self._buffer[1 : _HEADER + length])
        crc = int.from_bytes(self._buffer[_HEADER + length : whole], "little")
        del self._buffer[:whole]
        if zlib.crc32(body) != crc:
            return NAK
        if not repeated:  # otherwise it was taken before, and its ACK was lost
            self.data += body[3:]
            self._sequence = (self._sequence + 1) & 0xFF
        return ACK
