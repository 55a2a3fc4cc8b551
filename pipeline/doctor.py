"""What this machine has and lacks, each with its remedy: for a board that was chosen, or in general.

Quick, and without anything heavy: programs are asked for their version side by side, libraries are only looked for.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline import boards
from pipeline.boards import Board, QemuEmulator
from pipeline.device import lab as labs
from pipeline.device import locks, ports
from pipeline.device.discovery import Device, device_of, resolve
from pipeline.errors import DanasError, printable
from pipeline.firmware import platformio
from pipeline.settings import Target

State = Literal["ok", "warning", "missing"]
#: Exactly these work together (pyproject.toml).
_PINNED = {"platformio": "6.2.0", "scons": "4.11.1"}
_LEAST_PYTHON = (3, 11)
#: The first OpenOCD that knows `adapter serial` and `read_memory`.
_LEAST_OPENOCD = (0, 12)
_LIBRARIES = {"libc_nano.a": "libnewlib-arm-none-eabi", "libstdc++_nano.a": "libstdc++-arm-none-eabi-newlib"}
_RULES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
_ST = "0483"
_USB = Path("/sys/bus/usb/devices")
_ANSWER_S = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is, as one word.
        state: ``ok``; ``warning``: something does without it; ``missing``: it is not there, or not as it must be.
        found: What was found.
        remedy: What to do; empty where nothing has to be done.
        needed: Whether what was chosen cannot be used without it.
        on: ``machine``, or ``device`` where it is the device's own.
    """

    name: str
    state: State
    found: str
    remedy: str = ""
    needed: bool = False
    on: Literal["machine", "device"] = "machine"

    @property
    def blocks(self) -> bool:
        """Whether what was chosen cannot be used because of it."""
        return self.needed and self.state == "missing"


@dataclass(frozen=True)
class Diagnosis:
    """All that was looked at.

    Attributes:
        board: The board type that was chosen, if any.
        device: As it was asked for; ``emulated`` for an emulated board.
        findings: In the order of their looking.
    """

    board: str | None
    device: str | None
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """Whether what was chosen could be used now."""
        return not any(one.blocks for one in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**asdict(self), "usable": self.usable}


def examine(board: Board | None, target: Target, *, environment: str | None = None) -> Diagnosis:
    """Look at everything.

    Args:
        board: The board type; None: that of the target's device, or none.
        target: The device. Without one that is named, the board is meant emulated.
        environment: PlatformIO environment; None: the board's local one.

    Raises:
        UsageError: ``unknown-board``, ``no-emulator``: the board has no such engine.
    """
    lab, finding = _lab(target)
    device: Device | None = None
    wanted: list[Finding] = []
    physical = target.device is not None and not target.emulate
    if lab is not None and target.device is not None:
        try:
            device = resolve(target.device, board, lab=lab) if board is None else device_of(board, target)
            board = boards.load(device.board)
        except DanasError as error:
            wanted.append(_of_error("device", error))
    local = board is None or (environment or board.build.usual) == board.build.local
    looks: list[Callable[[], list[Finding]]] = [
        lambda: [_python(), _package("platformio"), _package("scons"), _emulator_library(board, target, physical)],
        lambda: _compiler(needed=local),
        lambda: [_host_compiler()],
        lambda: [_qemu(board, target, physical)],
        lambda: [_openocd(needed=physical and local and board is not None and board.chip is not None)],
        lambda: [_udev(), *_groups(device), _locks()],
        lambda: _device(device) if device is not None and not device.emulated else [],
    ]
    with ThreadPoolExecutor(len(looks)) as pool:
        found = [one for part in pool.map(lambda look: look(), looks) for one in part]
    if board is not None and not physical and board.emulator is None:
        wanted.append(
            Finding("emulated", "missing", f"{board.name} cannot be emulated", "Name a device with --device.", True)
        )
    where = target.device or ("emulated" if board is not None else None)
    return Diagnosis(board.name if board is not None else None, where, (*found, finding, *wanted))


def _of_error(name: str, error: DanasError) -> Finding:
    return Finding(
        name, "missing", ": ".join(part for part in (error.what, error.why) if part), error.next, True, "device"
    )


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= _LEAST_PYTHON:
        return Finding("python", "ok", version, needed=True)
    return Finding("python", "missing", version, "Install Python 3.11 or later.", True)


def _package(name: str) -> Finding:
    wanted = _PINNED[name]
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "missing", "not installed", f"pip install {name}=={wanted}", True)
    if version != wanted:
        return Finding(name, "missing", f"{version}, not {wanted}", f"pip install {name}=={wanted}", True)
    return Finding(name, "ok", version, needed=True)


def _compiler(*, needed: bool) -> list[Finding]:
    remedy = f"apt-get install {platformio.COMPILER_PACKAGES}"
    path = shutil.which("arm-none-eabi-g++")
    if path is None or shutil.which("arm-none-eabi-gcc") is None:
        return [Finding("arm-none-eabi-gcc", "missing", "not on PATH", remedy, needed)]
    found = [Finding("arm-none-eabi-gcc", "ok", _said([path, "-dumpfullversion"]) or path, needed=needed)]
    for library, package in _LIBRARIES.items():
        where = _said([path, "-mcpu=cortex-m7", "-mthumb", f"-print-file-name={library}"])
        if "/" not in where:  # the compiler says the bare name of what it does not find
            found.append(
                Finding(library, "missing", "the compiler does not find it", f"apt-get install {package}", needed)
            )
    return found


def _host_compiler() -> Finding:
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return Finding("host-compiler", "ok", name)
    return Finding(
        "host-compiler",
        "warning",
        "no cc, gcc or clang on PATH: an emulated board runs at a tenth of its speed",
        "apt-get install gcc",
    )


def _emulator_library(board: Board | None, target: Target, physical: bool) -> Finding:
    needed = board is not None and not physical and not _is_qemu(board, target)
    if importlib.util.find_spec("unicorn") is None:
        return Finding("unicorn", "missing" if needed else "warning", "not installed", _EXTRA, needed)
    return Finding("unicorn", "ok", importlib.metadata.version("unicorn"), needed=needed)


_EXTRA = "pip install 'danas-deploy[emulator]'"


def _qemu(board: Board | None, target: Target, physical: bool) -> Finding:
    needed = board is not None and not physical and _is_qemu(board, target)
    path = shutil.which("qemu-system-arm")
    if path is None:
        state: State = "missing" if needed else "warning"
        return Finding("qemu-system-arm", state, "not on PATH", "apt-get install qemu-system-arm", needed)
    version = re.search(r"version ([\d.]+)", _said([path, "--version"]))
    return Finding("qemu-system-arm", "ok", version[1] if version else path, needed=needed)


def _is_qemu(board: Board, target: Target) -> bool:
    return board.emulator is not None and isinstance(board.emulated_by(target.emulator).emulator, QemuEmulator)


def _openocd(*, needed: bool) -> Finding:
    remedy = "apt-get install openocd; it must be 0.12 or later."
    path = shutil.which("openocd")
    if path is None:
        state: State = "missing" if needed else "warning"
        return Finding("openocd", state, "not on PATH: physical STM32 boards cannot be flashed", remedy, needed)
    version = re.search(r"Open On-Chip Debugger (\d+)\.(\d+)[^\s]*", _said([path, "--version"]))
    if version is None:
        return Finding("openocd", "missing", f"{path} does not say its version", remedy, needed)
    if (int(version[1]), int(version[2])) < _LEAST_OPENOCD:
        return Finding("openocd", "missing", f"{version[0]} is too old", remedy, needed)
    return Finding("openocd", "ok", version[0].rsplit(" ", 1)[1], needed=needed)


def _udev() -> Finding:
    """Rules for ST's probes, whoever has brought them."""
    if sys.platform != "linux":
        return Finding("udev-rules", "ok", "none are needed on this system")
    for folder in _RULES:
        for path in sorted(Path(folder).glob("*.rules")):
            try:
                if _ST in path.read_text(encoding="utf-8", errors="replace"):
                    return Finding("udev-rules", "ok", printable(path))
            except OSError:
                continue
    return Finding(
        "udev-rules",
        "warning",
        "none for ST-LINK probes: only root may use one",
        "apt-get install openocd brings 60-openocd.rules; then `sudo udevadm control --reload` and replug the probe.",
    )


def _groups(device: Device | None) -> list[Finding]:
    """Whether the user is in the groups that own ports and probes."""
    try:
        import grp
    except ImportError:  # not on every system
        return []
    if os.geteuid() == 0:
        return [Finding("groups", "ok", "root")]
    port = ports.group_of(device.port) if device is not None and device.port and not device.remote else ""
    mine = set()
    for number in {*os.getgroups(), os.getegid()}:
        try:
            mine.add(grp.getgrgid(number).gr_name)
        except KeyError:
            mine.add(str(number))
    there = {one.gr_name for one in grp.getgrall()}
    wanted = [name for name in dict.fromkeys((port or "dialout", "plugdev")) if name in there and name not in mine]
    if not wanted:
        return [Finding("groups", "ok", ", ".join(sorted(mine & {port, "dialout", "plugdev"})) or "as needed")]
    return [
        Finding(
            "groups",
            "warning",
            f"not a member of {', '.join(wanted)}",
            f"sudo usermod -aG {','.join(wanted)} $USER, and log in again.",
        )
    ]


def _locks() -> Finding:
    try:
        return Finding("locks", "ok", printable(locks.folder()), needed=True)
    except DanasError as error:
        return Finding("locks", "missing", f"{error.what}: {error.why}", error.next, True)


def _lab(target: Target) -> tuple[labs.Lab | None, Finding]:
    try:
        lab = labs.open_lab(target.lab)
    except DanasError as error:
        return None, Finding("lab.toml", "missing", f"{error.what}: {error.why}", error.next, True)
    number = len(lab.entries)
    what = f"{number} device{'' if number == 1 else 's'}" if lab.path.exists() else "none, and none is needed"
    return lab, Finding("lab.toml", "ok", f"{printable(lab.path)}: {what}", needed=True)


def _device(device: Device) -> list[Finding]:
    """The device's own: is it there, its port free and ours, its probe ours."""
    found = [Finding("device", "ok", str(device), needed=True, on="device")]
    port = device.port or ""
    if device.remote:
        found.append(Finding("port", "ok", f"{printable(port)}, which is not asked", needed=True, on="device"))
        return found
    try:
        ports.demand_usable(port)
    except DanasError as error:
        found.append(_of_error("port", error))
    else:
        found.append(Finding("port", "ok", printable(port), needed=True, on="device"))
    try:
        holder = locks.holder(device)
    except DanasError:
        holder = None
    if holder is not None:
        found.append(Finding("lock", "missing", f"held by {holder}", "Wait for it with --wait 10m.", True, "device"))
    probe = _probe(device)
    return [*found, probe] if probe is not None else found


def _probe(device: Device) -> Finding | None:
    """Whether the probe may be used, by its node on the USB; None where that cannot be seen."""
    for serial in _USB.glob("*/serial"):
        try:
            if serial.read_text().strip().upper() != (device.serial_number or "").upper():
                continue
            bus, number = (int((serial.parent / name).read_text()) for name in ("busnum", "devnum"))
        except (OSError, ValueError):
            continue
        node = Path(f"/dev/bus/usb/{bus:03d}/{number:03d}")
        if os.access(node, os.R_OK | os.W_OK):
            return Finding("probe", "ok", str(node), needed=True, on="device")
        remedy = "Install OpenOCD's udev rules (60-openocd.rules), join the group plugdev, log in again and replug it."
        return Finding("probe", "missing", f"no permission for {node}", remedy, True, "device")
    return None


def _said(command: Sequence[str]) -> str:
    """What a program says of itself; nothing where it fails or takes long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_S, check=False, errors="replace")
    except (OSError, subprocess.SubprocessError):
        return ""
    return printable((done.stdout + done.stderr).strip(), 300) if done.returncode == 0 else ""
