"""Which subnets a supernet is trained for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from search_toy import SPACE, WIDE, estimate

from pipeline.genotype import Colour, DataConfig, Genotype
from pipeline.search import space, spaces
from pipeline.search.feasibility import Feasibility
from pipeline.search.population import family, population

SMALL, LARGE = DataConfig(32, Colour.RGB), DataConfig(64, Colour.MONO)
OURS = replace(SPACE, data=(SMALL, LARGE))


def _feasibility(whole: space.Space = OURS, **limits: int) -> Feasibility:
    return Feasibility(whole, estimate, WIDE.model_copy(update=limits))


def test_families() -> None:
    every = space.all_data()
    one = DataConfig(64, Colour.RGB)
    assert family(one, every, "per-config") == (one,)
    assert family(one, every, "per-colour") == tuple(data for data in sorted(every) if data.colour is Colour.RGB)
    assert set(family(one, every, "shared")) == set(every)


@pytest.mark.parametrize("kind", ["feasible", "space"])
@pytest.mark.parametrize("whole", [OURS, replace(spaces.made("wide", "quick"), data=OURS.data)])
def test_the_envelope_holds_all_that_is_drawn(whole: space.Space, kind: str) -> None:
    found = population(OURS.data, _feasibility(whole), kind)  # type: ignore[arg-type]
    assert found.envelope.data == DataConfig(64, Colour.RGB)
    assert [bottom.data for bottom in found.bottoms] == [SMALL, LARGE]
    assert found.tops[0].data == LARGE
    rng = np.random.default_rng(1)
    drawn = [found.draw(rng) for _ in range(60)]
    assert {genotype.data for genotype in drawn} == {SMALL, LARGE}
    assert len(set(drawn)) > 6
    for genotype in (*drawn, *found.tops, *found.bottoms):
        assert space.holds(found.envelope, genotype)
        assert genotype in whole


def test_each_largest_that_no_other_one_holds_is_a_top() -> None:
    # The higher resolution allows for less: at it the widest are infeasible, whose memory grows with the pixels.
    def figures(genotype: Genotype) -> object:
        made = estimate(genotype)
        return made if genotype.data == SMALL or genotype.alpha < 0.2 else made.model_copy(update={"macs": 10**9})

    limited = Feasibility(OURS, figures, WIDE.model_copy(update={"macs": 10**8}))  # type: ignore[arg-type]
    found = population(OURS.data, limited, "feasible")
    assert [(top.data, top.alpha) for top in found.tops] == [(LARGE, 0.1), (SMALL, 0.2)]
    assert found.envelope.alpha == 0.2


def test_only_the_feasible_depend_on_limits() -> None:
    least = min(estimate(genotype).flash_bytes for genotype in OURS.of(SMALL))
    whole, limited = _feasibility(), _feasibility(flash_bytes=least)
    assert 0 < len(limited.of(SMALL)) < len(whole.of(SMALL))
    datas = (SMALL,)
    everything = population(datas, whole, "space").identity
    assert population(datas, limited, "space").identity == everything
    assert population(datas, limited, "feasible").identity != population(datas, whole, "feasible").identity
    assert population(datas, _feasibility(replace(OURS, alphas=(0.1,))), "space").identity != everything
