"""The estimate: its items, and that it says the same of a genotype, its model and the rendered sources."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline import boards
from pipeline import estimate as package
from pipeline.boards import Board
from pipeline.errors import UsageError
from pipeline.estimate import Estimate, Limits, estimate, plan
from pipeline.estimate.features import expected
from pipeline.estimate.kernels import constant_bytes, stage_state, structure_bytes, words
from pipeline.estimate.macs import macs
from pipeline.estimate.table import Table, load
from pipeline.firmware.lowering import Constant, Lowering
from pipeline.genotype import Genotype
from pipeline.graph.filling import filled
from pipeline.graph.model import Graph
from pipeline.graph.skeleton import from_genotype

_BOARD = boards.load("nucleo_f746zg")
_NAMES = ("32-mono-d00000-a01", "96-rgb-d32100-a03", "64-mono-d34331-a04")


def _parts(found: Estimate) -> dict[str, int]:
    return {item.name: item.bytes for item in (*found.ram, *found.flash)}


@pytest.mark.parametrize("name", _NAMES)
def test_a_skeleton_and_its_model_have_one_estimate(name: str) -> None:
    skeleton = from_genotype(Genotype.parse(name), 3)
    model = filled(skeleton, seed=4)
    assert estimate(skeleton, _BOARD) == estimate(model, _BOARD)
    assert estimate(model, _BOARD, plan=plan(model)) == estimate(model, _BOARD)


def test_items_sum_up_and_are_the_table_s() -> None:
    graph = from_genotype(Genotype.parse("96-rgb-d32100-a03"), 2)
    found, table = estimate(graph, _BOARD), load("cortex-m7")
    parts = _parts(found)
    assert [item.name for item in found.ram] == ["arena", "static", "stack"]
    assert parts["arena"] == plan(graph).arena_bytes
    assert parts["static"] == table.program.static + stage_state(len(plan(graph).stages)) + 4
    names = ("add", "conv_2d", "mean_of_rows", "separable_conv_2d", "softmax")
    kernels = {name: table.kernels[name] for name in names}
    # Functions are counted once, whoever shares them.
    pieces = set(table.program.pieces).union(*(kernel.pieces for kernel in kernels.values()))
    features = expected(graph, plan(graph)).names
    for name in features:
        pieces.update(table.parts.get(name, ()))
    grown = sum(table.growth.get(piece, {}).get(name, 0) for piece in pieces for name in features)
    assert parts["kernels"] + parts["libraries"] == sum(table.pieces[piece] for piece in pieces) + grown
    assert found.ram_bytes == parts["arena"] + parts["static"] + parts["stack"]
    assert found.flash_bytes == sum(item.bytes for item in found.flash)
    assert found.stack_reserve == _BOARD.stack.reserve_bytes >= parts["stack"]


def _rendered_bytes(graph: Graph) -> tuple[int, int]:
    """(bytes of the constant arrays that are rendered, bytes saved because equal ones are kept once)."""
    lowering = Lowering(graph)

    def used(value: object) -> int:
        if isinstance(value, Constant):
            return words(lowering.pool.arrays[value.number].nbytes)
        return sum(used(field.value) for field in value) if isinstance(value, tuple) else 0

    total = 0
    for segment in plan(graph).segments:
        for stage in segment.stages:
            total += sum(used(params.fields) for params in lowering.call(stage, flat=segment.flat).params)
    kept = sum(words(array.nbytes) for array in lowering.pool.arrays)
    return kept, total - kept


@pytest.mark.parametrize("name", _NAMES)
def test_constants_are_those_that_are_rendered(name: str) -> None:
    graph = filled(from_genotype(Genotype.parse(name), 2), seed=5)
    kept, shared = _rendered_bytes(graph)
    assert sum(constant_bytes(graph, operator) for operator in graph.operators) == kept + shared
    assert shared < 0.02 * kept


def test_names_are_counted_once() -> None:
    graph = from_genotype(Genotype.parse("32-mono-d00000-a01"), 2)
    made = plan(graph)
    # CONV_2D 8, DEPTHWISE_CONV_2D+CONV_2D 28, ADD 4, MEAN 8, FULLY_CONNECTED 16, SOFTMAX 8; then 14 bytes a stage.
    names = 8 + 28 + 4 + 8 + 16 + 8
    counted = structure_bytes(graph, made)
    rows = (counted - names - 4 * len(made.stages) - words(10 * len(made.stages)) - words(2 * len(made.segments))) / 12
    assert rows == int(rows) and 0 < rows <= len(graph.operators) + 1


def test_macs_are_the_textbook_s() -> None:
    graph = from_genotype(Genotype.parse("32-mono-d00000-a01"), 2)
    # Stem, stage 1 (depthwise, project), stage 2 block 0 (16 → 8 hidden → 24) and 1 (24 → 16 hidden → 24), dense.
    stem, first = 16 * 16 * 9 * 32, 16 * 16 * (9 * 32 + 32 * 16)
    second = 16 * 16 * 16 * 8 + 8 * 8 * (9 * 8 + 8 * 24)
    third = 8 * 8 * (24 * 16 + 9 * 16 + 16 * 24)
    assert macs(graph) == stem + first + second + third + 24 * 2


def test_a_larger_network_needs_more() -> None:
    small, large = (estimate(from_genotype(Genotype.parse(name), 2), _BOARD) for name in _NAMES[:2])
    assert small.ram_bytes < large.ram_bytes
    assert small.flash_bytes < large.flash_bytes
    assert Limits(ram_bytes=small.ram_bytes, flash_bytes=small.flash_bytes, macs=small.macs).admits(small)
    assert not Limits(ram_bytes=small.ram_bytes, flash_bytes=large.flash_bytes).admits(large)


def test_a_kernel_that_is_not_calibrated_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    table = load("cortex-m7")
    kernels = {name: kernel for name, kernel in table.kernels.items() if name != "mean_of_rows"}

    def without_mean(_: Board) -> Table:
        return table.model_copy(update={"kernels": kernels})

    monkeypatch.setattr("pipeline.estimate.estimator.load_for", without_mean)
    with pytest.raises(UsageError) as caught:
        estimate(from_genotype(Genotype.parse(_NAMES[0]), 2), _BOARD)
    assert caught.value.id == "no-calibration" and "mean_of_rows" in caught.value.what


def test_importing_the_values_loads_no_numpy() -> None:
    code = "import sys, pipeline.estimate.model, pipeline.estimate; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_exports_what_it_says() -> None:
    for name in package.__all__:
        assert callable(getattr(package, name))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = package.nonsense
