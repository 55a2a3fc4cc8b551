"""What an experiment is: tasks that can be done one by one, and what is concluded from their results.

An experiment states its question and its decision rule before anything is run; both go into its journal. It says which
tasks a scale has, does one of them, and concludes from all. The runner (:mod:`pipeline.experiments.runner`) keeps the
results, so that an experiment that was killed goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.experiments.tables import Table

if TYPE_CHECKING:
    from pipeline.boards import Board
    from pipeline.datasets import DatasetSource

#: A task's result: plain values for JSON.
Result = dict[str, Any]


class Scale(StrEnum):
    """How much is done: a check that everything works, what two cores can do, or the paper's size."""

    SMOKE = "smoke"
    SMALL = "small"
    FULL = "full"


@dataclass(frozen=True)
class Task:
    """One piece of work whose result is kept.

    Attributes:
        name: Unique within the experiment; letters, digits, ``-`` and ``.`` alone: it names files.
        seed: Seed of everything random in it; its supernets are shared with all tasks of this seed.
        identity: All that the result depends on besides the seed, the images and the board, as JSON.
    """

    name: str
    seed: int
    identity: Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where and with what a task is done.

    Attributes:
        source: The images; only train and validation are looked at.
        board: Whose memory plan and times are reckoned with.
        folder: The task's own folder; what it leaves there lets it go on after it was killed.
        supernets: The folder of the supernets of this seed, shared by all experiments.
        say: Shown to the user while it works.
    """

    source: DatasetSource
    board: Board
    folder: Path
    supernets: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class Findings:
    """What was found out.

    Attributes:
        values: The figures, as JSON.
        tables: For people.
        plots: SVG documents by file name.
        conclusion: One sentence a line, by the decision rule stated beforehand; a null result is said as such.
    """

    values: Mapping[str, Any]
    tables: tuple[Table, ...]
    conclusion: tuple[str, ...]
    plots: Mapping[str, str] = field(default_factory=dict)


class Experiment(Protocol):
    """An experiment at one scale."""

    name: str
    title: str
    #: What it decides, and how: stated before the run.
    question: str
    rule: str

    def tasks(self) -> Sequence[Task]:
        """All of its tasks, in the order in which they are done; the same each time."""
        ...

    def settings(self) -> Mapping[str, Any]:
        """Budgets, limits and whatever else a reader must know, as JSON."""
        ...

    def perform(self, task: Task, place: Place) -> Result:
        """Do a task; called again after a kill, it goes on."""
        ...

    def conclude(self, results: Mapping[str, Result], source: DatasetSource) -> Findings:
        """From every task's result, by the task's name."""
        ...
