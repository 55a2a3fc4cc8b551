"""Genotypes: ids round trip, the chain rule of stages, the blocks that they stand for."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.genotype import (
    ALPHAS,
    EXPANSIONS,
    GENES,
    MAX_DEPTHS,
    QUARTERS,
    RESOLUTIONS,
    Colour,
    DataConfig,
    Genotype,
    StageGenes,
    Wide,
    architecture,
    hidden_channels,
    kernels,
    map_side,
    wide_channels,
)

Depths = tuple[int, int, int, int, int]
_WIDE = "96-rgb-w43-2436-3452-1233"


@st.composite
def wide_genotypes(draw: st.DrawFn) -> Genotype:
    """Any design of the wide space."""
    data = DataConfig(draw(st.sampled_from(RESOLUTIONS)), draw(st.sampled_from(list(Colour))))
    depths = draw(st.sampled_from(_depths()))
    stages = []
    for stage in range(2, 3 + sum(map(bool, depths))):
        kernel = draw(st.sampled_from(kernels(data, stage)))
        stages.append(StageGenes(draw(st.sampled_from(QUARTERS)), kernel, draw(st.sampled_from(EXPANSIONS))))
    wide = Wide(draw(st.sampled_from(QUARTERS)), draw(st.sampled_from(QUARTERS)), tuple(stages))
    return Genotype(data, depths, wide=wide)


def _depths() -> list[Depths]:
    return [
        (depths[0], depths[1], depths[2], depths[3], depths[4])
        for depths in itertools.product(*(range(most + 1) for most in MAX_DEPTHS))
        if not any(later and not earlier for earlier, later in itertools.pairwise(depths))
    ]


def test_the_published_space_has_37520_points() -> None:
    assert len(_depths()) == 268
    assert len(_depths()) * len(ALPHAS) * len(RESOLUTIONS) * len(Colour) == 37_520


def test_ids_are_unique_and_round_trip() -> None:
    data = DataConfig(96, Colour.RGB)
    genotypes = [Genotype(data, depths, alpha) for depths in _depths() for alpha in ALPHAS]
    assert len({genotype.id for genotype in genotypes}) == len(genotypes)
    assert all(Genotype.parse(genotype.id) == genotype for genotype in genotypes)
    assert DataConfig.parse(data.id) == data


@pytest.mark.parametrize(
    "text",
    [
        *("", "96-rgb", "96-rgb-d321-a03", "95-rgb-d32100-a03", "96-rgb-d30100-a03", "x-y-z-w"),
        *("96-rgb-d32100-a3", "96-rgb-d32100-a00", "96-rgb-d32100-a11", "096-rgb-d32100-a03", "96-rgb-d32100-a03\n"),
        *("96-rgb-d3210\u0660-a03", "\uff19\uff16-rgb-d32100-a03", " 96-rgb-d32100-a03", "96-rgb-d" + "1" * 9999),
        *("96-rgb-w44", "96-rgb-w54-2436", "96-rgb-w14-2436", "96-rgb-w44-1436", "96-rgb-w44-2446", "96-rgb-w44-2437"),
        *("96-rgb-w44-2536", "96-rgb-w44-2436-0436", "96-rgb-w44-2436-4436", "96-rgb-w44-2436-3436-a03"),
        *("32-rgb-w44-2436-1436-1456", "96-rgb-w44-24\u0663" + "6", "96-rgb-w44" + 7 * "-1433", "96-rgb-w44-2436-"),
    ],
)
def test_what_is_no_genotype_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Genotype.parse(text)


def test_the_full_network_is_mobilenetv2() -> None:
    blocks = architecture(Genotype(DataConfig(224, Colour.RGB), (3, 4, 3, 3, 1), 1.0))
    assert len(blocks) == 17
    assert [block.outputs for block in blocks if block.index == 0] == [16, 24, 32, 64, 96, 160, 320]
    assert [block.hidden for block in blocks[:4]] == [32, 96, 144, 144]
    assert sum(block.residual for block in blocks) == 10
    for before, after in itertools.pairwise(blocks):
        assert before.outputs == after.inputs


def test_alpha_touches_the_hidden_channels_alone() -> None:
    wide = architecture(Genotype(DataConfig(64, Colour.MONO), (2, 1, 0, 0, 0), 1.0))
    narrow = architecture(Genotype(DataConfig(64, Colour.MONO), (2, 1, 0, 0, 0), 0.3))
    assert [(b.inputs, b.outputs, b.stride) for b in wide] == [(b.inputs, b.outputs, b.stride) for b in narrow]
    assert narrow[0].hidden == wide[0].hidden == 32
    assert all(n.hidden < w.hidden for n, w in zip(narrow[1:], wide[1:], strict=True))


def test_hidden_channels_are_multiples_of_eight_and_never_shrink_with_alpha() -> None:
    for inputs in (16, 24, 32, 64, 96, 160):
        widths = [hidden_channels(inputs, 6, alpha) for alpha in ALPHAS]
        assert all(width % 8 == 0 and width >= 8 for width in widths)
        assert widths == sorted(widths)
        assert widths[-1] == 6 * inputs


# --- the wide space --------------------------------------------------------------------------------------------------


@given(one=wide_genotypes(), other=wide_genotypes())
def test_wide_ids_are_unique_and_round_trip(one: Genotype, other: Genotype) -> None:
    assert Genotype.parse(one.id) == one
    assert (one.id == other.id) == (one == other)
    assert (hash(one) == hash(other)) or one != other
    assert one.seed == Genotype.parse(one.id).seed


@given(one=wide_genotypes(), other=wide_genotypes())
def test_no_two_wide_designs_are_one_network(one: Genotype, other: Genotype) -> None:
    same = (one.data, architecture(one)) == (other.data, architecture(other))
    assert same == (one == other)


@given(wide_genotypes())
def test_wide_networks_have_channels_as_the_kernels_like_them(genotype: Genotype) -> None:
    blocks = architecture(genotype)
    for block in blocks:
        assert block.hidden % 8 == block.inputs % 4 == block.outputs % 4 == 0
        assert block.residual == (block.index > 0)
        assert not block.residual or (block.stride == 1 and block.inputs == block.outputs)
        side = map_side(genotype.data, block.stage)
        assert block.kernel == 3 or block.kernel <= 2 * side - 1
    for before, after in itertools.pairwise(blocks):
        assert before.outputs == after.inputs


@given(wide_genotypes(), st.sampled_from(RESOLUTIONS), st.sampled_from(list(Colour)))
def test_a_wide_design_can_be_had_for_other_images(genotype: Genotype, resolution: int, colour: Colour) -> None:
    other = genotype.at(DataConfig(resolution, colour))
    assert other.data == DataConfig(resolution, colour)
    assert resolution < genotype.data.resolution or other.at(genotype.data) == genotype
    assert all(now.kernel <= then.kernel for now, then in zip(architecture(other), architecture(genotype), strict=True))


@given(wide_genotypes())
def test_genes_are_named_and_within_their_choices(genotype: Genotype) -> None:
    genes = genotype.genes
    assert all(value in GENES[name] for name, value in genes.items())
    assert "alpha" not in genes
    assert sum(name.startswith("kernel") for name in genes) == 1 + sum(map(bool, genotype.depths))


def test_genes_of_a_published_design() -> None:
    assert Genotype.parse("96-rgb-d32100-a03").genes == {
        "resolution": 96,
        "colour": "rgb",
        "alpha": 0.3,
        "depth3": 3,
        "depth4": 2,
        "depth5": 1,
        "depth6": 0,
        "depth7": 0,
    }


def test_the_widest_wide_design_with_small_kernels_is_mobilenetv2() -> None:
    widest = Genotype.parse("224-rgb-w44-2436-3436-4436-3436-3436-1436")
    assert architecture(widest) == architecture(Genotype(DataConfig(224, Colour.RGB), (3, 4, 3, 3, 1), 1.0))
    assert [wide_channels(24, quarters) for quarters in QUARTERS] == [12, 20, 24]


def test_kernels_that_reach_beyond_the_map_are_not_offered() -> None:
    sides = [map_side(DataConfig(32, Colour.RGB), stage) for stage in range(8)]
    assert sides == [16, 16, 8, 4, 2, 2, 1, 1]
    assert [kernels(DataConfig(32, Colour.RGB), stage) for stage in (2, 3, 4, 6)] == [(3, 5, 7), (3, 5, 7), (3,), (3,)]
    assert kernels(DataConfig(96, Colour.MONO), 7) == (3, 5)


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": 0.5},
        {"depths": (3, 0, 0, 0, 0)},
        {"wide": Wide(4, 3, (StageGenes(4, 3, 6),) * 2)},
        {"wide": Wide(1, 3, (StageGenes(4, 3, 6),) * 3)},
        {"wide": Wide(4, 3, (StageGenes(4, 9, 6),) * 3)},
        {"wide": Wide(4, 3, (StageGenes(4, 3, 5),) * 3)},
    ],
)
def test_what_is_no_wide_design_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(Genotype.parse(_WIDE), **change)
