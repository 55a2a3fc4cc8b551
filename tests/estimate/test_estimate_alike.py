"""Networks that are planned once because they are alike: each has the figures that it has alone."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import boards
from pipeline.boards import Board
from pipeline.errors import UsageError
from pipeline.estimate import alike
from pipeline.estimate.alike import Designs
from pipeline.estimate.estimator import Planned
from pipeline.estimate.model import Estimate, InputMode, Prefer
from pipeline.estimate.planner import Planner
from pipeline.genotype import ALPHAS, Colour, DataConfig, Genotype
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype
from pipeline.search.space import all_data, all_depths
from pipeline.search.wide import full as wide_space

BOARD = boards.load("nucleo_f746zg")
#: Where plans differ in kind: one that fits at once, one that is looked for, maps of single pixels.
CASES = (("96-rgb", 0.3), ("128-mono", 0.4), ("32-mono", 0.6))


def _alone(genotype: Genotype, planned: Planned, board: Board = BOARD) -> Estimate:
    return planned(from_genotype(genotype, 2), board)


def _designs(data: str, alpha: float, depths: Sequence[tuple[int, int, int, int, int]]) -> list[Genotype]:
    return [Genotype(DataConfig.parse(data), one, alpha) for one in depths]


def _agree(
    genotypes: Sequence[Genotype], planned: Planned, looked_at: Sequence[Genotype], board: Board = BOARD
) -> None:
    """All are estimated, and some of them held against the estimate of each alone."""
    each = Designs(board, 2, planned)
    found = {genotype: each(genotype) for genotype in genotypes}
    for genotype in looked_at:
        assert found[genotype] == _alone(genotype, planned, board), genotype.id


@pytest.mark.parametrize(("data", "alpha"), CASES)
def test_designs_have_the_figures_that_they_have_alone(data: str, alpha: float) -> None:
    every = _designs(data, alpha, all_depths()[::9])
    _agree(every, Planned(), every[::5])


@pytest.mark.slow
@pytest.mark.parametrize("room", [None, 24_000, 48_000])
@pytest.mark.parametrize("board", ["nucleo_l4r5zi", "mps2_an500"])
def test_boards_and_limits(board: str, room: int | None) -> None:
    rng = Random(room)
    for data in rng.sample(all_data(), 2):
        every = _designs(data.id, rng.choice(ALPHAS), all_depths()[::2])
        _agree(every, Planned(ram_bytes=room), rng.sample(every, 12), boards.load(board))


def test_a_limit_that_binds_is_held() -> None:
    every = _designs("64-rgb", 0.5, all_depths()[::16])
    least = min(_alone(genotype, Planned()).ram_bytes for genotype in every)
    for room in (least // 2, least - 16, least + 16):
        _agree(every, Planned(ram_bytes=room), every[::4])


@given(st.randoms(use_true_random=False))
@settings(max_examples=2)
def test_the_order_does_not_matter(rng: Random) -> None:
    every = _designs("64-rgb", 0.2, all_depths()[::9])
    one, other = Designs(BOARD, 2, Planned()), Designs(BOARD, 2, Planned())
    found = {genotype: one(genotype) for genotype in every}
    rng.shuffle(every)
    assert all(found[genotype] == other(genotype) for genotype in every)


def test_few_are_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = []

    class Counted(Planner):
        def __init__(self, graph: Graph) -> None:
            planned.append(graph)
            super().__init__(graph)

    def alone(genotype: Genotype, classes: int) -> Graph:
        planned.append(found := from_genotype(genotype, classes))
        return found

    monkeypatch.setattr(alike, "Planner", Counted)
    monkeypatch.setattr(alike, "from_genotype", alone)
    each = Designs(BOARD, 2, Planned())
    every = _designs("224-rgb", 0.3, all_depths())
    for genotype in every:
        each(genotype)
    assert len(planned) < len(every) // 3


def test_what_is_forgotten_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "_MOST", 7)
    every = _designs("64-rgb", 0.2, all_depths()[::20])
    _agree(every, Planned(), every[::3])


@pytest.mark.parametrize(
    "planned", [Planned(Prefer.RAM), Planned(Prefer.SPEED), Planned(input_mode=InputMode.STREAMED)], ids=str
)
def test_other_plans_are_made_for_each(planned: Planned) -> None:
    every = _designs("32-rgb", 0.2, all_depths()[:3])
    _agree(every, planned, every)


def test_designs_of_the_wide_space() -> None:
    rng = np.random.default_rng(3)
    every = [wide_space().random(rng, DataConfig(32, Colour.RGB)) for _ in range(3)]
    _agree(every, Planned(), every)


def test_a_kernel_without_calibration_is_refused() -> None:
    genotype = Genotype.parse("32-mono-d10000-a01")
    each = Designs(BOARD, 2, Planned())
    table = each._table
    kernels = {name: kernel for name, kernel in table.kernels.items() if name != "softmax"}
    each.__dict__["_table"] = table.model_copy(update={"kernels": kernels})
    assert each._shared(genotype) is None
    with pytest.raises(UsageError, match="no calibration table"):
        Designs(BOARD.model_copy(update={"core": BOARD.core.model_copy(update={"cpu": "cortex-m1"})}), 2, Planned())(
            genotype
        )
