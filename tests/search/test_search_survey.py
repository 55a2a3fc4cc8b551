"""Which share of a space fits: counts, ranges, and figures that are those of single estimates."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from dataclasses import replace

import pytest

from pipeline import boards
from pipeline.boards import Area, Region
from pipeline.estimate import estimate
from pipeline.estimate.estimator import Planned
from pipeline.estimate.model import InputMode, Limits, Prefer
from pipeline.estimate.planner import _found
from pipeline.genotype import Colour, DataConfig, Genotype, architecture
from pipeline.graph.skeleton import _stem, from_genotype, grown
from pipeline.search import wide
from pipeline.search.feasibility import analytic
from pipeline.search.space import PaperSpace, Space, all_depths, full
from pipeline.search.spaces import made
from pipeline.search.survey import Design, Limit, Range, drawn, share, shares, survey, without_collector

BOARD = boards.load("nucleo_f746zg")
SMALL = PaperSpace(
    data=(DataConfig(32, Colour.MONO), DataConfig(64, Colour.RGB)),
    depths=tuple(depths for depths in all_depths() if sum(depths) < 3),
    alphas=(0.1, 0.4),
)


def test_each_design_of_the_space_once_and_as_a_single_estimate_has_it() -> None:
    limits = Limits(ram_bytes=40_000, flash_bytes=60_000, macs=2_000_000)
    designs = list(survey(SMALL, analytic(BOARD, 3), limits))
    assert [design.genotype for design in designs] == list(SMALL) and len(designs) == len(SMALL)
    for design in designs:
        single = estimate(from_genotype(design.genotype, 3), BOARD)
        assert (design.ram_bytes, design.flash_bytes, design.macs) == (
            single.ram_bytes, single.flash_bytes, single.macs,
        )  # fmt: skip
        assert design.fits is limits.admits(single)
        assert (Limit.RAM in design.over) is (single.ram_bytes > limits.ram_bytes)
        assert (Limit.MACS in design.over) is (single.macs > 2_000_000)


def test_of_ram_in_several_pieces_an_arena_that_has_no_place_is_over_the_limit() -> None:
    board = boards.load("nucleo_h743zi")
    stack, pieces = board.stack.reserve_bytes, board.areas
    least = min(estimate(from_genotype(genotype, 3), board).blocks["arena"] for genotype in SMALL)
    small = tuple(replace(area, regions=(_sized(area.regions[0], stack + least + 1_000),)) for area in pieces[:2])
    limits = Limits(ram_bytes=1 << 20, flash_bytes=1 << 20, linked_bytes=sum(map(_size, small)), areas=small)
    designs = list(survey(SMALL, analytic(board, 3), limits))
    fits = [design.fits for design in designs]
    assert any(fits) and not all(fits)
    for design in designs:
        single = estimate(from_genotype(design.genotype, 3), board)
        assert design.fits is limits.admits(single)
        assert (Limit.RAM in design.over) is not design.fits
        assert single.ram_bytes < limits.ram_bytes


def _sized(region: Region, size: int) -> Region:
    return region.model_copy(update={"bytes": size})


def _size(area: Area) -> int:
    return area.bytes


def test_the_settings_of_a_run_decide_the_plan() -> None:
    graph = from_genotype(Genotype.parse("64-rgb-d11000-a04"), 2)
    needs = {
        (prefer, mode): Planned(prefer=prefer, ram_bytes=BOARD.ram_bytes, input_mode=mode)(graph, BOARD).ram_bytes
        for prefer in (Prefer.RAM, Prefer.BALANCED)
        for mode in InputMode
    }
    assert needs[Prefer.BALANCED, InputMode.RESIDENT] == estimate(graph, BOARD).ram_bytes
    assert needs[Prefer.BALANCED, InputMode.STREAMED] < needs[Prefer.BALANCED, InputMode.RESIDENT]
    assert needs[Prefer.RAM, InputMode.STREAMED] <= needs[Prefer.BALANCED, InputMode.STREAMED]


def test_shares_count_what_fits_and_name_the_limit_that_binds() -> None:
    one, two, three = (Genotype.parse(f"{data}-d00000-a01") for data in ("32-mono", "32-rgb", "64-mono"))
    designs = [
        Design(one, 10, 20, 1, ()),
        Design(two, 30, 90, 1, (Limit.FLASH,)),
        Design(three, 50, 95, 1, (Limit.RAM, Limit.FLASH)),
    ]
    found = share(designs)
    assert (found.count, found.fits, found.binds) == (3, 1, Limit.FLASH)
    assert found.share == pytest.approx(1 / 3)
    assert (found.ram, found.flash) == (Range(10, 10), Range(20, 20))
    assert share(designs[1:]).ram == Range(30, 50), "of all, where none fits"
    by_colour = shares(designs, lambda genotype: genotype.data.colour)
    assert {colour: of.count for colour, of in by_colour.items()} == {Colour.MONO: 2, Colour.RGB: 1}
    assert by_colour[Colour.MONO].binds is Limit.RAM and share(designs[:1]).binds is None


def test_the_space_has_as_many_designs_as_the_paper_says() -> None:
    assert len(full()) == sum(1 for _ in full()) == 37_520


@pytest.mark.parametrize("of", [wide.quick(), SMALL])
def test_designs_are_drawn_alike_of_each_data_configuration(of: Space) -> None:
    chosen = drawn(of, 20, seed=4)
    assert chosen == drawn(of, 20, seed=4) != drawn(of, 20, seed=5)
    assert len(set(chosen)) == len(chosen) and all(genotype in of for genotype in chosen)
    order = [of.data.index(genotype.data) for genotype in chosen]
    assert order == sorted(order)
    counts = Counter(order)
    assert len(counts) == len(of.data) and max(counts.values()) <= -(-20 // len(of.data))


def test_spaces_by_their_names() -> None:
    assert (made("paper"), made("wide", "quick")) == (full(), wide.quick())
    assert made("paper", "quick").name == "paper"
    with pytest.raises(ValueError, match="none of"):
        made("narrow")


def test_estimates_leave_no_cycles_of_garbage() -> None:
    designs = PaperSpace(data=(DataConfig(128, Colour.MONO),), depths=all_depths()[:30], alphas=(0.1, 0.2))
    grown.cache_clear()
    _stem.cache_clear()
    each = analytic(BOARD, 2)
    with without_collector():
        assert not gc.isenabled()
        for genotype in designs:
            each(genotype)
            estimate(from_genotype(genotype, 2), BOARD)
        graph = grown(genotype.data, architecture(genotype))
        remembered = [weakref.ref(one) for one in (graph, _found(graph), _found(graph).layouts)]
        del graph
        grown.cache_clear()
        _stem.cache_clear()
        assert not any(one() for one in remembered)
    assert gc.isenabled()
