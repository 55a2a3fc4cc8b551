"""The host's end of the emulated UART: a pseudo-terminal that a serial library opens like any port."""

from __future__ import annotations

import os
import pty
import select
import socket
import tty
from contextlib import suppress
from pathlib import Path

from pipeline.errors import EnvironmentProblem, printable

_PENDING_LIMIT = 64 * 1024  # bytes kept for a host that does not read
_PATIENCE_S = 0.5  # how long a full buffer waits for the host, once, before the oldest bytes go


class Terminal:
    """Raw bytes in both directions, never blocking for long.

    Back-pressure: bytes are taken from the host only when the UART asks for them, so a host that writes 30 kB at
    once is slowed by the kernel and loses nothing. In the other direction a host that does not read loses the
    oldest bytes beyond 64 kB, as a real board's would be lost, and :attr:`dropped` counts them.

    All methods but :meth:`wake` belong to one thread.

    Args:
        link: A symbolic link to make to the port, replaced where it is one already.
    """

    def __init__(self, link: Path | None = None) -> None:
        try:
            self._master, self._slave = pty.openpty()
        except OSError as error:
            raise EnvironmentProblem(
                "no-pseudo-terminal",
                "cannot open a pseudo-terminal for the emulated board",
                why=printable(error),
                next="Mount /dev/pts, or close some terminals.",
            ) from error
        # The slave stays open here: a host may come and go without the master seeing a hang-up.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._pending = bytearray()
        self._host_reads = True
        self.dropped = 0
        self._link = link
        if link is not None:
            self._make_link(link)

    def _make_link(self, link: Path) -> None:
        try:
            if link.is_symlink():
                link.unlink()
            link.symlink_to(self.port)
        except OSError as error:
            raise EnvironmentProblem(
                "link-not-made",
                f"cannot make the link {printable(link)}",
                why=printable(error),
                next="Give --link a path that does not exist yet, in a folder that can be written.",
            ) from error

    def read(self, limit: int) -> bytes:
        """What the host has sent, at most ``limit`` bytes; empty where nothing has come."""
        try:
            return os.read(self._master, limit)
        except OSError:  # EAGAIN: nothing there; EIO: the host hung up
            return b""

    def wait(self, seconds: float, *, also: socket.socket | None = None) -> None:
        """Wait until the host has sent something, :meth:`wake` is called or ``seconds`` have passed.

        Bytes on the socket ``also`` end it, too.
        """
        writers = [self._master] if self._pending else []
        readers = [self._master, self._wake_read, *([] if also is None else [also.fileno()])]
        ready, _, _ = select.select(readers, writers, [], seconds)
        if self._wake_read in ready:
            with suppress(OSError):
                os.read(self._wake_read, 64)
        if writers:
            self._push()

    def wake(self) -> None:
        """End a :meth:`wait`; from any thread."""
        with suppress(OSError):
            os.write(self._wake_write, b"!")

    def write(self, data: bytes) -> None:
        """Send to the host, or keep until it reads."""
        self._pending += data
        self._push()
        excess = len(self._pending) - _PENDING_LIMIT
        if excess <= 0:
            return
        if self._host_reads:
            select.select([], [self._master], [], _PATIENCE_S)
            self._push()
            excess = len(self._pending) - _PENDING_LIMIT
        if excess > 0:
            self._host_reads = False
            self.dropped += excess
            del self._pending[:excess]

    def _push(self) -> None:
        while self._pending:
            try:
                sent = os.write(self._master, self._pending)
            except OSError:
                return
            self._host_reads = True
            del self._pending[:sent]

    def close(self) -> None:
        """Send what the host still takes, hang up and remove the link."""
        self._push()
        if self._link is not None and self._link.is_symlink() and str(self._link.readlink()) == self.port:
            self._link.unlink(missing_ok=True)
        for descriptor in (self._master, self._slave, self._wake_read, self._wake_write):
            os.close(descriptor)
