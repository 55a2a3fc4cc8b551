"""A device is used by one job at a time: locks that say who holds them, and that a crash lets go.

A lock is an operating system's lock on a file (``filelock``), keyed by the device's identity: its probe's serial
number, else its URL or port. The kernel lets it go when the holder's process ends, however that ends. Who holds it
stands in a second file, which each user owns himself: the lock's own file may belong to somebody else.

Where the files are: all users of a machine share its devices, so they must share the locks. ``/run/lock`` is writable
for everybody on Debian and its kin, and emptied at boot; there the folder ``danas-deploy`` is made, which everybody may
write to (mode 777). It has no sticky bit, on purpose: under one, a lock's file can be taken away by the user who was
first to lock that device and by nobody else, so ``filelock`` rightly refuses it to all others. The locks are between
people who work together; they keep out nobody who may open the port and means harm. An administrator may make the
folder beforehand with a group of its own (mode 2770). Where there is no such place it is the user's own runtime
directory: then only one's own jobs exclude each other; users among each other have what exclusive opening gives.
``DANAS_LOCKS`` names another folder, for containers that share devices.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import re
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.device.discovery import Device
from pipeline.errors import EnvironmentProblem, NoBoardError, printable
from pipeline.files import disk_problem, write_atomic

VARIABLE = "DANAS_LOCKS"
_SHARED = (Path("/run/lock"), Path("/var/lock"))
#: Who looks whether a lock is held has it for a moment; a job that comes then tries again.
_GRACE_S = 1.0
_POLL_S = 0.1
_LARGEST_BYTES = 4096
_MODE = 0o777

#: What this thread holds: a job holds its device over several stages, and each of them asks for it as well.
_mine: ContextVar[frozenset[str]] = ContextVar("held devices", default=frozenset())


class Holder(BaseModel):
    """Who holds a device.

    Attributes:
        pid: Of the process; 0 where it is not known.
        host, user: Where it runs, and who has started it.
        run: What it is doing: a run directory, or a command.
        since: UTC, ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int = Field(default=0, ge=0)
    host: str = Field(default="", max_length=300)
    user: str = Field(default="", max_length=300)
    run: str = Field(default="", max_length=4096)
    since: str = Field(default="", max_length=40)

    def __str__(self) -> str:
        """For a message."""
        if not self.pid:
            return "a process that does not say who it is"
        by = f" of {printable(self.user, 40)}" if self.user else ""
        doing = f", {printable(self.run)}" if self.run else ""
        return f"process {self.pid}{by} on {printable(self.host, 60)}{doing}, since {printable(self.since, 40)}"


@contextlib.contextmanager
def held(
    device: Device, *, wait_s: float = 0.0, run: str = "", on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold a device for the length of a ``with`` block; an emulated one is nobody else's and needs no lock.

    A thread that holds a device may ask for it again; other threads and processes are kept out.

    Args:
        device: As :func:`~pipeline.device.discovery.resolve` gives it.
        wait_s: How long to wait for it; 0: refuse at once.
        run: What others shall be told: a run directory, or a command.
        on_wait: Told once who is waited for.

    Raises:
        NoBoardError: ``device-locked``, with its holder.
        EnvironmentProblem: ``lock-folder``, ``not-writable``, ``disk-full``.
    """
    identity = device.identity
    if identity is None or identity in _mine.get():
        yield
        return
    stem = _stem(identity)
    lock = _lock(stem)
    _acquire(lock, stem, device, wait_s, on_wait)
    note = stem.with_name(f"{stem.name}.{_uid()}.json")
    try:
        me = Holder(
            pid=os.getpid(),
            host=socket.gethostname(),
            user=_user(),
            run=printable(run, 4000),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_atomic(note, me.model_dump_json())
        token = _mine.set(_mine.get() | {identity})
        try:
            yield
        finally:
            _mine.reset(token)
            with contextlib.suppress(OSError):
                note.unlink()
    finally:
        lock.release()


def holder(device: Device) -> Holder | None:
    """Who holds a device at this moment; None: nobody.

    Raises:
        EnvironmentProblem: ``lock-folder``.
    """
    identity = device.identity
    if identity is None:
        return None
    stem = _stem(identity)
    path = stem.with_name(f"{stem.name}.lock")
    if not path.exists():
        return None
    lock = FileLock(path, mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _holder(stem)
    except OSError:
        return None
    lock.release()
    return None


def folder() -> Path:
    """Where the locks are, made if need be.

    Raises:
        EnvironmentProblem: ``lock-folder``: somebody else has made it in a way that it cannot be shared;
            ``not-writable``.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return _made(Path(chosen))
    for shared in _SHARED:
        with contextlib.suppress(OSError):
            if stat.S_IMODE(shared.stat().st_mode) & 0o1003 == 0o1003:
                return _shared(shared / "danas-deploy")
    return _made(platformdirs.user_runtime_path("danas-deploy", appauthor=False))


def _made(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_problem(error, path) from error
    return path


def _shared(path: Path) -> Path:
    """A folder of everybody's in one of everybody's: nothing in there is taken on trust."""
    try:
        if not path.exists():
            # Under another name first: nobody sees it before it has its mode.
            fresh = Path(tempfile.mkdtemp(prefix=".danas-deploy-", dir=path.parent))
            try:
                fresh.chmod(_MODE)
                fresh.rename(path)
            except OSError:  # another process was first
                fresh.rmdir()
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) and not _is_shared(found) and found.st_uid == _uid():
            path.chmod(_MODE)
            found = path.lstat()
    except OSError as error:
        raise disk_problem(error, path) from error
    if not stat.S_ISDIR(found.st_mode) or not _is_shared(found) or not os.access(path, os.W_OK | os.X_OK):
        raise EnvironmentProblem(
            "lock-folder",
            f"{printable(path)} cannot be shared between users",
            why=f"It is no folder of mode 777, or of mode 770 and a group of yours; user {found.st_uid} has made it.",
            next=f"Remove it, or name another folder in {VARIABLE}: the same one for all who share the devices.",
        )
    return path


def _is_shared(found: os.stat_result) -> bool:
    """Everybody, or a group, may write there, and no sticky bit makes the files the first user's own."""
    return not found.st_mode & stat.S_ISVTX and any(found.st_mode & bits == bits for bits in (0o007, 0o070))


def _stem(identity: str) -> Path:
    readable = re.sub(r"[^0-9A-Za-z]+", "-", identity)[:60].strip("-")
    return folder() / f"{readable}-{hashlib.sha256(identity.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


def _lock(stem: Path) -> FileLock:
    return FileLock(stem.with_name(f"{stem.name}.lock"), mode=0o666)


def _acquire(lock: FileLock, stem: Path, device: Device, wait_s: float, on_wait: Callable[[str], None] | None) -> None:
    try:
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=min(_GRACE_S, max(wait_s, 0.3)), poll_interval=_POLL_S)
            return
        if wait_s > 0:
            if on_wait is not None:
                on_wait(f"waiting for {device}, held by {_holder(stem)}")
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=wait_s, poll_interval=_POLL_S)
                return
    except OSError as error:
        raise disk_problem(error, stem) from error
    raise NoBoardError(
        "device-locked",
        f"{device} is in use",
        why=f"Held by {_holder(stem)}.",
        next="Wait for it with --wait 10m, or choose another --device."
        if wait_s <= 0
        else f"It was not let go of in {wait_s:g} s; wait longer, or choose another --device.",
    )


def _holder(stem: Path) -> Holder:
    """The newest note of a process that is alive, as far as can be seen."""
    here = socket.gethostname()
    found = []
    for path in stem.parent.glob(f"{stem.name}.*.json"):
        with contextlib.suppress(OSError, ValidationError):
            one = _note(path)
            if one.host != here or _is_alive(one.pid):
                found.append(one)
    return max(found, key=lambda one: one.since, default=Holder())


def _note(path: Path) -> Holder:
    """Written by anybody: no link is followed, and what is no small regular file is not read."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("no regular file")
        return Holder.model_validate_json(file.read(_LARGEST_BYTES * 4))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _uid() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return str(_uid())
