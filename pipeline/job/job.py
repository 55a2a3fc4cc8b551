"""Runs stages in their order, skips what is finished, leaves a resumable run behind whatever happens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import boards
from pipeline.errors import EnvironmentProblem, InterruptedRun, shell_word
from pipeline.files import disk_problem, write_atomic
from pipeline.job import driving, finding, judging, making
from pipeline.job.context import Context, StageResult
from pipeline.preflight import device as demand_device
from pipeline.preflight import preflight
from pipeline.progress import Display, Step, logged
from pipeline.runs import Run
from pipeline.settings import Kind, Settings, Target

if TYPE_CHECKING:
    from pipeline.datasets import DatasetSource
    from pipeline.report.model import Report


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline.

    Attributes:
        title: What the user sees while it works.
        work: Does it; gives the files that it leaves.
        result: What the stage's own command prints.
        key: Hash over all it depends on; None for a stage that is cheap enough to be done anew each time.
        searches: Only for runs that start from images.
    """

    title: str
    work: Callable[[Context, Step], tuple[Path, ...]]
    result: Callable[[Context], StageResult]
    key: Callable[[Context], str] | None = None
    searches: bool = False


STAGES = {
    "search": Stage("Search", finding.search, finding.search_result, finding.search_key, searches=True),
    "quantize": Stage("Quantize", finding.quantize, finding.quantize_result, finding.quantize_key, searches=True),
    "estimate": Stage("Estimate", making.estimate, making.estimate_result),
    "render": Stage("Render", making.render, making.render_result),
    "build": Stage("Build", making.build, making.build_result),
    "flash": Stage("Flash", driving.flash, driving.flash_result),
    "measure": Stage("Measure", driving.measure, driving.measure_result, driving.measure_key),
    "validate": Stage("Validate", judging.validate, judging.validate_result),
    "report": Stage("Report", judging.report, judging.report_result),
}
#: A command does what it needs of these before itself, since they cost nothing and leave nothing to chance.
_BEFORE = {"render": ("estimate",), "build": ("estimate", "render")}


class Job:
    """A run with its stages."""

    def __init__(self, run: Run, display: Display) -> None:
        self.run = run
        self.display = display
        self.context = Context(run, display)

    @property
    def target(self) -> Target:
        """Where the program runs; may be set, to use another device than the run's own."""
        return self.context.target

    @target.setter
    def target(self, target: Target) -> None:
        self.context.target = target

    @classmethod
    def start(cls, settings: Settings, folder: Path | None, display: Display, *, needs_board: bool) -> Job:
        """Check everything that can be checked before work begins, then make the run directory.

        Raises:
            DanasError: The board, a device, a tool, the images or the model is not there or not usable.
        """
        preflight(settings, folder, needs_board=needs_board)
        content = b""
        if settings.kind is Kind.DEPLOY:
            from pipeline.graph.reader import content_of, parse
            from pipeline.graph.repack import self_contained

            content = self_contained(content_of(Path(settings.model or "")))
            if settings.inputs is not None:
                driving.given_inputs(Path(settings.inputs), parse(content).input)
        source = _opened(settings, display) if settings.kind is Kind.SEARCH else None
        job = cls(Run.create(settings, folder), display)
        if source is not None:
            job.context.source = job.context.guarded(source)
        if content:
            write_atomic(job.context.model, content)
        display.note(f"Run {job.run.folder}")
        return job

    def all(self) -> Report:
        """Do what is not finished of all stages; the report.

        Raises:
            DanasError: What a stage raises; ``interrupted`` after Ctrl-C. The run can be resumed.
        """
        demand_device(boards.load(self.run.settings.board), self.target)
        for name, (then, now) in self.run.changed_versions().items():
            self.display.note(f"Note: {name} was {then} when this run began and is {now} now; results may differ.")
        with self._working(), contextlib.ExitStack() as stack:
            for name, stage in STAGES.items():
                if name == "flash":
                    stack.enter_context(driving.held(self.context))
                if not stage.searches or self.run.settings.kind is Kind.SEARCH:
                    self._do(name, stage)
            return judging.collected(self.context)

    def one(self, name: str) -> StageResult:
        """Do one stage (again, if need be) and give what its command prints.

        Raises:
            DanasError: What the stage raises; ``missing-stage`` where an earlier one has not been done.
        """
        if name in ("flash", "measure"):
            demand_device(self.context.board, self.target)
        with self._working():
            for before in _BEFORE.get(name, ()):
                self._do(before, STAGES[before])
            self._do(name, STAGES[name])
            return STAGES[name].result(self.context)

    def _do(self, name: str, stage: Stage) -> None:
        with self.display.step(stage.title) as step:
            key = stage.key(self.context) if stage.key else ""
            if key and self.run.finished(name, key):
                step.result("finished before")
                return
            started = time.monotonic()
            outputs = stage.work(self.context, step)
            self.run.record(name, key, outputs, started)

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        resume = f"Go on with `danas-deploy resume {shell_word(self.run.folder)}`."
        try:
            with self.run.locked():
                yield
        except KeyboardInterrupt as error:
            raise InterruptedRun(
                "interrupted", "Interrupted.", why="What was finished is kept in the run directory.", next=resume
            ) from error
        except EnvironmentProblem as error:
            error.next = f"{error.next} {resume}".strip()
            raise
        except OSError as error:
            problem = disk_problem(error, Path(error.filename or self.run.folder))
            if problem.id != "disk-full":
                raise
            problem.next = f"{problem.next} {resume}"
            raise problem from error


def _opened(settings: Settings, display: Display) -> DatasetSource:
    """The images, read and checked before there is a run."""
    from pipeline.datasets import open_source

    with display.step("Images") as step, logged(display, "pipeline.datasets"):
        source = open_source(settings.data, seed=settings.seed, group_by=settings.group_by)
        finding.demand_images(settings, source, boards.load(settings.board))
        step.result(f"{source.name}, {len(source.class_names)} classes")
        return source
