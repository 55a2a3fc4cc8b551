"""RAM in parts: they add up to their items, whatever the plan."""

from __future__ import annotations

import pytest

from pipeline import boards
from pipeline.estimate import estimate, plan
from pipeline.estimate.model import Item, Prefer
from pipeline.estimate.planner import spread
from pipeline.estimate.ram import arena_parts
from pipeline.genotype import Genotype
from pipeline.graph.skeleton import from_genotype

_NAMES = ("32-mono-d00000-a01", "96-rgb-d32100-a03", "64-mono-d34331-a04")


def _sizes(items: tuple[Item, ...]) -> dict[str, int]:
    return {item.name: item.bytes for item in items}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("prefer", Prefer)
@pytest.mark.parametrize("name", _NAMES)
def test_the_arena_is_what_is_alive_at_its_peak(name: str, prefer: Prefer, streamed: bool) -> None:
    graph = from_genotype(Genotype.parse(name), 2)
    made = plan(graph, prefer=prefer, streamed_input=streamed)
    parts = _sizes(arena_parts(made))
    assert list(parts) == ["activations", "rings", "scratch", "sums", "gaps"]
    assert sum(parts.values()) == made.arena_bytes and min(parts.values()) >= 0
    assert sum(parts.values()) - parts["gaps"] == max(segment.peak for segment in made.segments)
    peak = max(made.segments, key=lambda segment: segment.peak)
    assert (parts["scratch"] > 0) == (peak.scratch_bytes > 0)


def test_where_nothing_is_shared_there_are_activations_alone() -> None:
    graph = from_genotype(Genotype.parse(_NAMES[0]), 2)
    parts = _sizes(arena_parts(spread(graph)))
    assert parts["rings"] == 0 < parts["activations"]


def test_each_item_with_parts_is_their_sum() -> None:
    graph = from_genotype(Genotype.parse(_NAMES[1]), 2)
    ram = estimate(graph, boards.load("nucleo_f746zg")).ram
    assert [bool(item.parts) for item in ram] == [True, True, False]
    for item in ram[:2]:
        assert item.bytes == sum(part.bytes for part in item.parts)
    assert list(_sizes(ram[1].parts)) == ["program", "runtime state", "output copy"]
