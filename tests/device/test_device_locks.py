"""Locks of devices: who holds one, who waits for it, and that a process that was killed lets go of it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.device import locks
from pipeline.device.discovery import Device
from pipeline.device.locks import Holder, held, holder
from pipeline.errors import EnvironmentProblem, NoBoardError

DEVICE = Device("nucleo_f746zg", "desk", "066EFF111", "/dev/ttyACM0")
OTHER = Device("nucleo_f746zg", None, "066EFF222", "/dev/ttyACM1")
_HOLDER = """
import sys, time
from pipeline.device.discovery import Device
from pipeline.device.locks import held
with held(Device("nucleo_f746zg", None, "066eff111", "/dev/ttyACM9"), run="runs/other"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def lock_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DANAS_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the device, by the same serial number at another port, until its input ends."""
    started = subprocess.Popen(
        [sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None and started.stdin is not None
    assert started.stdout.readline() == "held\n"
    yield started
    started.kill()
    started.wait()
    started.stdin.close()
    started.stdout.close()


def test_a_held_device_is_refused_with_its_holder(process: subprocess.Popen[str]) -> None:
    with pytest.raises(NoBoardError) as caught, held(DEVICE):
        pass
    error = caught.value
    assert (error.id, error.exit_code) == ("device-locked", 3)
    for part in (f"process {process.pid}", os.uname().nodename, "runs/other", "since 20"):
        assert part in error.why
    assert "--wait" in error.next
    with pytest.raises(NoBoardError, match="wait longer"), held(DEVICE, wait_s=0.2):
        pass
    found = holder(DEVICE)
    assert found is not None and found.pid == process.pid
    with held(OTHER):
        assert holder(OTHER) is not None
    assert holder(OTHER) is None


def test_a_killed_holder_lets_go(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert holder(DEVICE) is None
    with held(DEVICE, run="mine"):
        found = holder(DEVICE)
        assert found is not None and (found.pid, found.run) == (os.getpid(), "mine")
    assert holder(DEVICE) is None


def test_waiting_ends_when_the_holder_does(process: subprocess.Popen[str]) -> None:
    said: list[str] = []

    def on_wait(text: str) -> None:
        said.append(text)
        process.kill()

    with held(DEVICE, wait_s=60, on_wait=on_wait):
        assert len(said) == 1
        assert f"process {process.pid}" in said[0]
        assert "desk" in said[0]


def test_a_thread_may_ask_again_and_another_may_not() -> None:
    found: list[str] = []

    def other() -> None:
        try:
            with held(DEVICE):
                found.append("held")
        except NoBoardError as error:
            found.append(error.id)

    with held(DEVICE):
        with held(DEVICE, run="a stage"):
            pass
        assert holder(DEVICE) is not None  # the inner one has let go of nothing
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(30)
    assert found == ["device-locked"]
    other()
    assert found == ["device-locked", "held"]


def test_an_error_inside_lets_go() -> None:
    with pytest.raises(ValueError, match="x"), held(DEVICE):
        raise ValueError("x")
    assert holder(DEVICE) is None


def test_nobody_shares_an_emulated_board(lock_folder: Path) -> None:
    with held(Device("nucleo_f746zg")):
        assert holder(Device("nucleo_f746zg")) is None
    assert not lock_folder.exists()


@pytest.mark.parametrize("device", [Device("b", port="socket://h:1"), Device("b", port="/dev/ttyS0")])
def test_what_has_no_serial_number_is_locked_by_its_port(device: Device) -> None:
    with held(device):
        assert holder(device) is not None
        assert holder(Device("b", port="socket://h:2")) is None


def test_what_is_read_of_a_holder_is_not_taken_on_trust(process: subprocess.Popen[str], lock_folder: Path) -> None:
    (note,) = lock_folder.glob("*.json")
    whole = note.read_text()
    dead = subprocess.Popen(["true"])
    dead.wait()
    stale = {**json.loads(whole), "pid": dead.pid, "since": "2999-01-01T00:00:00+00:00"}
    others = note.with_name(note.name.replace(f".{os.getuid()}.", ".4711."))
    others.write_text(json.dumps(stale))
    found = holder(DEVICE)
    assert found is not None and found.pid == process.pid  # the newest note of a process that is alive
    others.unlink()
    for content in ("", "[]", '{"pid": -1}', '{"pid": 99999999999999999999}', '{"pid": 1, "run": 3}', "x" * 20_000):
        note.write_text(content)
        assert str(holder(DEVICE)).isprintable()
    note.write_text('{"pid": 1, "run": "\\u001b[2J"}')
    assert "\x1b" not in str(holder(DEVICE))
    aside = note.with_suffix(".aside")
    aside.write_text(whole)
    note.unlink()
    note.symlink_to(aside)
    assert holder(DEVICE) == Holder()  # no link is followed


def test_the_shared_folder_and_its_locks_are_everybodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DANAS_LOCKS")
    everybody = tmp_path / "lock"
    everybody.mkdir()
    everybody.chmod(0o1777)
    monkeypatch.setattr(locks, "_SHARED", (tmp_path / "none", everybody))
    with held(DEVICE):
        folder = locks.folder()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o777
        modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert modes == {".lock": 0o666, ".json": 0o644}
    folder.chmod(0o2770)  # an administrator's, for a group
    assert locks.folder() == folder
    for mode in (0o755, 0o1777):
        folder.chmod(mode)
        assert locks.folder() == folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o777  # our own is mended
        folder.chmod(mode)
        with monkeypatch.context() as other:
            other.setattr(locks, "_uid", lambda: 4711)
            with pytest.raises(EnvironmentProblem) as caught, held(DEVICE):
                pass
        assert caught.value.id == "lock-folder"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be several users")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_users_keep_each_other_out_and_take_over_from_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DANAS_LOCKS")
    for path in (tmp_path, *tmp_path.parents):  # pytest's own are closed to others
        if path.stat().st_uid == 0 and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    everybody = tmp_path / "lock"
    everybody.mkdir()
    everybody.chmod(0o1777)
    monkeypatch.setattr(locks, "_SHARED", (everybody,))
    with held(DEVICE):  # root's
        pass
    results = []
    for user in (65533, 65534):
        ready, told = os.pipe()
        release, go = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(go)
            try:
                os.setuid(user)
                with held(DEVICE, run=f"run of {user}"):
                    os.write(told, b"y")
                    os.read(release, 1)
            except BaseException:
                os.write(told, b"n")
            finally:
                os._exit(0)
        os.close(release)
        results.append(os.read(ready, 1))
        with pytest.raises(NoBoardError, match=f"run of {user}"), held(DEVICE):
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for handle in (ready, told, go):
            os.close(handle)
    assert results == [b"y", b"y"]
    with held(DEVICE):
        pass


def test_without_a_shared_folder_it_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DANAS_LOCKS")
    monkeypatch.setattr(locks, "_SHARED", (tmp_path,))
    monkeypatch.setattr("platformdirs.user_runtime_path", lambda *_, **__: tmp_path / "runtime")
    with held(DEVICE):
        assert locks.folder() == tmp_path / "runtime"
