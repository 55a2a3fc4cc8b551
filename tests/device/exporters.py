"""Serial ports offered over the network, as ser2net or a labgrid exporter do: by RFC 2217, or as plain bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import serial
import serial.rfc2217


class Terminal(serial.Serial):
    """A pseudo-terminal as a serial port: it has no modem lines, and its server asks for them."""

    _update_dtr_state = _update_rts_state = _update_break_state = lambda self: None
    cts = dsr = ri = cd = property(lambda self: False)


class Exporter:
    """Offers one port to one client at a time.

    Args:
        device: The port.
        kind: ``rfc2217`` (pyserial's own server side) or ``socket``.
    """

    def __init__(self, device: str, kind: str) -> None:
        self._kind = kind
        self._serial = Terminal(device, baudrate=115200, timeout=0.02)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._over = threading.Event()
        self._client: socket.socket | None = None
        self.url = f"{kind}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.clients = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                self._client, _ = self._listener.accept()
                self.clients += 1
                with contextlib.suppress(OSError, serial.SerialException), self._client:
                    self._talk(self._client)
                self._client = None

    def _talk(self, client: socket.socket) -> None:
        client.settimeout(0.002)
        lock = threading.Lock()

        class Connection:
            def write(self, data: bytes) -> None:
                with lock:
                    client.sendall(data)

        server: Any = serial.rfc2217.PortManager
        manager: Any = server(self._serial, Connection()) if self._kind == "rfc2217" else None
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                data = client.recv(4096)
                if not data:
                    return
                self._serial.write(b"".join(manager.filter(data)) if manager else data)
            waiting = self._serial.in_waiting
            if waiting:
                data = self._serial.read(waiting)
                Connection().write(b"".join(manager.escape(data)) if manager else data)

    def hang_up(self) -> None:
        """Cut the client off."""
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._over.set()
        self._thread.join(10)
        self._listener.close()
        self._serial.close()


@contextlib.contextmanager
def exported(device: str, kind: str) -> Iterator[Exporter]:
    """A port on the network, for the length of a ``with`` block."""
    exporter = Exporter(device, kind)
    try:
        yield exporter
    finally:
        exporter.close()
