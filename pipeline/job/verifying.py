"""One model on many devices, side by side: each device is a run of its own, in a process of its own.

::

    VERIFICATION/
      request.json        what was asked for: taken up again only for the same
      model.tflite  inputs.npy
      DEVICE/             a run directory each
      verification.json  junit.xml  verification.md

A device that hangs, crashes or is somebody else's takes no other with it. What has finished is kept: the same command
again does what is missing.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from pipeline import boards, resources
from pipeline.errors import DanasError, DeviceError, UsageError, printable, rebuilt, shell_word
from pipeline.files import disk_problem, file_sha256, write_atomic
from pipeline.report.matrix import DeviceResult, Problem, Verification
from pipeline.report.model import Report
from pipeline.settings import EMULATED, Target

if TYPE_CHECKING:
    from pipeline.device.lab import Lab

#: A device that has not finished after this is given up, in seconds: every wait in its process ends before that.
DEADLINE_S = 3600.0
#: A process that was told to end is killed after this, in seconds.
_GRACE_S = 10.0
_OUTCOME_S = 0.2
_OUTSIDE = re.compile(r"[^A-Za-z0-9._-]+")
#: Exit code of a run whose gate failed: it has a report all the same.
_GATE = 7


@dataclass(frozen=True)
class Wanted:
    """A device that the model is to be verified on.

    Attributes:
        name: As the user named it.
        board: Its type.
        target: Whether it is emulated.
        where: The same, and which one, for a program that runs on it.
        options: Of ``danas-deploy deploy`` and ``resume``, which choose it.
    """

    name: str
    board: str
    target: Literal["emulated", "device"]
    where: Target
    options: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is verified.

    Attributes:
        name: Of the model or run, for people.
        model: The .tflite.
        sha256: Of it.
        inputs: .npy with inputs; None: random ones.
        options: Of ``danas-deploy deploy``, for every device alike.
        deadline_s: For each device.
        processes: Devices at a time.
    """

    name: str
    model: Path
    sha256: str
    inputs: Path | None = None
    options: tuple[str, ...] = ()
    deadline_s: float = DEADLINE_S
    processes: int = 2

    def identity(self, wanted: Sequence[Wanted]) -> dict[str, Any]:
        """What the results depend on, as JSON."""
        return {
            "schema_version": 1,
            "model": self.sha256,
            "inputs": file_sha256(self.inputs) if self.inputs is not None else None,
            "options": list(self.options),
            "devices": {one.name: [one.board, one.where.place] for one in wanted},
        }


def chosen(text: str, *, lab: str | None = None, wait_s: float = 0.0) -> tuple[Wanted, ...]:
    """The devices that a user names. Whether one is attached and free is seen when its turn comes.

    Args:
        text: ``all`` of the lab file, or a list with commas of what ``--device`` takes.
        lab: The lab file; None: by ``DANAS_LAB``, or the user's own.
        wait_s: How long to wait for one that another job has.

    Raises:
        UsageError: ``no-devices``, ``device-twice``, ``unknown-board``, ``no-board-given``, and what the lab file's
            reader raises.
        NoBoardError: ``unknown-device``.
    """
    from pipeline.device.lab import open_lab

    known = open_lab(lab)
    names = (
        [one.alias for one in known.entries] if text.strip() == "all" else [name.strip() for name in text.split(",")]
    )
    if not names or not all(names):
        raise UsageError(
            "no-devices",
            f"--devices {printable(text)!r} names {'a device without a name' if names else 'none'}",
            why=f"`all` means all of the lab file, {printable(known.path)}; it has {len(known.entries)}.",
            next="Name some: emulated:BOARD, or an alias that `danas-deploy devices` shows.",
        )
    found: dict[str, Wanted] = {}
    for name in names:
        one, identity = _named(name, known, lab, wait_s)
        if identity in found:
            raise UsageError(
                "device-twice",
                f"{printable(name)} and {printable(found[identity].name)} are the same device",
                why="A device does one thing at a time.",
                next="Name it once.",
            )
        found[identity] = one
    return tuple(found.values())


def _named(name: str, known: Lab, lab: str | None, wait_s: float) -> tuple[Wanted, str]:
    """A device, and what makes it the same as another one."""
    from pipeline.device.discovery import resolve

    if name.startswith(EMULATED):
        board = boards.load(name.removeprefix(EMULATED)).name
        where = Target(emulate=True, device=name)
        return Wanted(name, board, "emulated", where, ("--device", name)), name
    entry = known.by_alias(name)
    if entry is not None:
        board, identity = entry.board, entry.serial_number or entry.port or name
    else:
        device = resolve(name, lab=known)
        board, identity = device.board, device.serial_number or device.port or name
    where = Target(device=name, lab=lab, wait_s=wait_s)
    options = ["--device", name, *(("--lab", lab) if lab else ()), *(("--wait", f"{wait_s:.0f}s") if wait_s else ())]
    return Wanted(name, board, "device", where, tuple(options)), identity.upper()


def verify(
    request: Request, wanted: Sequence[Wanted], into: Path, *, finished: Callable[[DeviceResult], None]
) -> Verification:
    """Run the model on every device and collect the reports.

    Args:
        request: What is verified.
        wanted: The devices; their names are unique.
        into: The verification's folder.
        finished: Called with each result as it comes, from this thread.

    Raises:
        UsageError: ``verification-exists``: the folder holds another one.
        EnvironmentProblem: ``disk-full`` or ``not-writable``.
        KeyboardInterrupt: The user's; the devices' processes have been ended, what they have finished is kept.
    """
    _claim(request, wanted, into)
    folders = _folders(wanted)
    results: dict[str, DeviceResult] = {}
    children = _Children()
    pool = ThreadPoolExecutor(max_workers=max(1, request.processes))
    try:
        jobs: set[Future[DeviceResult]] = {
            pool.submit(_one, request, one, into, folders[one.name], children) for one in wanted
        }
        while jobs:
            done, jobs = wait(jobs, timeout=_OUTCOME_S, return_when=FIRST_COMPLETED)
            for job in done:
                result = job.result()
                results[result.device] = result
                finished(result)
    except BaseException:
        children.end()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return Verification(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        name=request.name,
        model=request.sha256,
        devices=tuple(results[one.name] for one in wanted),
    )


def _claim(request: Request, wanted: Sequence[Wanted], into: Path) -> None:
    """Make the folder this verification's own."""
    identity = request.identity(wanted)
    file = into / "request.json"
    try:
        into.mkdir(parents=True, exist_ok=True)
        kept = json.loads(file.read_bytes()) if file.is_file() else None
        strange = kept is None and any(into.iterdir())
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise disk_problem(error, into) from error
        kept, strange = None, True
    if strange or kept not in (None, identity):
        raise UsageError(
            "verification-exists",
            f"{printable(into, 4096)} holds another verification, or something else",
            why="A verification is taken up again only with the same model, inputs, devices and options.",
            next="Name another folder with --into.",
        )
    write_atomic(file, json.dumps(identity, indent=2, ensure_ascii=False) + "\n")


def _folders(wanted: Sequence[Wanted]) -> dict[str, str]:
    """A folder's name for each device: its own, as far as a file may be called so."""
    found: dict[str, str] = {}
    for one in wanted:
        stem = _OUTSIDE.sub("-", one.name).strip("-.")[:60] or "device"
        name, number = stem, 1
        while name in found.values():
            number += 1
            name = f"{stem}-{number}"
        found[one.name] = name
    return found


@dataclass
class _Children:
    """The processes under way; when they are ended, no more is started."""

    running: set[subprocess.Popen[str]] = field(default_factory=set)
    over: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def start(self, arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        with self._lock:
            if self.over:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                errors="replace",
                # A Ctrl-C at the terminal is for us; we end the others in order.
                start_new_session=True,
            )
            self.running.add(process)
        try:
            yield process
        finally:
            _end(process)
            self.running.discard(process)

    def end(self) -> None:
        """Tell all to end; each leaves its run as it can be taken up."""
        with self._lock:
            self.over = True
            for process in self.running:
                process.terminate()


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.communicate(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _one(request: Request, wanted: Wanted, into: Path, folder: str, children: _Children) -> DeviceResult:
    """The model on one device; whatever happens there is a result."""
    began = time.monotonic()
    report: Report | None = None
    problem: Problem | None = None
    try:
        report = _reported(request, wanted, into / folder, children)
    except DanasError as error:
        problem = Problem.model_validate(error.as_dict())
    return DeviceResult(
        device=wanted.name,
        board=wanted.board,
        target=wanted.target,
        run=folder,
        seconds=round(time.monotonic() - began, 1),
        report=report,
        problem=problem,
    )


def _reported(request: Request, wanted: Wanted, folder: Path, children: _Children) -> Report:
    """The report of a process that works on the device.

    Raises:
        DanasError: What the process ended with, or that it did not end.
    """
    command = [resources.python(), "-m", "pipeline"]
    if (folder / "manifest.json").is_file():
        command += ["resume", str(folder)]
    else:
        command += ["deploy", str(request.model), "--board", wanted.board, "--run", str(folder), *request.options]
        command += ["--inputs", str(request.inputs)] if request.inputs is not None else []
    command += [*wanted.options, "--json", "--quiet"]
    with children.start(command) as process:
        try:
            output, _ = process.communicate(timeout=request.deadline_s)
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                "verify-timeout",
                f"{printable(wanted.name)} has not finished after {request.deadline_s:.0f} s",
                why="Its process was ended; what it had finished is kept.",
                next="Reset the device, and give the same command again; --deadline allows more time.",
            ) from error
    if process.returncode in (0, _GATE):
        with contextlib.suppress(ValidationError, OSError):
            return Report.model_validate_json((folder / "report.json").read_bytes())
    raise _problem(output, process.returncode, folder)


def _problem(output: str, code: int, folder: Path) -> DanasError:
    """What a process without a report says of it."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        error = json.loads(output)["error"]
        if isinstance(error, dict):
            return rebuilt(error)
    return DanasError(
        "bug",
        f"the process of {printable(folder.name)} ended with code {code} and no report",
        why="This is a bug in danas-deploy, or it was killed.",
        next=f"See what `danas-deploy resume {shell_word(folder)} --debug` says.",
    )
