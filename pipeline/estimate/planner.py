"""The memory plan: which stages stream together, and where in the arena each activation lives.

Stages come from the operators (stages.py), Stores from what they read and write (storage.py), cuts from both
(segments.py), offsets from the cuts (placing.py). Everything follows from shapes, nothing from weights, so that a
genotype's plan is its .tflite's.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.estimate.instructions import instructions
from pipeline.estimate.kernels import stage_needs
from pipeline.estimate.model import ALIGNMENT, MemoryPlan, Placement, Prefer, Segment
from pipeline.estimate.placing import Buffer, place
from pipeline.estimate.segments import Cut, Cutter
from pipeline.estimate.stages import Needs, Stage, roots, stages
from pipeline.estimate.storage import Store, stores
from pipeline.estimate.streaming import demand_streamable, not_streamable
from pipeline.graph.model import Graph

#: ``balanced`` may take this many times the least peak.
BALANCED = 1.15


def align(size: int) -> int:
    """Round up to the arena's alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan(
    graph: Graph, *, prefer: Prefer = Prefer.BALANCED, limit: int | None = None, streamed_input: bool = False
) -> MemoryPlan:
    """Cut a Graph into segments and place its activations.

    Args:
        graph: Read from a .tflite, or a skeleton.
        prefer: ``ram`` and ``flash`` take the least peak, ``speed`` the fewest instructions within ``limit``,
            ``balanced`` the fewest within 1.15 times the least peak.
        limit: Bytes that the arena may have; None: any number. It only binds ``speed`` and ``balanced``.
        streamed_input: The input is not kept in whole: its rows come as they are needed.

    Raises:
        UsageError: ``unsupported-tensor`` for an activation that is read before it is written;
            ``input-not-streamable`` for a model that needs its input in whole.
    """
    made = stages(graph)
    kept = stores(graph, made)
    if streamed_input:
        demand_streamable(graph, made, kept)
    cutter = Cutter(
        made,
        kept,
        lambda stage: stage_needs(graph, stage),
        lambda stage, flat: instructions(graph, stage, flat=flat),
        align=align,
        streamed_input=streamed_input,
    )
    least = cutter.least_peak()
    allowed = {
        Prefer.RAM: least,
        Prefer.FLASH: least,
        Prefer.BALANCED: int(least * BALANCED),
        Prefer.SPEED: max(least, limit) if limit is not None else 1 << 40,
    }[prefer]
    if limit is not None:
        allowed = max(least, min(allowed, limit))
    found = _placed(graph, made, kept, cutter.fewest_instructions(allowed), least)
    if streamed_input and not found.streams(graph.input.index):
        raise not_streamable(graph, "What is made from it does not come together before all of it is there.")
    return found


def spread(graph: Graph) -> MemoryPlan:
    """A plan in which no two activations share a byte and no stages are fused: all of them are left at the end."""
    made = stages(graph, fuse=False)
    placements, segments = [], []
    offset = 0
    for name, root in sorted(roots(graph).items(), key=lambda item: item[::-1]):
        if name == root:
            offset += align(placements[-1].size) if placements else 0
        size = graph.tensors[name].nbytes
        placements.append(Placement(name, offset, size, 0, len(made), alias_of=None if name == root else root))
    offset += align(placements[-1].size) if placements else 0
    for stage in made:
        needs = stage_needs(graph, stage)
        segments.append(Segment((stage,), False, offset, needs.scratch, offset + align(needs.scratch), needs.sums))
        offset += align(needs.scratch) + align(needs.sums)
    return MemoryPlan(offset, tuple(placements), tuple(segments), 0, offset)


def _placed(
    graph: Graph, made: Sequence[Stage], kept: Sequence[Store], chosen: Sequence[tuple[Cut, int]], least: int
) -> MemoryPlan:
    cuts, peaks = [cut for cut, _ in chosen], [peak for _, peak in chosen]
    segment_of = {position: number for number, cut in enumerate(cuts) for position in range(cut.first, cut.end)}
    segment_of[-1] = 0
    segment_of[len(made)] = len(cuts) - 1
    ring_of = {store.tensors: cut for cut in cuts for store in cut.rings}
    buffers, distances = [], {}
    keys = {store.tensors: number for number, store in enumerate(kept)}
    for store in kept:
        size = store.ring_bytes if store.tensors in ring_of else store.nbytes
        buffers.append(
            Buffer(keys[store.tensors], align(size), segment_of[store.first], segment_of[max(store.last, store.first)])
        )
    scratch_keys, sums_keys = {}, {}
    for number, cut in enumerate(cuts):
        scratch, sums = _needs_of(graph, made, cut)
        for size, found in ((scratch, scratch_keys), (sums, sums_keys)):
            if size:
                found[number] = len(kept) + 2 * number + (found is sums_keys)
                buffers.append(Buffer(found[number], align(size), number, number))
        if peaks[number] < cut.peak and cut.overlap is not None:
            distances[keys[cut.overlap.output.tensors], keys[cut.overlap.input.tensors]] = cut.overlap.distance
    highest = max(range(len(cuts)), key=peaks.__getitem__)
    arena, offsets = place(buffers, distances, peaks[highest])
    placements = []
    root_of = roots(graph)
    for store in kept:
        ring = store.ring if store.tensors in ring_of else None
        size = store.ring_bytes if ring is not None else store.nbytes
        names = [name for name, root in root_of.items() if root in store.tensors]
        placements += [
            Placement(
                name,
                offsets[keys[store.tensors]],
                size,
                segment_of[store.first],
                segment_of[max(store.last, store.first)],
                alias_of=None if name == store.tensors[0] else store.tensors[0],
                ring=ring,
            )
            for name in names
        ]
    segments = []
    for number, cut in enumerate(cuts):
        scratch, sums = _needs_of(graph, made, cut)
        segments.append(
            Segment(
                tuple(made[cut.first : cut.end]),
                cut.flat,
                offsets.get(scratch_keys.get(number, -1), 0),
                scratch,
                offsets.get(sums_keys.get(number, -1), 0),
                sums,
                peaks[number],
            )
        )
    peak_operator = made[cuts[highest].first].operators[0].index if made else 0
    return MemoryPlan(
        arena, tuple(sorted(placements, key=lambda placement: placement.tensor)), tuple(segments), peak_operator, least
    )


def _needs_of(graph: Graph, made: Sequence[Stage], cut: Cut) -> tuple[int, int]:
    found: list[Needs] = [stage_needs(graph, stage) for stage in made[cut.first : cut.end]]
    return max(needs.scratch for needs in found), sum(needs.sums for needs in found)
