"""Where in the arena each buffer goes: first fit, in a few orders, until one needs no more than what is alive."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Orders that are tried where none reaches the bound.
_TRIES = 200


@dataclass(frozen=True)
class Buffer:
    """Bytes that are kept from one segment to another; ``key`` is the caller's name for it."""

    key: int
    size: int
    first: int
    last: int


def place(
    buffers: Sequence[Buffer], distances: Mapping[tuple[int, int], int], bound: int
) -> tuple[int, dict[int, int]]:
    """(bytes, offset of each buffer by key).

    Args:
        buffers: Sizes and offsets are multiples of the caller's alignment.
        distances: (output, input) → how many bytes before the input's the output's offset must lie at least; such a
            pair may share bytes, all others that live at the same time may not.
        bound: Bytes that no placement can go below; the search ends there.
    """
    rng = random.Random(1)
    neighbours = {
        buffer.key: [other.key for other in buffers if other.first <= buffer.last and other.last >= buffer.first]
        for buffer in buffers
    }
    sizes = {buffer.key: buffer.size for buffer in buffers}
    best: tuple[int, dict[int, int]] | None = None
    for attempt in range(_TRIES):
        offsets = _fit(_order(buffers, attempt, rng), sizes, neighbours, distances, bound, attempt, rng)
        top = max((offsets[key] + size for key, size in sizes.items()), default=0)
        if best is None or top < best[0]:
            best = (top, offsets)
        if best[0] <= bound:
            break
    if best is None:
        raise ValueError("no order was tried")
    return best


def _order(buffers: Sequence[Buffer], attempt: int, rng: random.Random) -> list[int]:
    """Keys by falling size, by falling last use, then by sizes that are varied at random."""
    if attempt in (0, 1, 4, 5):
        return [buffer.key for buffer in sorted(buffers, key=lambda buffer: (-buffer.size, -buffer.key))]
    if attempt in (2, 3):
        return [buffer.key for buffer in sorted(buffers, key=lambda one: (-one.last, -one.size, -one.key))]
    weights = {buffer.key: buffer.size * rng.uniform(0.3, 1.7) for buffer in buffers}
    return sorted(weights, key=lambda key: (-weights[key], -key))


def _fit(
    ordered: Sequence[int],
    sizes: Mapping[int, int],
    neighbours: Mapping[int, Sequence[int]],
    distances: Mapping[tuple[int, int], int],
    bound: int,
    attempt: int,
    rng: random.Random,
) -> dict[int, int]:
    """Each buffer at the lowest offset that is free, or at the highest below the bound: in turns, later at random.

    Room for an output that will begin before a buffer is left free below it, in every second order.
    """
    offsets: dict[int, int] = {}
    leads = {source: distance for (_, source), distance in distances.items()} if attempt % 2 else {}
    for number, key in enumerate(ordered):
        lead = leads.get(key, 0)
        if any((output, key) in distances and output in offsets for output in neighbours[key]):
            lead = 0
        size = sizes[key] + lead
        others = [other for other in neighbours[key] if other in offsets]
        candidates = {0, max(0, bound - size)}
        for other in others:
            at = offsets[other]
            candidates.update((at + sizes[other], max(0, at - size)))
            before, after = distances.get((key, other)), distances.get((other, key))
            if before is not None:
                candidates.add(max(0, at - before))
            if after is not None:
                candidates.add(at + after)
        free = sorted(
            candidate
            for candidate in candidates
            if all(_apart(key, candidate, size, other, offsets[other], sizes[other], distances) for other in others)
        )
        within = [candidate for candidate in free if candidate + size <= bound]
        if attempt < 2 or not within:
            offset = free[0]
        elif attempt < 4:
            offset = within[0] if number % 2 == 0 else within[-1]
        else:
            offset = rng.choice((within[0], within[-1]))
        offsets[key] = offset + lead
    return offsets


def _apart(
    one: int, at: int, size: int, other: int, other_at: int, other_size: int, distances: Mapping[tuple[int, int], int]
) -> bool:
    if at + size <= other_at or other_at + other_size <= at:
        return True
    before, after = distances.get((one, other)), distances.get((other, one))
    return (before is not None and at + before <= other_at) or (after is not None and other_at + after <= at)
