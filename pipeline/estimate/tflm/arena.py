"""The interpreter's arena: head and tail as it reports them, and what it must be given.

While it starts, the interpreter keeps lists in the head; a small model needs more for those than for its activations.
Kernels look at descriptions of their tensors, channel by channel, while they prepare; a wide dense layer needs more for
those than to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.estimate.areas import ALIGNMENT
from pipeline.estimate.model import MemoryPlan, Placement, Segment
from pipeline.estimate.stages import Stage, StageKind
from pipeline.estimate.tflm import head
from pipeline.estimate.tflm.planner import Buffer, place
from pipeline.estimate.tflm.scratch import Extension
from pipeline.estimate.tflm.structures import CORTEX_M, Sizes, aligned
from pipeline.estimate.tflm.tail import tail
from pipeline.graph.model import Graph, Operator

Kernels = Literal["reference", "cmsis_nn"]


@dataclass(frozen=True)
class Arena:
    """The interpreter's arena, in bytes.

    Attributes:
        head: Activations and scratch, as the interpreter reports it.
        tail: What lives as long as the interpreter, as it reports it.
        starting: The most that both ends take while it starts.
        bytes: What the arena must be given: the larger of both, a multiple of 16.
        placements: Where activations live.
        peak_operator: The operator with the most bytes alive.
        scratch: The kernels' scratch buffers in the head, as Placements of tensor −1.
    """

    head: int
    tail: int
    starting: int
    bytes: int
    placements: tuple[Placement, ...]
    peak_operator: int
    scratch: tuple[Placement, ...] = ()

    @property
    def total(self) -> int:
        """Head and tail together, as the interpreter reports it."""
        return self.head + self.tail


def arena(graph: Graph, kernels: Kernels, *, extension: Extension = Extension.DSP, sizes: Sizes = CORTEX_M) -> Arena:
    """The arena of a Graph; one without data will do.

    Args:
        graph: The model.
        kernels: TFLM's reference kernels, or CMSIS-NN's.
        extension: What CMSIS-NN is compiled for; the reference kernels do not care.
        sizes: Of the interpreter's structures.
    """
    used = extension if kernels == "cmsis_nn" else None
    buffers = head.buffers(graph, used)
    top = place(buffers)
    kept = tail(graph, used, len(buffers), sizes)
    # Scope 0 is the model's input alone; the operators follow.
    live = [sum(b.size for b in buffers if b.first <= scope <= b.last) for scope in range(len(graph.operators) + 1)]
    return Arena(
        head=top,
        tail=kept.bytes,
        starting=kept.starting,
        bytes=aligned(max(top + kept.bytes, kept.starting), ALIGNMENT),
        placements=tuple(_placement(buffer) for buffer in buffers if buffer.tensor >= 0),
        peak_operator=max(max(range(len(live)), key=live.__getitem__) - 1, 0),
        scratch=tuple(_placement(buffer) for buffer in buffers if buffer.tensor < 0),
    )


def _placement(buffer: Buffer) -> Placement:
    """As part of a MemoryPlan, which counts operators: the input is there before the first one."""
    return Placement(buffer.tensor, buffer.offset, buffer.size, max(buffer.first - 1, 0), max(buffer.last - 1, 0))


def plan(graph: Graph, kernels: Kernels, extension: Extension = Extension.DSP) -> MemoryPlan:
    """The same as a MemoryPlan: what the interpreter will do at start-up, in an arena with room for its own data."""
    found = arena(graph, kernels, extension=extension)
    segments = tuple(
        Segment(
            stages=(_stage(operator),),
            flat=False,
            scratch=0,
            scratch_bytes=0,
            sums=0,
            sums_bytes=0,
        )
        for operator in graph.operators
    )
    return MemoryPlan(found.bytes, found.placements, segments, found.peak_operator, found.bytes)


def _stage(operator: Operator) -> Stage:
    """Each operator runs alone, from whole tensors to whole tensors, RESHAPE too."""
    return Stage(operator.index, (operator,), StageKind.WHOLE, (), operator.outputs, 1)
