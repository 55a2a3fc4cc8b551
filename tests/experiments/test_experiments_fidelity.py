"""Which subnets are trained alone, and what is concluded from their answers; on made-up numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.experiments import fidelity
from pipeline.experiments.fidelity import Measured
from pipeline.genotype import Colour, DataConfig, Genotype, architecture

DATAS = (DataConfig(32, Colour.MONO), DataConfig(32, Colour.RGB), DataConfig(64, Colour.RGB))
DEPTHS = ((0, 0, 0, 0, 0), (1, 0, 0, 0, 0), (2, 2, 0, 0, 0), (3, 4, 3, 3, 1))


def pool(data: DataConfig) -> list[Genotype]:
    return [Genotype(data, depths, tenths / 10) for depths in DEPTHS for tenths in range(1, 6)]


def work(genotype: Genotype) -> float:
    return float(sum(block.hidden * (block.inputs + block.outputs) for block in architecture(genotype)))


def answers(accuracies: fidelity.Floats, images: int = 400) -> fidelity.Bools:
    """Exactly so many right answers, on images that are the same for all: [seeds, subnets] -> [..., images]."""
    found: fidelity.Bools = np.arange(images) < np.rint(accuracies[..., None] * images)
    return found


def measured(alone: fidelity.Floats, shared: fidelity.Floats, each: int = 7) -> Measured:
    subnets = fidelity.choose({data: pool(data) for data in DATAS}, each * len(DATAS), work=work)
    rng = np.random.default_rng(0)
    order = rng.permutation(400)
    return Measured(subnets, answers(alone)[..., order], answers(shared)[..., order], np.arange(400) // 4)


TRUTH: fidelity.Floats = np.linspace(0.6, 0.8, 21)


def test_chosen_subnets_spread_over_configurations_and_sizes() -> None:
    chosen = fidelity.choose({data: pool(data) for data in DATAS}, 20, work=work)
    assert len(set(chosen)) == 20
    assert [sum(one.data == data for one in chosen) for data in DATAS] == [7, 7, 6]
    for data in DATAS:
        own = [work(one) for one in chosen if one.data == data]
        every = sorted(map(work, pool(data)))
        assert own == sorted(own)
        assert own[0] == every[0]
        assert own[-1] == every[-1]
        steps = np.diff(np.log(own))
        assert steps.max() < 2.5 * (math.log(every[-1]) - math.log(every[0])) / len(steps)


@given(
    sizes=st.lists(st.integers(0, 20), min_size=3, max_size=3), count=st.integers(0, 70), seed=st.integers(0, 2**32 - 1)
)
def test_never_more_than_there_are_and_none_twice(sizes: list[int], count: int, seed: int) -> None:
    pools = {data: pool(data)[:size] for data, size in zip(DATAS, sizes, strict=True)}
    chosen = fidelity.choose(pools, count, work=work, seed=seed)
    assert len(set(chosen)) == len(chosen) == min(count, sum(sizes))
    assert chosen == fidelity.choose({data: own[::-1] for data, own in pools.items()}, count, work=work, seed=seed)
    assert all(one in pools[one.data] for one in chosen)


def test_a_faithful_supernet_reaches_the_ceiling() -> None:
    found = measured(np.stack([TRUTH, TRUTH]), TRUTH[None] - 0.03).figures()
    assert found.subnets == 21
    figures = (found.ceiling, found.spearman, found.share, found.averaged, found.kendall, found.kendall_ceiling)
    assert [figure.value for figure in figures] == pytest.approx(6 * [1])
    assert found.gap.value == pytest.approx(0.03, abs=0.0013)
    assert found.gap.low is not None and found.gap.high is not None
    assert found.gap.low < 0.03 < found.gap.high


def test_a_supernet_that_ranks_the_other_way_round_is_found_out() -> None:
    found = measured(np.stack([TRUTH, TRUTH]), TRUTH[None, ::-1]).figures()
    assert found.spearman.value == pytest.approx(-1)
    assert found.kendall.value == pytest.approx(-1)
    assert found.share.value == pytest.approx(-1)
    assert found.gap.value == pytest.approx(0)


def test_the_ceiling_is_between_seeds() -> None:
    other = TRUTH.copy()
    other[[0, 20]] = other[[20, 0]]
    found = measured(np.stack([TRUTH, other]), np.stack([TRUTH, other])).figures()
    # One of the two supernets agrees with either seed: half of the pairs are perfect.
    assert found.ceiling.value is not None and found.spearman.value is not None
    assert found.ceiling.value < 0.6
    assert found.spearman.value == pytest.approx((1 + found.ceiling.value) / 2)


def test_gaps_are_told_by_size() -> None:
    of = measured(np.stack([TRUTH, TRUTH]), TRUTH[None])
    sizes = np.array(of.sizes())
    lower = TRUTH - np.select([sizes == "small", sizes == "medium"], [0.01, 0.02], 0.06)
    found = measured(np.stack([TRUTH, TRUTH]), lower[None]).figures()
    assert {size: round(figure.value or 0, 2) for size, figure in found.by_size.items()} == {
        "small": 0.01,
        "medium": 0.02,
        "large": 0.06,
    }
    assert [list(sizes[:7]).count(size) for size in fidelity.SIZES] == [3, 2, 2]


def test_one_data_configuration_alone() -> None:
    shared = TRUTH.copy()
    shared[7:14] = shared[7:14][::-1]
    of = measured(np.stack([TRUTH, TRUTH]), shared[None])
    assert of.datas == DATAS
    assert [of.figures(data).spearman.value for data in DATAS] == pytest.approx([1, -1, 1])
    assert of.figures(DATAS[1]).subnets == 7


def test_what_is_not_defined_is_none() -> None:
    alone = measured(TRUTH[None], TRUTH[None]).figures()
    assert alone.ceiling.value is None
    assert alone.share.value is None
    assert alone.spearman.value == pytest.approx(1)
    constant = measured(np.stack([TRUTH, TRUTH]), np.full((1, 21), 0.7)).figures()
    assert constant.spearman.value is None
    assert constant.as_dict()["spearman"] == {"value": None, "low": None, "high": None, "level": 0.95}
    assert constant.gap.value is not None


def test_ties_share_ranks() -> None:
    alone = np.array([[0.5, 0.6, 0.6]])
    shared = np.array([[0.5, 0.6, 0.7]])
    found = measured(alone, shared, each=1).figures()
    assert found.spearman.value == pytest.approx(math.sqrt(3) / 2)
    assert found.kendall.value == pytest.approx(2 / math.sqrt(6))


def test_answers_must_be_of_the_same_images() -> None:
    of = measured(np.stack([TRUTH, TRUTH]), TRUTH[None])
    with pytest.raises(ValueError, match="images"):
        Measured(of.subnets, of.alone[..., :-1], of.shared, of.groups)
