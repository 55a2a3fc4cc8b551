"""Whether a serial port can be used, seen before anything is flashed: it is there, it is one, it is free, and ours.

Each way in which it cannot has an id of its own; the same errors come from opening a
:class:`~pipeline.device.link.SerialLink`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from pipeline.errors import NoBoardError, printable


def demand_usable(port: str) -> None:
    """Refuse a port that could not be opened for ourselves alone; a URL is not looked at.

    The port is opened for a moment, without changing its settings.

    Raises:
        NoBoardError: ``no-such-port``, ``port-not-serial``, ``port-permission``, ``port-held``.
    """
    if "://" in port or os.name != "posix":
        return
    demand_there(port)
    other = holder(port)
    if other:
        raise _held(port, other)
    try:
        handle = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise open_error(port, error) from error
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise _held(port, "") from error
    finally:
        os.close(handle)


def demand_there(port: str) -> None:
    """Refuse a port that is not there, is something else than a character device, or not ours to open.

    Raises:
        NoBoardError: ``no-such-port``, ``port-not-serial``, ``port-permission``.
    """
    if "://" in port or os.name != "posix":
        return
    try:
        mode = Path(port).stat().st_mode
    except (OSError, ValueError) as error:
        raise NoBoardError(
            "no-such-port",
            f"there is no port {printable(port)}",
            why=printable(getattr(error, "strerror", None) or error),
            next="Check the name: `danas-deploy devices` lists what is attached.",
        ) from error
    if not stat.S_ISCHR(mode):
        raise _not_serial(port, mode)
    if not os.access(port, os.R_OK | os.W_OK):
        raise _permission(port, "")


def open_error(port: str, error: Exception) -> NoBoardError:
    """What it means to the user that a port could not be opened."""
    number = getattr(error, "errno", None)
    text = str(error)
    if number in (errno.EAGAIN, errno.EBUSY) or "exclusively lock" in text:
        return _held(port, holder(port))
    if number in (errno.EACCES, errno.EPERM):
        return _permission(port, text)
    if "://" not in port:
        with contextlib.suppress(OSError, ValueError):
            mode = Path(port).stat().st_mode
            if not stat.S_ISCHR(mode):
                return _not_serial(port, mode)
    return NoBoardError(
        "no-such-port",
        f"cannot open {printable(port)}",
        why=printable(text),
        next="Check host and port, and that the exporter there runs and serves nobody else."
        if "://" in port
        else "Check the name: `danas-deploy devices` lists what is attached.",
    )


def holder(port: str) -> str:
    """Number and name of another process that has the port open, as far as this user may see; else empty."""
    try:
        wanted = os.path.realpath(port)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if any(str(link.readlink()) == wanted for link in (entry / "fd").iterdir()):
                    return printable(f"{entry.name} ({(entry / 'comm').read_text().strip()})")
    except (OSError, ValueError):
        pass
    return ""


def group_of(path: str | Path) -> str:
    """Name of the group that a file belongs to; its number where it has none; empty where it cannot be seen."""
    try:
        import grp

        number = Path(path).stat().st_gid
    except (OSError, ValueError, ImportError):
        return ""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _held(port: str, other: str) -> NoBoardError:
    return NoBoardError(
        "port-held",
        f"{printable(port)} is in use",
        why=f"Process {other} has it open." if other else "Another program has it open.",
        next="Close that program (a serial monitor?) and try again.",
    )


def _permission(port: str, text: str) -> NoBoardError:
    group, mode = group_of(port), 0o660
    with contextlib.suppress(OSError, ValueError):
        mode = Path(port).stat().st_mode
    if not group:
        way = "Join the port's group, usually `sudo usermod -aG dialout $USER`, and log in again."
    elif group != "root" and mode & 0o060 == 0o060:
        way = f"Join its group: `sudo usermod -aG {printable(group, 40)} $USER`, and log in again."
    else:
        way = "No group may open it: install udev rules for the probe (docs/lab.md), and plug it in again."
    return NoBoardError(
        "port-permission",
        f"no permission to open {printable(port)}",
        why=f"It belongs to the group {printable(group, 40)}. {printable(text)}".strip() if group else printable(text),
        next=way,
    )


def _not_serial(port: str, mode: int) -> NoBoardError:
    kind = "a directory" if stat.S_ISDIR(mode) else "a file" if stat.S_ISREG(mode) else "something else"
    return NoBoardError(
        "port-not-serial",
        f"{printable(port)} is no serial port",
        why=f"It is {kind}.",
        next="Name a device file: `danas-deploy devices` lists what is attached.",
    )
