"""The fake device behind a pseudo-terminal: what opens serial ports can be tried without a board."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from contextlib import suppress
from typing import Self

from pipeline.device.fake import FakeDevice

_POLL_S = 0.01
_READ = 4096


class FakePort:
    """A port that a :class:`~pipeline.device.fake.FakeDevice` answers at, until it is unplugged.

    Args:
        device: Its clock must be ``time.monotonic``.
        unplug_after: Bytes that the device says before its cable is pulled, in the middle of a line as like as not.

    Attributes:
        port: Device file of the pseudo-terminal.
        said: Bytes that the device has said.
    """

    def __init__(self, device: FakeDevice, *, unplug_after: int | None = None) -> None:
        self.said = 0
        self._device = device
        self._unplug_after = unplug_after
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._slave: int | None = slave
        self._plugged = True
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="fake port", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Pull the cable, now: whoever has the port open is hung up. Fine when it is pulled already."""
        with self._closing:
            if self._plugged:
                self._plugged = False
                os.close(self._master)
                if self._slave is not None:
                    os.close(self._slave)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def _serve(self) -> None:
        while self._plugged:
            with suppress(OSError, ValueError):
                ready, _, _ = select.select([self._master], [], [], _POLL_S)
                data = self._read() if ready else b""
                self._write(self._device(data))
                if self._unplug_after is not None and self.said >= self._unplug_after:
                    self.unplug()

    def _read(self) -> bytes:
        with self._closing:
            return os.read(self._master, _READ) if self._plugged else b""

    def _write(self, data: bytes) -> None:
        if self._unplug_after is not None:
            data = data[: self._unplug_after - self.said]
        self.said += len(data)
        while data and self._plugged:
            with self._closing:
                if not self._plugged:
                    return
                os.set_blocking(self._master, False)
                try:
                    data = data[os.write(self._master, data) :]
                except BlockingIOError:
                    pass
                finally:
                    os.set_blocking(self._master, True)
            if data:
                time.sleep(_POLL_S / 10)
