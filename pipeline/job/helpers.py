"""Processes that search together with this one (``--workers``)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

from pipeline.job.context import Context

_PATIENCE = 30.0


class Helpers:
    """A context manager: workers are started on entry and waited for on exit; after an error they are ended.

    Each writes what it has to say into ``search/worker-N.log``. A worker that fails is told of and costs nothing but
    time: what it had under way is evaluated by the process that has started it.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._running: list[tuple[Path, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Helpers:
        folder = self._context.run.path("search")
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, self._context.settings.workers):
            path = folder / f"worker-{number}.log"
            command = [sys.executable, "-m", "pipeline", "search-worker", str(self._context.run.folder)]
            with path.open("wb") as log:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self._running.append((path, process))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._end()
            return
        try:
            for path, process in self._running:
                if process.wait():
                    self._context.display.note(f"Note: a worker has failed with exit code {process.returncode}: {path}")
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        for _, process in self._running:
            process.terminate()
        for _, process in self._running:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
