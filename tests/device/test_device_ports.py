"""Ports that cannot be used, seen before anything is flashed."""

from __future__ import annotations

import errno
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from pipeline.device.link import SerialLink
from pipeline.device.ports import demand_usable, open_error
from pipeline.errors import NoBoardError


@pytest.fixture
def port() -> Iterator[str]:
    host, device = pty.openpty()
    name = os.ttyname(device)
    os.close(device)
    yield name
    os.close(host)


def refused(port: str) -> NoBoardError:
    with pytest.raises(NoBoardError) as caught:
        demand_usable(port)
    assert caught.value.exit_code == 3
    assert caught.value.next
    return caught.value


def test_a_free_port_is_taken_and_stays_free(port: str) -> None:
    demand_usable(port)
    SerialLink(port, baud=9600).close()
    demand_usable("socket://nowhere:1")


def test_what_is_no_port(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refused(str(tmp_path / "none")).id == "no-such-port"
    assert refused("/dev/a\0b").id == "no-such-port"
    for name, kind in (("file", "a file"), ("", "a directory")):
        error = refused(str(tmp_path / name))
        assert (error.id, error.why) == ("port-not-serial", f"It is {kind}.")
        with pytest.raises(NoBoardError) as caught:
            SerialLink(str(tmp_path / name), baud=9600)
        assert caught.value.id == "port-not-serial"


def test_a_port_of_our_own_is_held_too(port: str) -> None:
    link = SerialLink(port, baud=9600)
    try:
        assert refused(port).id == "port-held"
    finally:
        link.close()


def test_a_port_that_another_program_has_open_names_it(port: str) -> None:
    code = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, port], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdin is not None
        other.stdout.readline()
        error = refused(port)
        assert (error.id, f"Process {other.pid} (" in error.why) == ("port-held", True)
        other.stdin.close()


class _Stat:
    def __init__(self, mode: int, group: int) -> None:
        self.st_mode, self.st_gid = stat.S_IFCHR | mode, group


@pytest.mark.parametrize(
    ("mode", "group", "says"),
    [(0o660, 20, "usermod -aG dialout"), (0o600, 0, "udev"), (0o660, 0, "udev"), (0o660, 54321, "usermod -aG 54321")],
)
def test_no_permission_says_which_group(monkeypatch: pytest.MonkeyPatch, mode: int, group: int, says: str) -> None:
    monkeypatch.setattr(Path, "stat", lambda _: _Stat(mode, group))
    error = open_error("/dev/ttyACM0", serial.SerialException(errno.EACCES, "Permission denied"))
    assert error.id == "port-permission"
    assert says in error.next


def test_no_permission_is_seen_before_anything_is_opened(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert refused(port).id == "port-permission"


def test_busy_by_the_kernel_is_held() -> None:
    assert open_error("/dev/ttyACM0", OSError(errno.EBUSY, "busy")).id == "port-held"
