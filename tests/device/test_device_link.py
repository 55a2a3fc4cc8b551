"""One contract for every Link, and what opening a port can meet."""

from __future__ import annotations

import errno
import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import serial

from pipeline.device.deadline import Deadline, ManualClock
from pipeline.device.faults import Faults, FaultyLink
from pipeline.device.link import Link, MemoryLink, SerialLink
from pipeline.errors import DanasError, DeviceError, NoBoardError


class Bench:
    """A link under test whose device echoes; the clock of its deadlines; and how to pull its cable."""

    def __init__(self, link: Link, clock: Callable[[], float], unplug: Callable[[], None]) -> None:
        self.link = link
        self.clock = clock
        self.unplug = unplug

    def deadline(self, seconds: float = 5.0) -> Deadline:
        return Deadline(seconds, clock=self.clock)


@pytest.fixture(params=["serial", "memory", "faulty serial", "faulty memory"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    def wrapped(link: Link, clock: Callable[[], float]) -> Link:
        return FaultyLink(link, Faults(), clock=clock) if request.param.startswith("faulty") else link

    if request.param.endswith("memory"):
        plugged = [True]

        def echo(data: bytes) -> bytes:
            if not plugged[0]:
                raise ConnectionError("unplugged")
            return data

        clock = ManualClock()
        link = wrapped(MemoryLink(echo, clock=clock), clock)
        yield Bench(link, clock, lambda: plugged.__setitem__(0, False))
        return
    terminal = EchoTerminal()
    link = wrapped(SerialLink(terminal.port, baud=115200), time.monotonic)
    yield Bench(link, time.monotonic, terminal.close)
    link.close()
    terminal.close()


class EchoTerminal:
    """A pseudo-terminal whose other end sends everything back."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._open = True
        self._thread = threading.Thread(target=self._echo, daemon=True)
        self._thread.start()

    def _echo(self) -> None:
        while self._open:
            ready, _, _ = select.select([self._master], [], [], 0.02)
            if ready:
                with suppress(OSError):
                    data = os.read(self._master, 4096)
                    while data and self._open:
                        data = data[os.write(self._master, data) :]

    def close(self) -> None:
        if self._open:
            self._open = False
            self._thread.join()
            os.close(self._master)
            os.close(self._slave)


def test_what_is_written_comes_back_as_soon_as_it_is_there(bench: Bench) -> None:
    bench.link.write(b"hello", bench.deadline())
    got = b""
    while len(got) < 5:
        got += bench.link.read(65536, bench.deadline())
    assert got == b"hello"


def test_a_read_gives_at_most_its_limit(bench: Bench) -> None:
    bench.link.write(b"abcdef", bench.deadline())
    got = [bench.link.read(1, bench.deadline()) for _ in range(6)]
    assert b"".join(got) == b"abcdef"
    assert all(len(piece) == 1 for piece in got)


def test_a_read_gives_nothing_when_its_deadline_has_passed(bench: Bench) -> None:
    deadline = bench.deadline(0.02)
    assert bench.link.read(100, deadline) == b""
    assert deadline.expired


def test_thirty_kilobytes_at_once_arrive_whole(bench: Bench) -> None:
    data = bytes(range(256)) * 120
    got = bytearray()
    writer = threading.Thread(target=bench.link.write, args=(data, bench.deadline(20)))
    writer.start()
    while len(got) < len(data):
        piece = bench.link.read(65536, bench.deadline(20))
        got += piece
    writer.join()
    assert bytes(got) == data


def test_a_device_that_has_gone_closes_the_link(bench: Bench) -> None:
    bench.unplug()
    with pytest.raises(DeviceError) as caught:
        bench.link.read(10, bench.deadline())
    assert caught.value.id == "link-closed"
    with pytest.raises(DeviceError) as caught:
        bench.link.write(b"x" * 10, bench.deadline())
    assert caught.value.id == "link-closed"


def test_a_closed_link_says_so_and_closes_again(bench: Bench) -> None:
    bench.link.close()
    bench.link.close()
    for use in (lambda: bench.link.read(1, bench.deadline()), lambda: bench.link.write(b"x", bench.deadline())):
        with pytest.raises(DeviceError) as caught:
            use()
        assert caught.value.id == "link-closed"


def test_a_port_opens_once() -> None:
    terminal = EchoTerminal()
    link = SerialLink(terminal.port, baud=115200)
    try:
        with pytest.raises(NoBoardError) as caught:
            SerialLink(terminal.port, baud=115200)
        assert caught.value.id == "port-held"
        assert caught.value.exit_code == 3
    finally:
        link.close()
        terminal.close()


@pytest.mark.parametrize(
    ("port", "id_"),
    [("/dev/no-such", "no-such-port"), ("nonsense://x", "no-such-port"), ("/etc/passwd", "port-not-serial")],
)
def test_what_is_no_port(port: str, id_: str) -> None:
    with pytest.raises(NoBoardError) as caught:
        SerialLink(port, baud=115200)
    assert caught.value.id == id_
    assert port.rpartition("/")[2] in caught.value.what


def test_a_port_without_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(errno.EACCES, "could not open port: Permission denied")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(NoBoardError) as caught:
        SerialLink("/dev/ttyACM0", baud=115200)
    assert caught.value.id == "port-permission"
    assert "dialout" in caught.value.next


def test_a_device_that_takes_no_bytes_is_no_answer() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    link = SerialLink(os.ttyname(slave), baud=115200)
    try:
        with pytest.raises(DanasError) as caught:
            link.write(bytes(1_000_000), Deadline(0.05))
        assert caught.value.id == "no-answer"
    finally:
        link.close()
        os.close(master)
        os.close(slave)
