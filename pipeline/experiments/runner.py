"""Runs an experiment's tasks, keeps each result as soon as there is one, and writes the journal.

A result lies under a hash of everything that it depends on. An experiment that was killed and is run again does what is
missing; experiments with a task in common, the same search under the same limits, do it once.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import __version__
from pipeline.errors import UsageError, printable, shell_word
from pipeline.experiments.protocol import Experiment, Findings, Place, Scale, Task
from pipeline.experiments.tables import Table
from pipeline.files import write_atomic
from pipeline.search.locks import alone

if TYPE_CHECKING:
    from pipeline.boards import Board
    from pipeline.datasets import DatasetSource
    from pipeline.progress import Display

SCHEMA_VERSION = 1
#: A journal is committed beside the code, so it stays small.
LARGEST_JOURNAL = 1_000_000
_PACKAGES = ("numpy", "optuna", "tensorflow")


@dataclass(frozen=True)
class Written:
    """What a finished experiment has left, and its journal."""

    journal: Path
    table: Path
    plots: tuple[Path, ...]
    contents: dict[str, Any]


def run(
    experiment: Experiment,
    scale: Scale,
    source: DatasetSource,
    board: Board,
    *,
    folder: Path,
    results: Path,
    display: Display,
    options: Mapping[str, str] | None = None,
) -> Written:
    """Do what is missing of an experiment, conclude, and write journal, table and plots.

    Args:
        experiment: At its scale.
        scale: Named in the journal.
        source: The images.
        board: Whose plans and times are reckoned with.
        folder: Working folder, shared by experiments: supernets, searches and results of tasks.
        results: Where ``NAME-SCALE/`` with the journal goes.
        display: Shows a step a task.
        options: What else the command was given, by name (``data`` …); the journal repeats it.

    Raises:
        UsageError: What the source and the search raise.
        EnvironmentProblem: ``disk-full``, ``not-writable``, ``study-file``.
        KeyboardInterrupt: The user's; what is done is kept.
    """
    desk = Desk(source, board, folder, display)
    tasks = experiment.tasks()
    records = desk.records(experiment)
    found = {task.name: records[task.name]["result"] for task in tasks}
    findings = experiment.conclude(found, source)
    kept = ("began", "ended", "seconds", "versions")
    journal = {
        **_head(experiment, scale, source, board),
        "command": command(experiment.name, scale, {"board": board.name, **({} if options is None else options)}),
        "conclusion": list(findings.conclusion),
        "tables": [table.as_dict() for table in findings.tables],
        "plots": sorted(findings.plots),
        "values": dict(findings.values),
        "tasks": [{"task": task.name, **{key: records[task.name][key] for key in kept}} for task in tasks],
        "results": found,
    }
    return _write(results / f"{experiment.name}-{scale}", journal, findings)


@dataclass(frozen=True)
class Desk:
    """Where tasks are done, and where their records are kept."""

    source: DatasetSource
    board: Board
    folder: Path
    display: Display

    def identity(self, task: Task) -> dict[str, Any]:
        """All that a task's result depends on."""
        found = {
            "task": task.identity,
            "seed": task.seed,
            "images": self.source.fingerprint,
            "board": self.board.name,
        }
        return json.loads(json.dumps(found))  # type: ignore[no-any-return]  # as it will be read again

    def records(self, experiment: Experiment) -> dict[str, dict[str, Any]]:
        """The record of each task, by its name: as it is kept, or made now.

        What other processes are at is left to them and waited for when nothing else is to be done. So are, for as long
        as there are others, tasks of the same seed, which may need the very supernet that is being trained there.
        """
        tasks = experiment.tasks()
        found: dict[str, dict[str, Any]] = {}

        def begin(*, spare: bool) -> bool:
            """Whether anything could be done; ``spare`` keeps off the seeds that others are at."""
            before, busy = len(found), set[int]()
            for number, task in enumerate(tasks, start=1):
                if task.name in found or (spare and task.seed in busy):
                    continue
                record = self.record(experiment, task, shown=f"{task.name} ({number} of {len(tasks)})")
                if record is None:
                    busy.add(task.seed)
                else:
                    found[task.name] = record
            return len(found) > before

        while len(found) < len(tasks):
            if begin(spare=True) or begin(spare=False):
                continue
            missing = [task for task in tasks if task.name not in found]
            lock = self.file(self.identity(missing[0])).with_suffix(".lock")
            with (
                self.display.step(f"{experiment.name}: waiting for {len(missing)} tasks of other processes"),
                alone(lock, keep_going=lambda: True),
            ):
                pass
        return found

    def file(self, identity: Mapping[str, Any]) -> Path:
        """Where the record of a task of this identity is kept."""
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]
        return self.folder / "tasks" / f"{key}.json"

    def record(self, experiment: Experiment, task: Task, *, shown: str) -> dict[str, Any] | None:
        """A task's record, as it is kept, or made now; None: another process is making it."""
        identity = self.identity(task)
        file = self.file(identity)
        kept = _kept(file, identity)
        if kept is not None:
            return kept
        with alone(file.with_suffix(".lock"), keep_going=lambda: False) as held:
            if not held:
                return None
            kept = _kept(file, identity)
            return self._made(experiment, task, file, shown) if kept is None else kept

    def _made(self, experiment: Experiment, task: Task, file: Path, shown: str) -> dict[str, Any]:
        """The record of a task that is done now."""
        with self.display.step(f"{experiment.name}: {shown}") as step:
            work = self.folder / "work" / file.stem
            clock = Stopwatch(work / "seconds.json")

            def say(text: str) -> None:
                clock.tick()
                step.update(text)

            place = Place(self.source, self.board, work, self.folder / "supernets" / f"seed-{task.seed}", say)
            result = experiment.perform(task, place)
            record = {
                "schema_version": SCHEMA_VERSION,
                "identity": self.identity(task),
                "began": clock.began,
                "ended": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(clock.stop(), 1),
                "versions": versions(),
                "result": result,
            }
            text = json.dumps(record, ensure_ascii=False)
            write_atomic(file, text + "\n")
        return json.loads(text)  # type: ignore[no-any-return]


class Stopwatch:
    """The working time of a task, over all the processes that worked on it; a kill loses the seconds since a tick.

    Args:
        file: Kept there.
    """

    _EVERY_S = 5.0

    def __init__(self, file: Path) -> None:
        self._file = file
        self._last = self._kept = time.monotonic()
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            self._seconds, self.began = float(stored["seconds"]), str(stored["began"])
        except (OSError, ValueError, KeyError, TypeError):
            self._seconds, self.began = 0.0, datetime.now(UTC).isoformat(timespec="seconds")

    def tick(self) -> None:
        """Count the time since the last tick; written down every few seconds."""
        now = time.monotonic()
        self._seconds += now - self._last
        self._last = now
        if now - self._kept >= self._EVERY_S:
            self._kept = now
            write_atomic(self._file, json.dumps({"seconds": round(self._seconds, 2), "began": self.began}) + "\n")

    def stop(self) -> float:
        """Seconds in all."""
        self.tick()
        return self._seconds


def _kept(file: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or record.get("schema_version") != SCHEMA_VERSION:
        return None
    return record if record.get("identity") == identity else None


def versions() -> dict[str, str]:
    """Of what computes."""
    found = {"danas-deploy": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """What it ran on; no name, no path."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": _threads(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return printable(platform.processor() or platform.machine())
    models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return printable(models[0]) if models else printable(platform.machine())


def _threads() -> int | None:
    """What TensorFlow was told to compute an operation with; None: it decides."""
    told = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(told) if told.isdecimal() and int(told) > 0 else None


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _head(experiment: Experiment, scale: Scale, source: DatasetSource, board: Board) -> dict[str, Any]:
    """What is known before a run."""
    return {
        "schema_version": SCHEMA_VERSION,
        "experiment": experiment.name,
        "title": experiment.title,
        "scale": scale.value,
        "question": experiment.question,
        "rule": experiment.rule,
        "settings": dict(experiment.settings()),
        "data": {key: value for key, value in source.describe().items() if key != "path"},
        "board": board.name,
        "machine": machine(),
    }


def command(name: str, scale: Scale, options: Mapping[str, str]) -> str:
    """How to run it again."""
    given = {"scale": scale.value, **options}
    return " ".join(
        ["danas-deploy", "experiment", name, *(f"--{key} {shell_word(value)}" for key, value in given.items())]
    )


def _write(folder: Path, journal: dict[str, Any], findings: Findings) -> Written:
    text = json.dumps(journal, ensure_ascii=False, separators=(",", ":")) + "\n"
    if len(text.encode()) > LARGEST_JOURNAL:
        # The tables and values stay; who wants the searches runs them again.
        journal = journal | {"results": {}, "note": "the tasks' results were left out: they take more than 1 MB"}
        text = json.dumps(journal, ensure_ascii=False, separators=(",", ":")) + "\n"
    for old in folder.glob("*.svg"):
        if old.name not in findings.plots:
            old.unlink()
    plots = tuple(write_atomic(folder / plot, svg) for plot, svg in sorted(findings.plots.items()))
    table = write_atomic(folder / "table.md", section(journal))
    return Written(write_atomic(folder / "journal.json", text), table, plots, journal)


def section(journal: Mapping[str, Any], pictures: str = "") -> str:
    """What a journal says, in Markdown; ``pictures`` is where its folder is, seen from the document."""
    machine_ = journal["machine"]
    seconds = sum(task["seconds"] for task in journal["tasks"])
    ended = max((task["ended"] for task in journal["tasks"]), default="")[:10]
    memory = f", {machine_['memory_gib']} GiB" if machine_["memory_gib"] else ""
    threads = f", {machine_['threads']} of them a process" if machine_.get("threads") else ""
    text = [
        f"### {journal['title']} ({journal['scale']})",
        f"    {journal['command']}",
        f"*Question:* {journal['question']}",
        f"*Decided by:* {journal['rule']}",
        "*A check that everything works: its figures say nothing.*" if journal["scale"] == Scale.SMOKE else "",
        "\n".join(f"- {line}" for line in journal["conclusion"]),
        *(Table.from_dict(table).markdown() for table in journal["tables"]),
        *(f"![{journal['title']}]({pictures}{name})" for name in journal["plots"]),
        f"{machine_['processor']}, {machine_['cores']} cores{threads}{memory}, {machine_['system']}; tasks took "
        f"{seconds / 60:.1f} min in all (those shared with other experiments included), until {ended}.",
    ]
    return "\n\n".join(printable_lines(part) for part in text if part) + "\n"


def printable_lines(text: str) -> str:
    """Each line made safe."""
    return "\n".join(printable(line, 4000) for line in text.split("\n"))


def read_journal(path: Path) -> dict[str, Any]:
    """A journal of today's schema version.

    Raises:
        UsageError: ``bad-journal``.
    """
    try:
        journal = json.loads(path.read_text(encoding="utf-8"))
        if journal["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"it has schema version {journal['schema_version']!r}, expected {SCHEMA_VERSION}")
        section(journal)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            "bad-journal",
            f"{printable(path, 4096)} is no journal of an experiment",
            why=printable(error),
            next="Run the experiment again; what is done is kept.",
        ) from error
    return dict(journal)
