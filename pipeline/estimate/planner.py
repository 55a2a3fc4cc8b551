"""The memory plan: where in the arena each activation lives, and when.

An activation lives from the operator that writes it to the last one that reads it; two that live at the same time
never share a byte. RESHAPE and SQUEEZE move nothing: their output is their input's bytes. The model's input is there
from operator 0 and may be overwritten after its last reader; the output stays to the end.

The placement is greedy, by size: the largest activation first, each at the lowest offset that is free during its
whole life. That is TensorFlow Lite Micro's planner, whose ties (by falling index) are kept: equal arenas on 24 of 24
public models. It is no optimum, so it is run in a second order too (by falling last use) and the lower peak is taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.errors import UsageError
from pipeline.estimate.model import ALIGNMENT, MemoryPlan, Placement
from pipeline.graph.model import ALIASES, Graph


@dataclass(slots=True)
class _Life:
    """A root activation: its bytes, and the operators during which they are kept."""

    tensor: int
    size: int
    first: int
    last: int

    @property
    def padded(self) -> int:
        return align(self.size)


def align(size: int) -> int:
    """Round up to the arena's alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan(graph: Graph) -> MemoryPlan:
    """Place every activation of a Graph.

    Raises:
        UsageError: ``unsupported-tensor`` for an activation that is read before it is written.
    """
    lives, roots = _lifetimes(graph)
    bound, peak_operator = peak(lives.values(), len(graph.operators))

    def arena(offsets: dict[int, int]) -> int:
        return max(offsets[life.tensor] + life.padded for life in lives.values())

    best = _place(sorted(lives.values(), key=lambda life: (-life.size, -life.tensor)))
    if arena(best) > bound:
        other = _place(sorted(lives.values(), key=lambda life: (-life.last, -life.size, -life.tensor)))
        best = min(best, other, key=arena)
    placements = tuple(
        Placement(
            tensor,
            best[root],
            graph.tensors[tensor].nbytes,
            lives[root].first,
            lives[root].last,
            alias_of=None if tensor == root else root,
        )
        for tensor, root in sorted(roots.items())
    )
    return MemoryPlan(arena(best), placements, peak_operator)


def _lifetimes(graph: Graph) -> tuple[dict[int, _Life], dict[int, int]]:
    """Root activations by index, and for each activation the root whose bytes it shares."""
    last = max(len(graph.operators) - 1, 0)
    lives = {index: _Life(index, graph.tensors[index].nbytes, 0, 0) for index in graph.inputs}
    roots = {index: index for index in graph.inputs}
    for position, operator in enumerate(graph.operators):
        for index in operator.inputs:
            if index is None or graph.tensors[index].constant:
                continue
            if index not in roots:
                raise UsageError(
                    "unsupported-tensor",
                    f"tensor {index} of operator {position}, {operator.code}: read before it is written",
                    next="Convert the model again.",
                )
            lives[roots[index]].last = position
        for index in operator.outputs:
            source = operator.inputs[0]
            if operator.code in ALIASES and source is not None:
                roots[index] = roots[source]
                lives[roots[source]].last = position
            else:
                roots[index] = index
                lives[index] = _Life(index, graph.tensors[index].nbytes, position, position)
    for index in graph.outputs:
        lives[roots[index]].last = last
    return lives, roots


def peak(lives: Iterable[_Life], operators: int) -> tuple[int, int]:
    """(bytes, operator) where the activations that live at the same time are largest: no plan can need less."""
    change = [0] * (operators + 1)
    for life in lives:
        change[life.first] += life.padded
        change[life.last + 1] -= life.padded
    best, best_operator, now = 0, 0, 0
    for operator, step in enumerate(change[:-1]):
        now += step
        if now > best:
            best, best_operator = now, operator
    return best, best_operator


def _place(ordered: list[_Life]) -> dict[int, int]:
    """First fit in the given order."""
    offsets: dict[int, int] = {}
    placed: list[tuple[int, int, int, int]] = []  # (offset, end, first, last), by offset
    for life in ordered:
        size, first, last = life.padded, life.first, life.last
        offset = 0
        for start, end, begins, ends in placed:
            if ends < first or begins > last:
                continue
            if start - offset >= size:
                break
            offset = max(offset, end)
        offsets[life.tensor] = offset
        placed.append((offset, offset + size, first, last))
        placed.sort()
    return offsets
