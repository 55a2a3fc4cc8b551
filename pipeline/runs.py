"""The run directory: a manifest, a journal of finished stages, and their artifacts with hashes.

::

    RUN/
      manifest.json      settings, seed, versions of everything that computes
      journal.jsonl      one line a finished stage: its key, its outputs with SHA-256, seconds; and one line an event
      search/            study.db, supernets/, candidates.json, history.json, space.json
      finalists/         the three best, each with model.tflite and its record
      model.tflite       the winner, or the model given to `deploy`
      estimate.json  memory-map.svg  firmware/  device/  measurement.json  verdict.json
      report.json  report.html  junit.xml

A stage's key is a hash over all it depends on. A stage whose last journal line has the same key, and whose outputs
still have the hashes written there, is finished and is skipped; anything else is done again. So a run can be killed
at any moment and taken up later.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline import __version__
from pipeline.errors import NoBoardError, UsageError, printable, shell_word
from pipeline.files import disk_problem, file_sha256, write_atomic
from pipeline.settings import Settings

#: Schema versions of JSON artifacts that are not 1.
VERSIONS = {"estimate.json": 2, "firmware/elf.json": 2}
#: The drawing of the memory map.
MEMORY_MAP = "memory-map.svg"
#: The report as a page.
PAGE = "report.html"
_VERSIONED = ("tensorflow", "keras", "ai-edge-litert", "numpy", "optuna", "platformio", "unicorn", "pillow")


class Manifest(BaseModel):
    """Who made the run, when, from what settings and with which versions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    created: str
    settings: Settings
    versions: dict[str, str]


class Record(BaseModel):
    """A journal line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    key: str
    outputs: dict[str, str]
    seconds: float
    at: str


class Event(BaseModel):
    """A journal line that is about no stage: something that must be known later."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str
    values: dict[str, Any]


def versions() -> dict[str, str]:
    """Versions of everything that takes part in a result; read from metadata, nothing is imported."""
    found = {"danas-deploy": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for name in _VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def digest(*parts: object) -> str:
    """SHA-256 over the JSON form of the parts: the key of a stage."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class Run:
    """An open run directory. Use :meth:`create` or :meth:`open`, and :meth:`locked` around work on it."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def settings(self) -> Settings:
        """What the user asked for."""
        return self.manifest.settings

    @classmethod
    def create(cls, settings: Settings, folder: Path | None = None) -> Run:
        """Make a new run directory; ``runs/DATE-BOARD`` where no folder is named.

        Raises:
            UsageError: ``run-exists``.
            EnvironmentProblem: ``disk-full`` or ``not-writable``.
        """
        now = datetime.now(UTC)
        try:
            folder = unnamed(f"{now:%Y%m%d-%H%M%S}-{settings.board}") if folder is None else _named(folder)
        except OSError as error:
            raise disk_problem(error, folder or Path("runs")) from error
        manifest = Manifest(created=now.isoformat(timespec="seconds"), settings=settings, versions=versions())
        write_atomic(folder / "manifest.json", manifest.model_dump_json(indent=2) + "\n")
        return cls(folder.resolve(), manifest)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open an existing run directory.

        Raises:
            UsageError: ``no-such-run`` or ``bad-manifest``.
        """
        path = folder / "manifest.json"
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
        except OSError as error:
            raise UsageError(
                "no-such-run",
                f"{printable(folder)} is no run directory",
                why=f"{printable(path)}: {printable(error.strerror or error)}",
                next="Name a folder that search-and-flash, search or deploy has made (default: under runs/).",
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(
                "bad-manifest",
                f"{printable(path)}: {printable('.'.join(map(str, first['loc'])))}: {printable(first['msg'])}",
                why="The manifest was written by another version, or changed by hand.",
                next="Start a new run.",
            ) from error
        return cls(folder.resolve(), manifest)

    def changed_versions(self) -> dict[str, tuple[str, str]]:
        """What computes in another version now than when the run began: (then, now)."""
        now = versions()
        return {
            name: (then, now.get(name, "absent"))
            for name, then in self.manifest.versions.items()
            if now.get(name) != then
        }

    def path(self, *parts: str) -> Path:
        """A path inside the run directory."""
        return self.folder.joinpath(*parts)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run, so that two processes never work on it at once.

        Raises:
            NoBoardError: ``run-busy``.
        """
        lock = FileLock(self.path(".lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout as error:  # before OSError: it is one
            raise NoBoardError(
                "run-busy",
                f"another process works on {printable(self.folder)}",
                why="A run is worked on by one process at a time.",
                next="Wait for it, or end it.",
            ) from error
        except OSError as error:
            raise disk_problem(error, self.folder) from error
        try:
            yield
        finally:
            lock.release()

    def records(self) -> dict[str, Record]:
        """The last journal line of each stage. A line that a crash cut short is no line."""
        found: dict[str, Record] = {}
        for line in self._journal():
            with contextlib.suppress(ValidationError):
                record = Record.model_validate_json(line)
                found[record.stage] = record
        return found

    def noted(self, kind: str) -> tuple[dict[str, Any], ...]:
        """The values of all events of a kind, oldest first. A line that a crash cut short is no line."""
        found = []
        for line in self._journal():
            with contextlib.suppress(ValidationError):
                event = Event.model_validate_json(line)
                if event.event == kind:
                    found.append(event.values)
        return tuple(found)

    def note(self, kind: str, values: Mapping[str, Any]) -> None:
        """Write an event into the journal; ``values`` are plain.

        Raises:
            EnvironmentProblem: ``disk-full`` or ``not-writable``.
        """
        self._append(Event(event=kind, values=dict(values)))

    def _journal(self) -> list[str]:
        try:
            return self.path("journal.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def finished(self, stage: str, key: str) -> bool:
        """True when the stage was finished with this key and its outputs are as it left them."""
        record = self.records().get(stage)
        if record is None or record.key != key:
            return False
        return all(
            self._inside(name) and self.path(name).is_file() and file_sha256(self.path(name)) == sha256
            for name, sha256 in record.outputs.items()
        )

    def record(self, stage: str, key: str, outputs: tuple[Path, ...], started: float) -> None:
        """Write a journal line for a stage that has just been finished; ``started`` is of ``time.monotonic()``."""
        record = Record(
            stage=stage,
            key=key,
            outputs={path.relative_to(self.folder).as_posix(): file_sha256(path) for path in outputs},
            seconds=round(time.monotonic() - started, 3),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._append(record)

    def _append(self, line: BaseModel) -> None:
        journal = self.path("journal.jsonl")
        try:
            with journal.open("a+b") as file:
                # A crash may have left half a line: it must not swallow this one.
                if file.seek(0, os.SEEK_END) and _last_byte(journal) != b"\n":
                    file.write(b"\n")
                file.write(line.model_dump_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise disk_problem(error, journal) from error

    def write_json(self, name: str, value: BaseModel | Mapping[str, Any]) -> Path:
        """Write an artifact as JSON, atomically."""
        text = (
            value.model_dump_json(indent=2)
            if isinstance(value, BaseModel)
            else json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False)
        )
        return write_atomic(self.path(name), text + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON artifact of today's schema version: 1, or as :data:`VERSIONS` says.

        Raises:
            UsageError: ``missing-stage`` naming the file.
        """
        try:
            value = json.loads(self.path(name).read_bytes())
        except (OSError, ValueError) as error:
            raise missing(self, name) from error
        if not isinstance(value, dict):
            raise missing(self, name)
        version, expected = value.get("schema_version"), VERSIONS.get(name, 1)
        if version != expected:
            why = f"It has schema version {printable(version, 20)}, this danas-deploy reads version {expected}."
            raise missing(self, name, why=why)
        return value

    @staticmethod
    def _inside(name: str) -> bool:
        return not re.search(r"(^/)|(^|/)\.\.(/|$)", name)


def missing(
    run: Run, name: str, *, why: str = "An earlier stage has not been run, or its output was changed."
) -> UsageError:
    """The error for an artifact that an earlier stage should have left."""
    return UsageError(
        "missing-stage",
        f"{printable(run.path(name))} is missing or unreadable",
        why=why,
        next=f"`danas-deploy resume {shell_word(run.folder)}` does what is missing.",
    )


def unnamed(stem: str) -> Path:
    """A folder below ``runs/`` that nobody else has, whoever starts in the same second."""
    folder, number = Path("runs") / stem, 1
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            folder = folder.with_name(f"{stem}-{number}")
        else:
            return folder


def _named(folder: Path) -> Path:
    """The folder that the user names, if it is new or empty.

    Raises:
        UsageError: ``run-exists``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError(
            "run-exists",
            f"{printable(folder)} is not empty",
            why="A new run starts in a folder of its own.",
            next=f"Take it up with `danas-deploy resume {shell_word(folder)}`, or name another with --run.",
        )
    return folder


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
