"""Runs PlatformIO on a rendered folder: one sub-process, its own environment, a deadline, lines as they come.

``pio run -d PROJECT -e ENV`` always runs on the one platformio.ini; PLATFORMIO_* variables point it at the sources and
the output of a run directory. Variables of the user that would change what is built are not passed on.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from pipeline import resources
from pipeline.errors import BuildError, EnvironmentProblem, UsageError, printable

#: Debian's packages of the local environments' compiler.
COMPILER_PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib"
#: PlatformIO's builder, SCons, puts paths into command lines of a shell, and ``$`` and ``%`` mean something to itself.
_SAFE_PATH = re.compile(r"(?:[\w/.+,:=@~-]| (?! ))*")
#: A build takes seconds; the first one of a registry environment fetches a compiler.
DEADLINE_S = 1800.0
_LINE_LIMIT = 4000
#: Variables with which GCC would find other headers, libraries or programs.
_COMPILER_VARIABLES = frozenset(
    ["CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX"]
)

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """How a run of PlatformIO ended: exit status, everything it said."""

    status: int
    lines: tuple[str, ...]


def run(
    folder: Path,
    environment: str,
    *,
    targets: Sequence[str] = (),
    on_line: OnLine | None = None,
    deadline_s: float = DEADLINE_S,
    variables: Mapping[str, str] | None = None,
    verbose: bool = False,
) -> Outcome:
    """Run ``pio run`` on a rendered folder.

    Args:
        folder: A folder that :func:`pipeline.firmware.render.render` has filled.
        environment: An environment of platformio.ini.
        targets: PlatformIO targets; none is a build, ``nobuild`` and ``upload`` flash what is built.
        on_line: Called with each line, control characters removed.
        deadline_s: After this many seconds the run is ended.
        variables: Further environment variables (``DANAS_PROBE_SERIAL``).
        verbose: Show whole command lines.

    Raises:
        BuildError: ``build-timeout``.
        EnvironmentProblem: ``missing-platformio``.
        UsageError: ``unsafe-folder``.
        KeyboardInterrupt: Passed on, after the whole process group has ended.
    """
    if importlib.util.find_spec("platformio") is None:
        raise EnvironmentProblem(
            "missing-platformio",
            "PlatformIO is not installed",
            next="Install danas-deploy again with its dependencies.",
        )
    demand_safe(folder.resolve())
    demand_safe(project())
    command = [resources.python(), "-m", "platformio", "run", "--disable-auto-clean"]
    command += ["-d", str(project()), "-e", environment]
    for target in targets:
        command += ["-t", target]
    if verbose:
        command.append("-v")
    lines: list[str] = []
    with _started(command, {**_variables(folder), **(variables or {})}) as process:
        for line in _lines(process, time.monotonic() + deadline_s):
            lines.append(line)
            if on_line is not None:
                on_line(line)
        status = process.wait()
    return Outcome(status, tuple(lines))


def demand_safe(folder: Path) -> None:
    """Refuse a folder whose name the builder would take for something else, or hand to a shell as a command.

    Raises:
        UsageError: ``unsafe-folder``.
    """
    fits = _SAFE_PATH.match(str(folder))
    end = fits.end() if fits is not None else 0
    if end < len(str(folder)):
        raise UsageError(
            "unsafe-folder",
            f"PlatformIO cannot build in {printable(folder)}",
            why=f"Its builder takes {str(folder)[end]!r} for more than a character of a name.",
            next="Use a folder of letters, digits, single spaces and - _ . + , : = @ ~ in all of its path.",
        )


def project() -> Path:
    """The folder that holds platformio.ini and the platform, writable: PlatformIO refuses any other.

    Nothing is written there. Where danas-deploy is installed read-only, it is a copy in the user's cache.
    """
    root = resources.root()
    if _is_writable(root):
        return root
    digest = hashlib.sha256()
    platform = root / "firmware_templates" / "platform"
    files = [root / "platformio.ini", *sorted(path for path in platform.rglob("*") if path.is_file())]
    files = [path for path in files if "__pycache__" not in path.parts]
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    copy = _cache() / f"project-{digest.hexdigest()[:16]}"
    if not copy.is_dir():
        partial = copy.with_name(f"{copy.name}.{os.getpid()}")
        for path in files:
            target = partial / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        try:
            partial.replace(copy)
        except OSError:  # another process was first
            shutil.rmtree(partial, ignore_errors=True)
    return copy


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def output(folder: Path, environment: str) -> Path:
    """Where a build leaves firmware.elf, firmware.bin and firmware.map."""
    return folder / "build" / environment


def _cache() -> Path:
    return platformdirs.user_cache_path("danas-deploy", appauthor=False) / "platformio"


def _core() -> str:
    """PlatformIO's own folder. One a checkout: it remembers where the local platform is."""
    chosen = os.environ.get("PLATFORMIO_CORE_DIR")
    if chosen:
        return chosen
    place = hashlib.sha256(str(resources.root()).encode()).hexdigest()[:12]
    return str(_cache() / f"core-{place}")


def _variables(folder: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PLATFORMIO_") and name not in _COMPILER_VARIABLES
    }
    here = folder.resolve()
    build = here / "build"
    return {
        **kept,
        "PLATFORMIO_CORE_DIR": _core(),
        "PLATFORMIO_SRC_DIR": str(here / "src"),
        "PLATFORMIO_INCLUDE_DIR": str(here / "src"),
        "PLATFORMIO_LIB_DIR": str(here / "lib"),
        "PLATFORMIO_GLOBALLIB_DIR": str(build / "none"),
        "PLATFORMIO_TEST_DIR": str(build / "none"),
        "PLATFORMIO_DATA_DIR": str(build / "none"),
        "PLATFORMIO_WORKSPACE_DIR": str(build),
        "PLATFORMIO_BUILD_DIR": str(build),
        "DANAS_TFLM_CACHE": str(_cache().parent / "tflm"),
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_DISABLE_PROGRESSBAR": "true",
        "PLATFORMIO_NO_ANSI": "true",
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",  # compiler messages are read
    }


@contextlib.contextmanager
def _started(command: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The process in a session of its own, so that ending it ends the compilers it has started."""
    try:
        process = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise EnvironmentProblem(
            "missing-platformio", "PlatformIO could not be started", why=printable(error), next="Install it again."
        ) from error
    try:
        yield process
    finally:
        if process.poll() is None:
            _end(process)
        if process.stdout is not None:
            process.stdout.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=3)
            break
    # A compiler may outlive the leader of its group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _lines(process: subprocess.Popen[bytes], deadline: float) -> Iterator[str]:
    stream = process.stdout
    assert stream is not None  # noqa: S101 - it was asked for
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BuildError(
                    "build-timeout",
                    "PlatformIO did not finish in time",
                    why=printable(pending.decode("utf-8", "replace")),
                    next="Try again; the first build of a registry environment fetches its compiler.",
                )
            if not selector.select(min(left, 1.0)):
                continue
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                break
            *whole, pending = (pending + chunk).split(b"\n")
            for line in whole:
                yield printable(line.decode("utf-8", "replace").rstrip("\r"), _LINE_LIMIT)
    if pending:
        yield printable(pending.decode("utf-8", "replace"), _LINE_LIMIT)
