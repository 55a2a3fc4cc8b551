"""An estimate from shapes alone says of every genotype what its model, converted or not, and its firmware will need."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from pipeline import boards
from pipeline.boards import Board
from pipeline.estimate import estimate, plan_for
from pipeline.estimate.model import Estimate, InputMode, MemoryPlan, Prefer
from pipeline.estimate.stages import image_rows
from pipeline.firmware.model_sources import model_sources
from pipeline.genotype import ALPHAS, Genotype
from pipeline.graph.filling import filled_bytes
from pipeline.graph.model import Graph
from pipeline.graph.reader import parse, read
from pipeline.graph.skeleton import from_genotype
from pipeline.quantize import convert
from pipeline.search import layers, subnet
from pipeline.search.space import all_data, all_depths

_BOARDS = ("nucleo_f746zg", "nucleo_l4r5zi", "mps2_an500")
#: How far the worst case of all weights may be above the figure of some: a part of it.
_WORST_CASE = 0.15

_genotypes = st.builds(
    Genotype, st.sampled_from(all_data()), st.sampled_from(all_depths()), st.sampled_from(sorted(ALPHAS))
)


def _named(plan: MemoryPlan, graph: Graph) -> tuple[object, ...]:
    """A plan in terms that do not depend on the tensors' numbers: by the order in which operators write them."""
    names: dict[int | None, int] = {None: -2, graph.input.index: -1}
    for operator in graph.operators:
        names[operator.outputs[0]] = operator.index
    places = sorted(
        (names[one.tensor], one.offset, one.size, one.first, one.last, one.ring, names[one.alias_of])
        for one in plan.placements
    )
    segments = [
        (
            [[operator.index for operator in stage.operators] for stage in segment.stages],
            [stage.block for stage in segment.stages],
            replace(segment, stages=()),
        )
        for segment in plan.segments
    ]
    return plan.arena_bytes, plan.peak_operator, plan.least, places, segments


def _agree(shapes: Graph, model: Graph, board: Board, prefer: Prefer, input_mode: InputMode) -> Estimate:
    """The one plan and the one RAM of both; flash from shapes is the worst case."""
    planned, built = (plan_for(graph, board, prefer=prefer, input_mode=input_mode) for graph in (shapes, model))
    assert _named(planned, shapes) == _named(built, model)
    blind, known = estimate(shapes, board, plan=planned), estimate(model, board, plan=built)
    assert blind.ram == known.ram, "item by item, part by part"
    assert (blind.stack_reserve, blind.macs) == (known.stack_reserve, known.macs)
    assert known.flash_bytes <= blind.flash_bytes <= (1 + _WORST_CASE) * known.flash_bytes
    return known


def _one_estimate(genotype: Genotype, classes: int, board: str, prefer: Prefer, input_mode: InputMode) -> None:
    shapes = from_genotype(genotype, classes)
    model = parse(filled_bytes(shapes, seed=genotype.seed))
    _agree(shapes, model, boards.load(board), prefer, input_mode)


_cases = given(
    genotype=_genotypes,
    classes=st.integers(1, 12),
    board=st.sampled_from(_BOARDS),
    prefer=st.sampled_from(list(Prefer)),
    input_mode=st.sampled_from(list(InputMode)),
)
#: Nothing to shrink to that would say more than the genotype itself.
_plainly = settings(
    max_examples=20,
    database=None,
    phases=[Phase.generate],
)


@seed(1)
@_plainly
@_cases
def test_shapes_and_model_have_one_estimate(
    genotype: Genotype, classes: int, board: str, prefer: Prefer, input_mode: InputMode
) -> None:
    _one_estimate(genotype, classes, board, prefer, input_mode)


@pytest.mark.slow
def test_five_hundred_genotypes_have_one_estimate() -> None:
    rng = np.random.default_rng(500)
    data, depths = all_data(), all_depths()
    drawn: set[Genotype] = set()
    while len(drawn) < 500:
        chosen = (data[rng.integers(len(data))], depths[rng.integers(len(depths))], ALPHAS[rng.integers(len(ALPHAS))])
        drawn.add(Genotype(*chosen))
    for number, genotype in enumerate(sorted(drawn, key=lambda one: one.id)):
        _one_estimate(genotype, 2, _BOARDS[number % 3], Prefer.BALANCED, InputMode.RESIDENT)


# --- what is rendered ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("input_mode", list(InputMode))
@pytest.mark.parametrize("name", ["32-mono-d00000-a01", "96-rgb-d32100-a03", "64-mono-d34331-a04"])
def test_the_plan_from_shapes_is_the_one_that_is_rendered(name: str, input_mode: InputMode, board: Board) -> None:
    shapes = from_genotype(Genotype.parse(name), 2)
    model = parse(filled_bytes(shapes, seed=3))
    plan = plan_for(shapes, board, input_mode=input_mode)
    text = model_sources(model, plan_for(model, board, input_mode=input_mode)).files["model.cpp"]
    arena = re.search(r"danas_arena\[(\d+)\];", text)
    assert arena is not None and int(arena[1]) == plan.arena_bytes == estimate(shapes, board, plan=plan).ram[0].bytes
    rows = re.findall(r"kRows(\d+) = \{reinterpret_cast<int8_t\*>\(danas_arena \+ (\d+)\), (\d+), (\d+)\}", text)
    assert len(rows) > len(plan.stages) // 2
    placed = {placement.tensor: placement for placement in plan.placements}
    for tensor, offset, row, kept in (map(int, found) for found in rows):
        place = placed[tensor]
        assert offset == place.offset
        assert kept == (image_rows(shapes.tensors[tensor]) if place.ring is None else place.ring)
        assert row * kept <= place.size
    steps = re.findall(r"    case (\d+):\n(.*)", text)
    segments = [segment for segment in plan.segments for _ in segment.stages]
    before = 1 if input_mode is InputMode.STREAMED else 0
    for number, call in steps:
        scratch = re.search(r"scratch_at\((\d+)\)", call)
        assert scratch is None or int(scratch[1]) == segments[int(number) - before].scratch
    assert len(steps) == len(plan.stages) > 0


# --- what TensorFlow converts ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["32-mono-d00000-a01", "32-mono-d11121-a01", "64-rgb-d21100-a04"])
def test_a_converted_network_has_the_estimate_of_its_shapes(name: str, board: Board, tmp_path: Path) -> None:
    genotype = Genotype.parse(name)
    weights = layers.initial(layers.parameters(genotype, 2), (3,))
    rng = np.random.default_rng(1)
    for parameter, values in weights.items():
        if not parameter.endswith("kernel"):
            # As training would: no bias is zero in every channel, which the converter would leave out.
            weights[parameter] = values + rng.normal(0, 0.2, values.shape).astype(np.float32)
    images = rng.integers(0, 256, (8, *genotype.data.shape), np.uint8)
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(subnet.settle(weights, genotype, 2, images), images))
    shapes, model = from_genotype(genotype, 2), read(path)
    for prefer in Prefer:
        for input_mode in InputMode:
            _agree(shapes, model, board, prefer, input_mode)
    model_sources(model, plan_for(model, board))
