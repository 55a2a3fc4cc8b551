"""Contract of the spaces, and what is found of one that nobody can list."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_toy import estimate

from pipeline.estimate.model import Limits
from pipeline.genotype import Colour, DataConfig, Genotype, architecture
from pipeline.search import PaperSpace, Space, WideSpace, space, wide
from pipeline.search.feasibility import SAMPLED, Feasibility
from pipeline.search.samplers import EvolutionSampler, RandomSampler, Sampler

_DATA = (DataConfig(32, Colour.MONO), DataConfig(64, Colour.RGB))
_DEPTHS = ((0, 0, 0, 0, 0), (1, 0, 0, 0, 0), (2, 0, 0, 0, 0), (2, 1, 0, 0, 0))
_PAPER = PaperSpace(data=_DATA, depths=_DEPTHS, alphas=(0.1, 0.3, 0.4))
_WIDE = WideSpace(data=_DATA, depths=_DEPTHS, widths=(3, 4), kernels=(3, 7), expansions=(2,))
_SMALL = WideSpace(data=_DATA[:1], depths=_DEPTHS[:2], widths=(4,), kernels=(3, 5), expansions=(2, 6))
_EVERY = {"paper": space.full(), "wide": wide.full(), "quick": wide.quick(), "papers": _PAPER, "wides": _WIDE}
_LISTED = {"papers": _PAPER, "wides": _WIDE, "small": _SMALL, "quick": space.quick()}
every = pytest.mark.parametrize("of", _EVERY.values(), ids=_EVERY)
listed = pytest.mark.parametrize("of", _LISTED.values(), ids=_LISTED)
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=12)


def _size(genotype: Genotype) -> int:
    return estimate(genotype).flash_bytes


# --- the contract ----------------------------------------------------------------------------------------------------


@every
@few
@given(seed=seeds)
def test_nothing_leaves_a_space(of: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = of.random(rng), of.random(rng)
    for found in (one, of.mutate(one, rng), of.crossover(one, other, rng), *of.neighbours(one)):
        assert found in of
        assert Genotype.parse(found.id) == found
    assert of.random(rng, of.data[-1]).data == of.data[-1]
    for data in of.data:
        assert of.moved(one, data) in of and of.moved(one, data).data == data
    assert of.mutate(one, np.random.default_rng(seed)) == of.mutate(one, np.random.default_rng(seed))


@every
@few
@given(seed=seeds)
def test_a_step_can_be_taken_back_and_neighbours_differ(of: Space, seed: int) -> None:
    one = of.random(np.random.default_rng(seed))
    around = of.neighbours(one)
    assert one not in around and len(set(around)) == len(around)
    assert all(other.data == one.data for other in around)
    for other in around:
        # A stage that is emptied takes its genes, and those behind it, along.
        back = of.neighbours(other)
        emptied = any(then and not now for then, now in zip(one.depths, other.depths, strict=True))
        assert emptied or one in back


@every
@few
@given(seed=seeds)
def test_smaller_designs_are_slices(of: Space, seed: int) -> None:
    one = of.random(np.random.default_rng(seed))
    for other in of.smaller(one):
        kept = {block.name: block for block in architecture(one)}
        for block in architecture(other):
            whole = kept[block.name]
            assert block.hidden <= whole.hidden and block.outputs <= whole.outputs and block.kernel <= whole.kernel
        assert _size(other) < _size(one)
    assert of.smaller(one) or one in set(of.least(one.data))


@every
@few
@given(seed=seeds)
def test_an_envelope_holds_what_it_is_made_of(of: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    those = [of.random(rng) for _ in range(4)]
    for genotypes in (those, [of.moved(one, of.data[0]) for one in those]):
        largest, smallest = space.largest(genotypes), space.smallest(genotypes)
        for one in genotypes:
            assert space.holds(largest, one)
            assert space.holds(one, smallest)
            assert largest.data.resolution >= one.data.resolution and largest.data.channels >= one.data.channels
        assert {data.data for data in genotypes} != {of.data[0]} or largest.data == smallest.data == of.data[0]


@listed
def test_a_listed_space_has_each_design_once(of: Space) -> None:
    assert of.listed
    every = list(of)
    assert len(set(every)) == len(every) == len(of)
    assert len({genotype.id for genotype in every}) == len(every)
    assert all(genotype in of for genotype in every)
    assert sum(len(list(of.of(data))) for data in of.data) == len(of)


@listed
def test_steps_lead_everywhere(of: Space) -> None:
    for data in of.data:
        seen = set(itertools.islice(of.least(data), 1))
        waiting = list(seen)
        while waiting:
            for other in of.neighbours(waiting.pop()):
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        assert seen == set(of.of(data))


@listed
def test_least_and_corners_are_of_the_space_and_have_every_value(of: Space) -> None:
    for data in of.data:
        designs, corners = list(of.of(data)), list(of.corners(data))
        assert set(of.least(data)) <= set(designs) and set(corners) <= set(designs)
        assert len(corners) < 100
        assert space.largest(corners) == space.largest(designs)
        assert space.smallest(corners) == space.smallest(designs)
        assert min(map(_size, of.least(data))) == min(map(_size, designs))


def test_what_is_of_another_space_is_of_no_space() -> None:
    published, free = space.full(), wide.full()
    rng = np.random.default_rng(1)
    assert published.random(rng) not in free and free.random(rng) not in published
    assert "96-rgb-d00000-a01" not in published and "96-rgb-w44-2436" not in free
    for of in (_WIDE, _PAPER):
        assert Genotype.parse("96-rgb-w44-2436") not in of
    with pytest.raises(ValueError, match="no envelope"):
        space.largest([published.random(rng), free.random(rng)])
    assert not space.holds(published.random(rng), free.random(rng))
    assert published.identity != free.identity != wide.quick().identity


@pytest.mark.parametrize(
    "changes",
    [
        {"widths": ()},
        {"kernels": (5, 7)},
        {"expansions": (3, 1)},
        {"widths": (4, 4)},
        {"kernels": (3, 9)},
        {"data": ()},
    ],
)
def test_what_is_no_wide_space_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        WideSpace(**{"data": _DATA, "depths": _DEPTHS, **changes})


def test_a_wide_space_is_as_large_as_it_says() -> None:
    assert 10**12 < len(wide.full()) < 2**63
    assert not wide.full().listed and not wide.quick().listed
    assert next(iter(wide.full())).id == "32-mono-w22-2231"


def test_wide_mutations_change_one_gene_of_one_stage_half_of_the_time() -> None:
    rng = np.random.default_rng(1)
    start = Genotype.parse("96-rgb-w33-2352-2352-2352-2332-1332")
    kinds: Counter[str] = Counter()
    of = wide.full()
    for _ in range(1000):
        changed = of.mutate(start, rng)
        kinds["data" if changed.data != start.data else "depth" if changed.depths != start.depths else "gene"] += 1
        differ = [name for name, value in changed.genes.items() if start.genes.get(name) != value]
        assert changed.data != start.data or len(differ) <= 4
    assert kinds["gene"] / 1000 == pytest.approx(0.5, abs=0.05)
    assert kinds["data"] / 1000 == pytest.approx(0.25, abs=0.05)


# --- feasibility without a list --------------------------------------------------------------------------------------


@pytest.fixture
def unlisted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small spaces are treated as those that nobody can list."""
    monkeypatch.setattr(space, "LISTED", 0)


def _tight(of: Space, share: float) -> Limits:
    figures = sorted(map(_size, of))
    return Limits(ram_bytes=10**9, flash_bytes=figures[int(share * len(figures))])


@pytest.mark.parametrize("share", [0.002, 0.04, 0.4])
@pytest.mark.parametrize("of", [_WIDE, _PAPER], ids=["wide", "paper"])
@pytest.mark.usefixtures("unlisted")
def test_bounds_and_samples_are_true_of_every_design(of: Space, share: float) -> None:
    limits = _tight(of, share)
    unlisted = Feasibility(of, estimate, limits)
    for data in of.data:
        fitting = [design for design in of.of(data) if limits.admits(estimate(design))]
        assert (data in unlisted.data) == bool(fitting)
        if not fitting:
            with pytest.raises(ValueError, match="nothing is feasible"):
                unlisted.envelope(data)
            continue
        largest, smallest = unlisted.envelope(data)
        assert largest == space.largest(fitting) and space.holds(space.smallest(fitting), smallest)
        assert all(map(unlisted.admits, fitting))
        sample = unlisted.of(data)
        assert set(sample) <= set(fitting) and len(set(sample)) == len(sample) <= SAMPLED
        assert len(sample) > min(len(fitting), SAMPLED) / 4
        assert sample == Feasibility(of, estimate, limits).of(data), "it depends on nothing else"


@pytest.mark.parametrize("make", [RandomSampler, EvolutionSampler])
@pytest.mark.usefixtures("unlisted")
def test_samplers_find_every_design_of_an_unlisted_space_and_then_end(make: Callable[..., Sampler]) -> None:
    limits = _tight(_WIDE, 0.04)
    feasibility = Feasibility(_WIDE, estimate, limits)
    fitting = {design for design in _WIDE if limits.admits(estimate(design))}
    assert 5 < len(fitting) < 50
    found: set[Genotype] = set()
    rng = np.random.default_rng(3)
    for data in feasibility.data:
        while (genotype := feasibility.untried(data, found, rng)) is not None:
            assert genotype not in found
            found.add(genotype)
    assert found == fitting
    proposal = make(feasibility, seed=3).propose([])
    assert proposal is not None and proposal in fitting


def test_a_drawn_design_fits_even_where_hardly_any_does() -> None:
    of = wide.full()
    data = DataConfig(96, Colour.RGB)
    least = min(map(_size, of.least(data)))
    feasibility = Feasibility(of, estimate, Limits(ram_bytes=10**9, flash_bytes=2 * least))
    rng = np.random.default_rng(0)
    drawn = {feasibility.draw(data, rng) for _ in range(12)}
    assert None not in drawn and len(drawn) > 1
    assert all(one is not None and feasibility.fits(one) for one in drawn)
    nothing = Feasibility(of, estimate, Limits(ram_bytes=10**9, flash_bytes=least - 1))
    assert nothing.draw(data, rng) is None and nothing.untried(data, (), rng) is None and data not in nothing.data


def test_soft_limits_admit_all_of_an_unlisted_space() -> None:
    of = wide.full()
    soft = Feasibility(of, estimate, Limits(ram_bytes=1, flash_bytes=1), soft=True)
    data = DataConfig(224, Colour.RGB)
    assert soft.envelope(data)[0].id == "224-rgb-w44-2476-3476-4476-3476-3476-1476"
    assert soft.envelope(data)[1].id == "224-rgb-w22-2231"
    assert len(soft.of(data)) > SAMPLED / 2 and soft.data == of.data
