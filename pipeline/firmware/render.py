"""Renders the sources of a firmware: a Graph and a Board become a folder that PlatformIO can build.

::

    into/src/                 the model, who the program is, the copy of its first output
    into/lib/{app,port,runtime}/   command loop, board port, the runtime with the kernels that the model needs
    into/linker.ld            memory layout
    into/render.json          what was rendered (schema_version 1), read by the build
    into/build/               PlatformIO's output; see :mod:`pipeline.firmware.build`

A file is written only when its content changes, so that a build after a change of the model compiles the model alone;
what an earlier rendering left in ``src`` and ``lib`` and this one does not need is removed.

The build id names everything that the program is made of: SHA-256 (16 digits) over all sources, the environment's part
of platformio.ini, the development platform and the compiler's version.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import boards, resources
from pipeline.boards import Board
from pipeline.errors import BuildError, EnvironmentProblem, UsageError, printable
from pipeline.estimate.model import MemoryPlan
from pipeline.estimate.regions import RamLayout, place
from pipeline.files import disk_problem
from pipeline.firmware import memory
from pipeline.firmware.filters import CText
from pipeline.firmware.filters import environment as template_environment
from pipeline.firmware.platformio import COMPILER_PACKAGES
from pipeline.firmware.runtimes import open_runtime
from pipeline.firmware.runtimes.protocol import Runtime
from pipeline.graph.model import Graph

#: Folders and files of firmware_templates/port that each port is made of.
_PORTS: dict[str, tuple[str, ...]] = {
    "arduino": ("arduino", "cortex_m/registers.h"),
    "mps2": ("cortex_m", "mps2"),
    "stm32f4": ("cortex_m", "stm32", "stm32f4"),
    "stm32f7": ("cortex_m", "stm32", "stm32f7"),
    "stm32h7": ("cortex_m", "stm32", "stm32h7"),
    "stm32l4": ("cortex_m", "stm32", "stm32l4"),
}

_IDENTITY = "src/identity.cpp"

#: Model ids of MLPerf Tiny whose data sets are pixels, 0 to 255. Its runner sends the files as they are, and the
#: benchmark's own firmware takes 128 from each byte (mlcommons/tiny, th_load_tensor of these two benchmarks).
PIXEL_MODELS = ("vww01", "ic01")
_PIXEL_FLIP = 0x80
_MANIFEST = "render.json"
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


@dataclass(frozen=True)
class Rendered:
    """A rendered firmware: its folder, who it will be, and the PlatformIO environment that its build id is for."""

    folder: Path
    board: str
    build_id: str
    model_hash: str
    environment: str


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    board: str
    environment: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,80}$")]
    build_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    model_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    model_id: Annotated[str, Field(pattern=f"^{_MODEL_ID.pattern}$")]


def render(
    graph: Graph,
    plan: MemoryPlan,
    board: Board,
    *,
    into: Path,
    runtime: Runtime | None = None,
    model_id: str | None = None,
    baud: int | None = None,
    environment: str | None = None,
    static_bytes: int | None = None,
) -> Rendered:
    """Render the sources of ``graph`` on ``board`` into the folder ``into``.

    Args:
        graph: A Graph read from a .tflite file (with data and hash).
        plan: The memory plan that will run.
        board: The board type.
        into: Folder of this firmware; made where it is missing.
        runtime: The inference engine that the plan is for; default: ``aot``.
        model_id: What ``profile%`` answers; 1 to 32 letters, digits, ``.``, ``_``, ``-``. Default: the hash's first
            8 digits.
        baud: Rate of the serial port; default: the board's.
        environment: PlatformIO environment; default: the board's local one.
        static_bytes: Static data at most, which decides where the arena lies in RAM of several pieces; default: the
            runtime's estimate.

    Raises:
        UsageError: ``skeleton``, ``bad-model-id``, ``bad-baud``, ``unknown-port``, ``unknown-environment``, or what
            :meth:`pipeline.firmware.runtimes.protocol.Runtime.files` refuses.
        EnvironmentProblem: ``disk-full``, ``not-writable`` or ``missing-compiler``.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", graph.sha256):
        raise UsageError("skeleton", "a Graph without data cannot be rendered", next="Read it from a .tflite file.")
    name = graph.sha256[:8] if model_id is None else model_id
    if not _MODEL_ID.fullmatch(name):
        raise UsageError(
            "bad-model-id",
            f"model id {printable(name)!r} cannot be sent over the line protocol",
            next="Use 1 to 32 letters, digits, dots, underscores or dashes.",
        )
    rate = board.serial.baud if baud is None else baud
    if not 9600 <= rate <= 4_000_000:
        raise UsageError("bad-baud", f"{rate} baud is out of range", next="Choose 9600 to 4000000; 115200 is usual.")
    chosen = environment or board.build.usual
    environment_text(chosen)
    engine = open_runtime() if runtime is None else runtime
    files = {
        **_model_files(graph, plan, engine),
        **_program_files(board),
        **_port_files(board, rate, _layout(graph, plan, board, engine, static_bytes)),
    }
    manifest = _Manifest(
        board=board.name, environment=chosen, build_id="0" * 16, model_hash=graph.sha256, model_id=name
    )
    with _writing(into):
        _remove_stale(into, {*files, _IDENTITY})
        for path in sorted(files):
            _write(into / path, files[path])
        return _stamp(into, manifest)


def restamp(folder: Path, *, environment: str | None = None) -> Rendered:
    """Bring the build id of a rendered folder up to date: with the files as they are, and for that environment.

    Raises:
        BuildError: ``not-rendered``.
        UsageError: ``unknown-environment``.
        EnvironmentProblem: ``disk-full`` or ``not-writable``.
    """
    try:
        manifest = _Manifest.model_validate_json((folder / _MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise BuildError(
            "not-rendered",
            f"{printable(folder)} holds no rendered firmware",
            why=printable(error),
            next="Render it first.",
        ) from error
    if environment is not None:
        manifest = manifest.model_copy(update={"environment": environment})
    with _writing(folder):
        return _stamp(folder, manifest)


def environment_text(name: str) -> str:
    """The sections of platformio.ini that make up an environment, itself first, those it extends or quotes after it.

    Raises:
        UsageError: ``unknown-environment``.
    """
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=None, strict=True)
    parser.read_string(resources.platformio_ini().read_text(encoding="utf-8"))
    wanted = [f"env:{name}"]
    if not re.fullmatch(r"[A-Za-z0-9_]{1,80}", name) or not parser.has_section(wanted[0]):
        known = ", ".join(section[4:] for section in parser.sections() if section.startswith("env:"))
        raise UsageError(
            "unknown-environment",
            f"platformio.ini has no environment {printable(name)!r}",
            why=f"it has {known}",
            next="Choose one of them, or leave the choice to the board.",
        )
    if parser.has_section("env"):
        wanted.append("env")
    lines: list[str] = []
    for section in wanted:  # grows on the way
        lines.append(f"[{section}]")
        for key, value in sorted(parser.items(section)):
            lines.append(f"{key}={value}")
            quoted = re.findall(r"\$\{([A-Za-z0-9_:]+)\.[A-Za-z0-9_]+\}", value)
            if key == "extends":
                quoted += re.split(r"[,\s]+", value.strip())
            wanted += [other for other in quoted if parser.has_section(other) and other not in wanted]
    return "\n".join(lines) + "\n"


def _model_files(graph: Graph, plan: MemoryPlan, runtime: Runtime) -> dict[str, str]:
    made = runtime.files(graph, plan)
    files = {f"src/{path}": text for path, text in made.model.items()}
    files["src/first_output.cpp"] = _template("app", "first_output.cpp.j2", output_bytes=graph.output.nbytes)
    files.update({f"lib/runtime/{path}": text for path, text in made.library.items()})
    return files


def _layout(graph: Graph, plan: MemoryPlan, board: Board, runtime: Runtime, static: int | None) -> RamLayout:
    """Where the linker is to put stack, static data and arena.

    In RAM of one piece the size of static data decides nothing. Where there are several it is taken from the estimate,
    with as much more as that may be wrong by.
    """
    if static is None and len(board.areas) > 1:
        figures = runtime.estimate(graph, board, plan)
        static = figures.blocks["static"] + int(runtime.tolerances.ram * figures.ram_bytes)
    return place(board, stack=runtime.stack_bytes(board), static=static or 0, arena=plan.arena_bytes)


def _program_files(board: Board) -> dict[str, str]:
    app = resources.firmware_templates() / "app"
    files = {f"lib/app/{path.name}": _read(path) for path in sorted(app.iterdir()) if path.suffix in (".h", ".cpp")}
    files["lib/app/library.json"] = _small_library("app")
    if board.build.framework is not None:
        del files["lib/app/main.cpp"]  # the framework has its own, which calls that of our port
        # Its flags are made for size; kernels are compiled as everywhere.
        files["lib/runtime/library.json"] = json.dumps({"name": "runtime", "build": {"flags": "-O2"}}) + "\n"
    return files


def _small_library(name: str) -> str:
    """What tells PlatformIO to compile a library for size: all but kernels waits for the UART.

    Loops stay loops: what the C library's memcpy and memset would save, a program that has no use for them never gains.
    """
    return json.dumps({"name": name, "build": {"flags": "-Os -fno-tree-loop-distribute-patterns"}}) + "\n"


def _port_files(board: Board, baud: int, layout: RamLayout) -> dict[str, str]:
    port = resources.firmware_templates() / "port"
    try:
        parts = _PORTS[board.port]
    except KeyError:
        raise UsageError(
            "unknown-port",
            f"board {board.name}: there is no port {printable(board.port)!r}",
            why=f"ports: {', '.join(sorted(_PORTS))}",
            next="Mend the field `port` of the board file.",
        ) from None
    stack_bytes = layout.blocks[0].bytes
    files = {
        "lib/port/board.h": _template(
            "port", "board.h.j2", board=board, baud=baud, emulated_hz=_emulated_hz(board), stack_bytes=stack_bytes
        ),
        "lib/port/library.json": _small_library("port"),
        "lib/port/port.h": _read(port / "port.h"),
    }
    if board.build.framework is None:  # else it has a linker script of its own
        files["linker.ld"] = _template(
            "port",
            "linker.ld.j2",
            board=board,
            flash=board.flash[0],
            places=memory.places(board, layout),
            stack_bytes=stack_bytes,
        )
    for part in parts:
        for path in sorted((port / part).iterdir()) if (port / part).is_dir() else (port / part,):
            if path.suffix in (".h", ".cpp"):
                files[f"lib/port/{path.relative_to(port).as_posix()}"] = _read(path)
    return files


def _emulated_hz(board: Board) -> int:
    """Instructions in a second of the emulated board's own time, on an engine that gives the core no cycle counter.

    Whichever engine runs the program, it is the same one.
    """
    rates = [one.instructions_per_second for one in board.emulators if isinstance(one, boards.QemuEmulator)]
    return rates[0] if rates else board.core.clock_hz


def _template(folder: str, name: str, **values: object) -> str:
    jinja = template_environment(resources.firmware_templates() / folder)
    # The linker reads no C suffixes.
    jinja.filters["ld_address"] = lambda value: CText(f"0x{int(value):08X}")
    jinja.filters["ld_memory"] = _memory_name
    return jinja.get_template(name).render(**values)


def _memory_name(name: str) -> CText:
    if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,59}", name):
        raise ValueError(f"{name!r} is no name of a memory")
    return CText(name)


def _stamp(folder: Path, manifest: _Manifest) -> Rendered:
    """Compute the build id of the files on disk, and write identity.cpp and the manifest."""
    stamped = manifest.model_copy(update={"build_id": _build_id(folder, manifest)})
    _write(
        folder / _IDENTITY,
        _template(
            "app",
            "identity.cpp.j2",
            board=stamped.board,
            build_id=stamped.build_id,
            model_hash=stamped.model_hash,
            model_id=stamped.model_id,
            db_flip=_PIXEL_FLIP if stamped.model_id in PIXEL_MODELS else 0,
        ),
    )
    _write(folder / _MANIFEST, stamped.model_dump_json(indent=2) + "\n")
    return Rendered(folder, stamped.board, stamped.build_id, stamped.model_hash, stamped.environment)


def _build_id(folder: Path, manifest: _Manifest) -> str:
    digest = hashlib.sha256()

    def add(name: str, content: bytes) -> None:
        digest.update(f"{len(name)} {name} {len(content)} ".encode())
        digest.update(content)

    add("board", manifest.board.encode())
    add("model", f"{manifest.model_hash} {manifest.model_id}".encode())
    add("environment", environment_text(manifest.environment).encode())
    add("compiler", _compiler(manifest).encode())
    for path in [folder / "linker.ld", *_sources(folder)]:
        name = path.relative_to(folder).as_posix()
        if name != _IDENTITY and path.is_file():
            add(name, path.read_bytes())
    platform = resources.firmware_templates() / "platform"
    for path in sorted(platform.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            add(f"platform/{path.relative_to(platform).as_posix()}", path.read_bytes())
    return digest.hexdigest()[:16]


def _compiler(manifest: _Manifest) -> str:
    """Version of the local compiler. A registry environment pins its compiler in platformio.ini."""
    if manifest.environment != boards.load(manifest.board).build.local:
        return "from the registry"
    if shutil.which("arm-none-eabi-gcc") is None:
        return "absent"
    try:
        found = subprocess.run(
            ["arm-none-eabi-gcc", "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentProblem(
            "missing-compiler",
            "arm-none-eabi-gcc does not say its version",
            why=printable(error),
            next=f"Install it again: apt-get install {COMPILER_PACKAGES}",
        ) from error
    return found.stdout.partition("\n")[0]


def _sources(folder: Path) -> list[Path]:
    return sorted(path for part in ("src", "lib") for path in (folder / part).rglob("*") if path.is_file())


def _remove_stale(folder: Path, wanted: set[str]) -> None:
    for path in _sources(folder):
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_problem(error, folder) from error


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    """Write a file where its content differs; whole or not at all."""
    data = text.encode("utf-8")
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
