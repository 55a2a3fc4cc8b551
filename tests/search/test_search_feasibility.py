"""Limits rule before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from search_toy import SPACE, WIDE, ToySource, config, estimate

from pipeline import search
from pipeline.errors import DoesNotFitError
from pipeline.estimate.model import Estimate, Limits
from pipeline.genotype import Genotype
from pipeline.search.feasibility import Feasibility


def test_only_what_fits_is_admitted_and_nothing_is_estimated_twice() -> None:
    asked: list[Genotype] = []

    def counting(genotype: Genotype) -> Estimate:
        asked.append(genotype)
        return estimate(genotype)

    limits = Limits(ram_bytes=10**9, flash_bytes=sorted(estimate(g).flash_bytes for g in SPACE)[5])
    feasibility = Feasibility(SPACE, counting, limits)
    found = [genotype for data in feasibility.data for genotype in feasibility.of(data)]
    assert found == [genotype for genotype in SPACE if estimate(genotype).flash_bytes <= limits.flash_bytes]
    assert 0 < len(found) < len(SPACE)
    assert len(asked) == len(set(asked))


def test_nothing_feasible_ends_before_training_and_names_the_tightest_figure(tmp_path: Path) -> None:
    tight = config(limits=Limits(ram_bytes=1024, flash_bytes=10**9, macs=10**9))
    with pytest.raises(DoesNotFitError) as caught:
        search.run(tight, ToySource(), folder=tmp_path, estimate=estimate)
    assert (caught.value.id, caught.value.exit_code) == ("nothing-feasible", 8)
    least = min(estimate(genotype).ram_bytes for genotype in SPACE)
    assert caught.value.why.startswith(f"RAM: least {least:,} bytes (32-mono-")
    assert list(tmp_path.iterdir()) == []


def test_no_limit_admits_all() -> None:
    assert Feasibility(SPACE, estimate, WIDE).of(SPACE.data[0]) == tuple(SPACE.of(SPACE.data[0]))
