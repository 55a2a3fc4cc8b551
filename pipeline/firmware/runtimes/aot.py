"""The model compiled ahead of time: direct calls of our own kernels, and a memory plan that is part of the program."""

from __future__ import annotations

from pipeline.boards import Board
from pipeline.estimate.cost.prediction import predict
from pipeline.estimate.estimator import estimate as estimated
from pipeline.estimate.estimator import plan_for
from pipeline.estimate.memory_map import MemoryMap, memory_map
from pipeline.estimate.model import Estimate, InputMode, MemoryPlan, Predicted, Prefer
from pipeline.firmware import features
from pipeline.firmware.details import details
from pipeline.firmware.forms import forms
from pipeline.firmware.model_sources import model_sources, runtime_files
from pipeline.firmware.runtimes.protocol import RuntimeFiles, Tolerances
from pipeline.graph.model import Graph


class AotRuntime:
    """See :class:`~pipeline.firmware.runtimes.protocol.Runtime`."""

    name = "aot"
    description = "aot"
    step = "segment"
    tolerances = Tolerances()

    def plan(
        self,
        graph: Graph,
        board: Board,
        *,
        prefer: Prefer = Prefer.BALANCED,
        ram_bytes: int | None = None,
        input_mode: InputMode = InputMode.RESIDENT,
    ) -> MemoryPlan:
        """See :class:`Runtime`."""
        return plan_for(graph, board, prefer=prefer, ram_bytes=ram_bytes, input_mode=input_mode)

    def estimate(self, graph: Graph, board: Board, plan: MemoryPlan) -> Estimate:
        """See :class:`Runtime`; of a Graph with data the flash is exact, of a skeleton that of the worst case."""
        return estimated(graph, board, plan=plan, forms=forms(graph, plan) if graph.sha256 else None)

    def predict(self, graph: Graph, board: Board, plan: MemoryPlan) -> Predicted | None:
        """By the cost model of its kernels; with data, by what these decide of each kernel as well.

        Raises:
            UsageError: ``no-costs``, ``calibration-table``.
        """
        known = details(graph, plan) if graph.content else None
        found = predict(graph, plan, board, details=known)
        return Predicted(
            count=found.total,
            unit="cycles" if found.unit == "cycles" else "instructions",
            source=f"by a cost model of {found.source}",
        )

    def memory_map(self, graph: Graph, board: Board, plan: MemoryPlan) -> MemoryMap:
        """A moment is a segment of the plan."""
        return memory_map(graph, plan)

    def stack_bytes(self, board: Board) -> int:
        """The board's."""
        return board.stack.reserve_bytes

    def files(self, graph: Graph, plan: MemoryPlan) -> RuntimeFiles:
        """See :class:`Runtime`; raises what :func:`pipeline.firmware.model_sources.model_sources` does."""
        made = model_sources(graph, plan)
        library = {path.name: path.read_text(encoding="utf-8") for path in runtime_files(made.kernels)}
        library["model_features.h"] = features.header(made.features)
        return RuntimeFiles(made.files, library)
