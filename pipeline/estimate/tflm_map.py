"""What lies where in the arena of the TensorFlow Lite Micro interpreter, and when: a moment is an operator."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.estimate.memory_map import Buffer, MemoryMap, Use, aligned, assembled
from pipeline.estimate.model import MemoryPlan
from pipeline.estimate.tflm import Arena, Extension, Kernels, arena
from pipeline.graph.model import Graph


def interpreter_map(
    graph: Graph, plan: MemoryPlan, kernels: Kernels, extension: Extension = Extension.DSP
) -> MemoryMap:
    """The map of an interpreter's arena of ``plan.arena_bytes``; a Graph without data will do.

    The head grows upwards from the beginning, what lives as long as the interpreter downwards from the end. Bytes
    between them are gaps: room that planning and the kernels' preparation need before the first inference.
    """
    steps = [((operator.index, operator.code.value),) for operator in graph.operators]
    return assembled(
        plan.arena_bytes,
        list(_buffers(arena(graph, kernels, extension=extension), plan.arena_bytes, len(steps))),
        steps,
    )


def _buffers(found: Arena, arena_bytes: int, moments: int) -> Iterator[Buffer]:
    for place in found.placements:
        yield Buffer(Use.WHOLE, place.offset, aligned(place.size), place.first, place.last, (place.tensor,))
    for place in found.scratch:
        yield Buffer(Use.SCRATCH, place.offset, aligned(place.size), place.first, place.last)
    yield Buffer(Use.PERSISTENT, arena_bytes - found.tail, found.tail, 0, max(moments - 1, 0))
