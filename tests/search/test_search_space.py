"""The space: its size, its steps, and that nothing leaves it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.genotype import MAX_DEPTHS, RESOLUTIONS, Colour, DataConfig, Genotype
from pipeline.search import PaperSpace, Space, space

FULL = space.full()
SPARSE = PaperSpace(
    data=(DataConfig(32, Colour.MONO), DataConfig(64, Colour.RGB), DataConfig(96, Colour.RGB)),
    depths=((0, 0, 0, 0, 0), (1, 1, 0, 0, 0), (3, 4, 3, 3, 1)),
    alphas=(0.1, 0.5),
)
seeds = st.integers(0, 2**32 - 1)


def test_sizes_are_the_published_ones() -> None:
    assert len(space.all_depths()) == 268
    assert len(FULL) == 37_520
    assert sum(1 for _ in space.quick()) == len(space.quick()) == 268 * 5 * 6


def test_enumeration_has_no_duplicate_and_stays_within() -> None:
    quick = space.quick()
    everything = list(quick)
    assert len(set(everything)) == len(everything)
    assert all(genotype in quick for genotype in everything)
    assert Genotype.parse("224-rgb-d00000-a01") not in quick


@given(st.tuples(*(st.integers(0, most) for most in MAX_DEPTHS)))
def test_repair_gives_a_depth_tuple_of_the_space_and_keeps_a_good_one(depths: tuple[int, ...]) -> None:
    repaired = space.repair(depths)
    assert repaired in space.all_depths()
    assert space.repair(repaired) == repaired


@pytest.mark.parametrize("of", [FULL, space.quick(), SPARSE])
@given(seed=seeds)
def test_random_mutation_and_crossover_stay_within(of: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = of.random(rng), of.random(rng)
    assert one in of
    assert of.mutate(one, rng) in of
    assert of.crossover(one, other, rng) in of


@given(seed=seeds)
def test_a_mutation_changes_one_axis_by_one_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = FULL.random(rng)
    after = FULL.mutate(before, rng)
    resolution = RESOLUTIONS.index(after.data.resolution) - RESOLUTIONS.index(before.data.resolution)
    colour = int(after.data.colour is not before.data.colour)
    alpha = round(10 * after.alpha) - round(10 * before.alpha)
    depth = int(after.depths != before.depths)
    assert abs(resolution) + colour + depth + abs(alpha) == 1
    if depth:
        stage = next(number for number in range(5) if after.depths[number] != before.depths[number])
        assert abs(after.depths[stage] - before.depths[stage]) == 1
        assert after.depths[stage + 1 :] == before.depths[stage + 1 :] or after.depths[stage] == 0


def test_mutations_take_the_axes_as_often_as_published() -> None:
    rng = np.random.default_rng(1)
    start = Genotype.parse("96-rgb-d22211-a05")
    kinds: Counter[str] = Counter()
    for _ in range(3000):
        changed = FULL.mutate(start, rng)
        kinds["data" if changed.data != start.data else "depth" if changed.depths != start.depths else "alpha"] += 1
    assert kinds["data"] / 3000 == pytest.approx(0.4, abs=0.04)
    assert kinds["depth"] / 3000 == pytest.approx(0.4, abs=0.04)
    assert kinds["alpha"] / 3000 == pytest.approx(0.2, abs=0.04)


def test_a_space_of_one_mutates_to_itself() -> None:
    only = Genotype.parse("32-mono-d00000-a01")
    alone = PaperSpace(data=(only.data,), depths=(only.depths,), alphas=(only.alpha,))
    assert alone.mutate(only, np.random.default_rng(0)) == only


def test_crossover_takes_every_gene_from_a_parent() -> None:
    rng = np.random.default_rng(5)
    one, other = Genotype.parse("32-mono-d11111-a01"), Genotype.parse("224-rgb-d34331-a10")
    children = {FULL.crossover(one, other, rng) for _ in range(500)}
    assert len(children) > 100
    for child in children:
        assert child.data.resolution in (32, 224)
        assert child.alpha in (0.1, 1.0)
        assert all(
            depth in pair for depth, pair in zip(child.depths, zip(one.depths, other.depths, strict=True), strict=True)
        )


def test_envelope_and_smallest() -> None:
    found = [Genotype.parse(text) for text in ("64-rgb-d31000-a02", "64-rgb-d12210-a05")]
    assert space.largest(found).id == "64-rgb-d32210-a05"
    assert space.smallest(found).id == "64-rgb-d11000-a02"


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        PaperSpace(data=(), depths=((0, 0, 0, 0, 0),), alphas=(0.1,))
