"""What a model needs of the kernels that come in parts, as far as its shapes and activations tell."""

from __future__ import annotations

import pytest

from pipeline.estimate.features import EVERYTHING, Features, block_code, block_sizes, expected
from pipeline.estimate.model import Prefer
from pipeline.estimate.planner import plan
from pipeline.firmware.model_sources import model_sources
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.skeleton import from_genotype


@pytest.mark.parametrize(
    ("width", "most", "sizes"),
    [
        (1, 4, {1}),
        (5, 4, {3, 2}),
        (6, 4, {3}),
        (7, 4, {4, 3}),
        (9, 4, {3}),
        (10, 4, {4, 3}),
        (7, 2, {2, 1}),
        (4, 1, {1}),
    ],
)
def test_rows_are_made_in_these_blocks(width: int, most: int, sizes: set[int]) -> None:
    assert block_sizes(width, most) == sum(1 << size for size in sizes)


def test_features_add_up_and_have_names() -> None:
    both = Features(relu=0b10000) | Features(relu=0b10, depthwise_other=1)
    assert both == Features(relu=0b10010, depthwise_other=1)
    assert both.names == {"relu 4", "relu 1", "depthwise_other"}
    assert both | EVERYTHING == EVERYTHING and both.names < EVERYTHING.names


@pytest.mark.parametrize("name", ["32-mono-d00000-a01", "64-rgb-d34331-a03", "96-rgb-d32100-a03"])
def test_shapes_tell_what_the_renderer_finds(name: str) -> None:
    skeleton = from_genotype(Genotype.parse(name), 2)
    model = filled(skeleton, seed=3)
    for prefer in (Prefer.BALANCED, Prefer.FLASH):
        memory = plan(skeleton, prefer=prefer)
        needed = expected(skeleton, memory)
        assert needed == expected(model, memory)
        assert needed.names == {
            name for name in model_sources(model, memory).features.names if not name.endswith("clamped")
        }


def test_flash_needs_no_more_code_than_balanced() -> None:
    graph = from_genotype(Genotype.parse("96-rgb-d32100-a03"), 2)
    code = {prefer: block_code(expected(graph, plan(graph, prefer=prefer))) for prefer in Prefer}
    assert 0 < code[Prefer.FLASH] < code[Prefer.BALANCED]
