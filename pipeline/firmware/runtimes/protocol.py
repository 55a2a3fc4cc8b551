"""What a runtime is to the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pipeline.boards import Board
from pipeline.estimate.memory_map import MemoryMap
from pipeline.estimate.model import Estimate, InputMode, MemoryPlan, Predicted, Prefer
from pipeline.graph.model import Graph


@dataclass(frozen=True)
class RuntimeFiles:
    """What a runtime adds to a firmware.

    Attributes:
        model: Files for ``src/``, rendered from the model (relative path → text).
        library: Files for ``lib/runtime/``, ``runtime.h`` among them.
    """

    model: dict[str, str]
    library: dict[str, str]


@dataclass(frozen=True)
class Tolerances:
    """How far an estimate may be from what is measured, as parts of the measured figure.

    Attributes:
        ram: Of arena and static data, on either side; 0: both are exact, and a program's call graph bounds its stack.
        flash: Of flash, on either side.
    """

    ram: float = 0.0
    flash: float = 0.005


class Runtime(Protocol):
    """An inference engine.

    Order of calls: :meth:`plan` once a model, then the others with that plan. All are pure functions of their
    arguments and of what the runtime was opened with.
    """

    @property
    def name(self) -> str:
        """As ``id%`` answers it, and ``runtime::name()`` in the firmware."""

    @property
    def description(self) -> str:
        """For tables: the name, with what else it was opened with."""

    @property
    def step(self) -> str:
        """What a moment of :meth:`memory_map` is, for a reader: ``segment``, ``operator``."""

    @property
    def tolerances(self) -> Tolerances:
        """How good its estimates are."""

    def plan(
        self,
        graph: Graph,
        board: Board,
        *,
        prefer: Prefer = Prefer.BALANCED,
        ram_bytes: int | None = None,
        input_mode: InputMode = InputMode.RESIDENT,
    ) -> MemoryPlan:
        """The arena, and what runs as one step; a Graph without data will do.

        Args:
            graph: The model.
            board: The board type.
            prefer: What the firmware is made for, of a runtime that has a choice.
            ram_bytes: RAM that the program may have; None: the board's.
            input_mode: How the firmware takes its input.

        Raises:
            UsageError: The Graph cannot be planned; ``input-not-streamable``.
        """

    def estimate(self, graph: Graph, board: Board, plan: MemoryPlan) -> Estimate:
        """What a program will need, before it is built; a Graph without data will do.

        Raises:
            UsageError: ``no-calibration``.
        """

    def predict(self, graph: Graph, board: Board, plan: MemoryPlan) -> Predicted | None:
        """The work of one inference; None of a runtime whose work nobody predicts. A Graph without data will do.

        Raises:
            UsageError: ``no-costs``: the board's processor is not calibrated; ``calibration-table``.
        """

    def memory_map(self, graph: Graph, board: Board, plan: MemoryPlan) -> MemoryMap:
        """What lies where in the arena, and when; a Graph without data will do."""

    def stack_bytes(self, board: Board) -> int:
        """What the linker sets aside for the stack: the board's, or more where the runtime's functions need it."""

    def files(self, graph: Graph, plan: MemoryPlan) -> RuntimeFiles:
        """The sources for a Graph with data. The same arguments give the same files.

        Raises:
            UsageError: The runtime cannot run this model.
        """
