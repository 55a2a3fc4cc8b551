"""The TensorFlow Lite Micro interpreter, compiled from a source tree that the user names.

In ``lib/runtime/`` stand our side of runtime.h, the resolver with the model's operators, and a library manifest whose
extra script compiles the tree's sources into an archive in the user's cache. Nothing of the tree is copied.
"""

from __future__ import annotations

import json

import numpy as np

from pipeline import resources
from pipeline.boards import Board
from pipeline.errors import UsageError
from pipeline.estimate import tflm as estimates
from pipeline.estimate.memory_map import MemoryMap
from pipeline.estimate.model import Estimate, InputMode, MemoryPlan, Predicted, Prefer
from pipeline.estimate.streaming import not_streamable
from pipeline.estimate.tflm_map import interpreter_map
from pipeline.firmware import filters
from pipeline.firmware.filters import CText
from pipeline.firmware.runtimes.protocol import RuntimeFiles, Tolerances
from pipeline.firmware.runtimes.tree import PROFILED, TflmTree
from pipeline.graph.model import Graph

_LIBRARY = ("bare_metal.cpp", "tflm.cpp", "tflm.h", "tflm_library.py")


class TflmRuntime:
    """See :class:`~pipeline.firmware.runtimes.protocol.Runtime`."""

    name = "tflm"
    step = "operator"
    tolerances = Tolerances(ram=0.02, flash=0.02)

    def __init__(self, tree: TflmTree) -> None:
        self.tree = tree

    @property
    def description(self) -> str:
        """With the tree's kernels."""
        return f"tflm, {'CMSIS-NN' if self.tree.kernels == 'cmsis_nn' else 'reference'} kernels"

    def plan(
        self,
        graph: Graph,
        board: Board,
        *,
        prefer: Prefer = Prefer.BALANCED,
        ram_bytes: int | None = None,
        input_mode: InputMode = InputMode.RESIDENT,
    ) -> MemoryPlan:
        """The interpreter's own plan, as it will make it at start-up, and behind it what lives as long as it does.

        It has no choice, and an input in whole.
        """
        if input_mode is InputMode.STREAMED:
            raise not_streamable(graph, "The interpreter takes its input in whole.")
        return estimates.plan(graph, self.tree.kernels, estimates.extension(board))

    def estimate(self, graph: Graph, board: Board, plan: MemoryPlan) -> Estimate:
        """See :class:`Runtime`."""
        return estimates.estimate(graph, board, plan, self.tree.kernels)

    def predict(self, graph: Graph, board: Board, plan: MemoryPlan) -> Predicted | None:
        """None: the user's tree has kernels of its own."""
        return None

    def memory_map(self, graph: Graph, board: Board, plan: MemoryPlan) -> MemoryMap:
        """A moment is an operator; the interpreter's own data are at the end of the arena."""
        return interpreter_map(graph, plan, self.tree.kernels, estimates.extension(board))

    def stack_bytes(self, board: Board) -> int:
        """The interpreter calls deeper than our own kernels do."""
        return max(board.stack.reserve_bytes, estimates.STACK_RESERVE)

    def files(self, graph: Graph, plan: MemoryPlan) -> RuntimeFiles:
        """See :class:`Runtime`.

        Raises:
            UsageError: ``tflm-operator``, ``no-operators``, or ``skeleton`` for a Graph without its file.
        """
        if not graph.content:
            raise UsageError(
                "skeleton", "the interpreter needs the model's file", next="Read the Graph from a .tflite file."
            )
        if not graph.operators:
            raise UsageError("no-operators", "the model has no operators", next="Give a model that computes something.")
        folder = resources.firmware_templates() / "runtime"
        environment = filters.environment(folder / "tflm")
        registrations = [self.tree.registration(code) for code in sorted(graph.codes)]
        words = np.frombuffer(graph.content + bytes(-len(graph.content) % 4), "<u4")
        model = environment.get_template("model.cpp.j2").render(
            words=words, arena_bytes=plan.arena_bytes, operators=len(graph.operators)
        )
        operators = environment.get_template("operators.cpp.j2").render(
            headers=sorted({one.header for one in registrations if one.header}),
            registrations=[{"method": CText(one.method), "argument": CText(one.argument)} for one in registrations],
        )
        library = {name: (folder / "tflm" / name).read_text(encoding="utf-8") for name in _LIBRARY}
        manifest = {"name": "runtime", "version": "1.0.0", "build": {"extraScript": "tflm_library.py"}}
        tree = {
            "schema_version": 1,
            "path": str(self.tree.path),
            "sha256": self.tree.sha256,
            "kernels": self.tree.kernels,
            "includes": self.tree.includes,
            "definitions": self.tree.definitions,
            "sources": self.tree.sources(graph.codes),
            "profiled": [PROFILED],
        }
        library |= {
            "runtime.h": (folder / "runtime.h").read_text(encoding="utf-8"),
            "operators.cpp": operators,
            "library.json": json.dumps(manifest, indent=2) + "\n",
            "tree.json": json.dumps(tree, indent=2) + "\n",
        }
        return RuntimeFiles({"model.cpp": model}, library)
