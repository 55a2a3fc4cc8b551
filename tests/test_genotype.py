"""Genotypes: ids round trip, the chain rule of stages, the blocks that they stand for."""

import itertools

import pytest

from pipeline.genotype import (
    ALPHAS,
    MAX_DEPTHS,
    RESOLUTIONS,
    Colour,
    DataConfig,
    Genotype,
    architecture,
    hidden_channels,
)


def _depths() -> list[tuple[int, ...]]:
    return [
        depths
        for depths in itertools.product(*(range(most + 1) for most in MAX_DEPTHS))
        if not any(later and not earlier for earlier, later in itertools.pairwise(depths))
    ]


def test_the_published_space_has_37520_points() -> None:
    assert len(_depths()) == 268
    assert len(_depths()) * len(ALPHAS) * len(RESOLUTIONS) * len(Colour) == 37_520


def test_ids_are_unique_and_round_trip() -> None:
    data = DataConfig(96, Colour.RGB)
    genotypes = [Genotype(data, depths, alpha) for depths in _depths() for alpha in ALPHAS]  # type: ignore[arg-type]
    assert len({genotype.id for genotype in genotypes}) == len(genotypes)
    assert all(Genotype.parse(genotype.id) == genotype for genotype in genotypes)
    assert DataConfig.parse(data.id) == data


@pytest.mark.parametrize("text", ["", "96-rgb", "96-rgb-d321-a03", "95-rgb-d32100-a03", "96-rgb-d30100-a03", "x-y-z-w"])
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
