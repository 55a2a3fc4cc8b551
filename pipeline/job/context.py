"""What the stages share: the run, the board, the limits, the images; each opened when it is first needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import boards
from pipeline.boards import Board
from pipeline.errors import UsageError
from pipeline.estimate.latency import timed
from pipeline.progress import Display
from pipeline.runs import Run
from pipeline.settings import Settings, Target

if TYPE_CHECKING:
    from pipeline.datasets import DatasetSource
    from pipeline.datasets.guard import Guarded
    from pipeline.estimate.compilers import Toolchain
    from pipeline.estimate.model import Estimate, Item, Limits, MemoryPlan
    from pipeline.firmware.runtimes.protocol import Runtime
    from pipeline.graph.model import Graph
    from pipeline.validate import Verdict


@dataclass(frozen=True)
class StageResult:
    """What a stage command prints: ``data`` with --json, else ``text``; a verdict decides the exit code."""

    data: Any
    text: str
    verdict: Verdict | None = None


class Context:
    """A run and what its stages need.

    ``target`` may be set to use another device than the run's own; ``with_images`` to have images in its page.
    """

    def __init__(self, run: Run, display: Display) -> None:
        self.run = run
        self.display = display
        self.target: Target = run.settings.target
        self.with_images = False

    @property
    def settings(self) -> Settings:
        """What the user asked for."""
        return self.run.settings

    @cached_property
    def board(self) -> Board:
        """The board type."""
        return boards.load(self.settings.board).at_baud(self.settings.baud)

    @cached_property
    def limits(self) -> Limits:
        """What a design may need."""
        return self.settings.limits(self.board)

    @cached_property
    def source(self) -> Guarded:
        """The images, whose test split the run's journal guards."""
        from pipeline.datasets import open_source

        return self.guarded(open_source(self.settings.data, seed=self.settings.seed, group_by=self.settings.group_by))

    def guarded(self, source: DatasetSource) -> Guarded:
        """A source whose test split is seen through the run's journal alone."""
        from pipeline.datasets.guard import Guarded

        return Guarded(source, self.run, notice=lambda text: self.display.note(f"Note: {text}"))

    @property
    def model(self) -> Path:
        """The .tflite that is deployed: the winner, or the one given to `deploy`."""
        return self.run.path("model.tflite")

    @property
    def firmware(self) -> Path:
        """Folder of the rendered sources and the build."""
        return self.run.path("firmware")

    @cached_property
    def graph(self) -> Graph:
        """The model, read and checked."""
        from pipeline.graph.reader import read
        from pipeline.runs import missing

        if not self.model.is_file():
            raise missing(self.run, "model.tflite")
        return read(self.model)

    @cached_property
    def runtime(self) -> Runtime:
        """The inference engine."""
        from pipeline.firmware.runtimes import open_runtime

        return open_runtime(self.settings.runtime, tflm_tree=self.settings.tflm_tree)

    @property
    def least_arena(self) -> int | None:
        """What the program on the device has asked for, where its arena was too small; None before that."""
        path = self.run.path("firmware", "arena.json")
        if not path.is_file():
            return None
        values = self.run.read_json("firmware/arena.json")
        return int(values["arena_bytes"]) if values["model_hash"] == self.graph.sha256 else None

    def enlarge_arena(self, arena_bytes: int) -> None:
        """Plan with that much from now on."""
        values = {"schema_version": 1, "model_hash": self.graph.sha256, "arena_bytes": arena_bytes}
        self.run.write_json("firmware/arena.json", values)
        for name in ("plan", "figures"):
            self.__dict__.pop(name, None)

    @cached_property
    def plan(self) -> MemoryPlan:
        """The memory plan that the firmware will run."""
        made = self.runtime.plan(
            self.graph,
            self.board,
            prefer=self.settings.prefer,
            ram_bytes=self.limits.ram_bytes,
            input_mode=self.settings.input_mode,
        )
        return made if self.least_arena is None else replace(made, arena_bytes=max(made.arena_bytes, self.least_arena))

    @cached_property
    def figures(self) -> Estimate:
        """What the program will need by the tables."""
        needs = self.runtime.estimate(self.graph, self.board, self.plan)
        try:
            work = self.runtime.predict(self.graph, self.board, self.plan)
        except UsageError as error:
            if error.id != "no-costs":
                raise
            self.display.note(f"Note: work, time and energy are not predicted: {error.what}. {error.next}")
            return needs
        return timed(needs, work, self.board)

    @property
    def estimate(self) -> Estimate:
        """The same, with a mark where the tables are not those of the compiler at hand."""
        from pipeline.estimate.table import calibration_of

        if self.figures.calibration is None:
            return self.figures
        return self.figures.model_copy(update={"calibration": calibration_of(self.board, self.toolchain)})

    @property
    def toolchain(self) -> Toolchain:
        """What has built the program, by its ELF; before there is one, what will."""
        from pipeline.estimate.compilers import Toolchain
        from pipeline.firmware.toolchain import at_hand

        built = self.built
        if built is not None and "compiler" in built:
            return Toolchain(str(built["compiler"]), str(built["flags"]))
        return at_hand(self.board, self.settings.environment)

    @property
    def built(self) -> dict[str, Any] | None:
        """What the build has left of the ELF; None before it."""
        return self.run.read_json("firmware/elf.json") if self.run.path("firmware", "elf.json").is_file() else None

    @property
    def linked(self) -> tuple[Item, ...]:
        """The items of the ELF's flash; none before the build, or of a build that was made before they were kept.

        Raises:
            UsageError: ``missing-stage``: the file of the build is damaged.
        """
        from pydantic import TypeAdapter, ValidationError

        from pipeline.estimate.model import Item
        from pipeline.runs import missing

        try:
            return TypeAdapter(tuple[Item, ...]).validate_python((self.built or {}).get("flash", ()))
        except ValidationError as error:
            raise missing(self.run, "firmware/elf.json") from error
