"""What a long step shows while it works, on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Protocol, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from pipeline.errors import printable

#: Plain output says where a step is this often, in seconds.
PLAIN_INTERVAL_S = 15.0


class Step(Protocol):
    """A step under way."""

    def update(self, text: str = "", done: float | None = None, total: float | None = None) -> None:
        """Say where the step is."""

    def result(self, text: str) -> None:
        """Say what came of it; shown when the step ends."""


class Display(Protocol):
    """Shows steps."""

    def step(self, title: str) -> contextlib.AbstractContextManager[Step]:
        """Open a step; it ends with the context."""

    def note(self, text: str) -> None:
        """One line for the user."""


class QuietDisplay:
    """Shows nothing; also a Step of its own."""

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        yield self

    def note(self, text: str) -> None:
        """Nothing is shown."""

    def update(self, text: str = "", done: float | None = None, total: float | None = None) -> None:
        """Nothing is shown."""

    def result(self, text: str) -> None:
        """Nothing is shown."""


class _NoteHandler(logging.Handler):
    def __init__(self, display: Display) -> None:
        super().__init__(logging.INFO)
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        self._display.note(record.getMessage())


@contextlib.contextmanager
def logged(display: Display, name: str) -> Iterator[None]:
    """Show what a part of the package logs (a download, say) as notes."""
    logger, handler = logging.getLogger(name), _NoteHandler(display)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _PlainStep:
    def __init__(self, title: str, stream: TextIO) -> None:
        self._title = title
        self._stream = stream
        self._last = time.monotonic()
        self.outcome = ""

    def update(self, text: str = "", done: float | None = None, total: float | None = None) -> None:
        now = time.monotonic()
        if now - self._last >= PLAIN_INTERVAL_S:
            self._last = now
            count = f" {done:g}/{total:g}" if done is not None and total else ""
            self._stream.write(f"  {self._title}:{count} {printable(text)}\n")
            self._stream.flush()

    def result(self, text: str) -> None:
        self.outcome = printable(text)


class PlainDisplay:
    """One line when a step starts, one when it ends, one now and then in between."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        self._stream.write(f"{title} …\n")
        self._stream.flush()
        started = time.monotonic()
        step = _PlainStep(title, self._stream)
        yield step
        outcome = f": {step.outcome}" if step.outcome else ""
        self._stream.write(f"{title} done in {time.monotonic() - started:.1f} s{outcome}\n")
        self._stream.flush()

    def note(self, text: str) -> None:
        """One line for the user."""
        self._stream.write(f"{printable(text)}\n")
        self._stream.flush()


class _RichStep:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self.outcome = ""

    def update(self, text: str = "", done: float | None = None, total: float | None = None) -> None:
        self._progress.update(self._task, completed=done, total=total, detail=escape(printable(text)))

    def result(self, text: str) -> None:
        self.outcome = printable(text)


class RichDisplay:
    """A bar a step, on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        started = time.monotonic()
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}"),
            console=self._console,
            transient=True,
        ) as progress:
            step = _RichStep(progress, progress.add_task(title, total=None, detail=""))
            yield step
        outcome = f"  {escape(step.outcome)}" if step.outcome else ""
        self._console.print(
            f"[green]✓[/green] {title} [dim]{time.monotonic() - started:.1f} s[/dim]{outcome}", highlight=False
        )

    def note(self, text: str) -> None:
        """One line for the user."""
        self._console.print(escape(printable(text)), highlight=False)


def display(*, quiet: bool = False) -> Display:
    """The display that suits where stderr goes; NO_COLOR and pipes get plain lines."""
    if quiet:
        return QuietDisplay()
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        return RichDisplay()
    return PlainDisplay()
