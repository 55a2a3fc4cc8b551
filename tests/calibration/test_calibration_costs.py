"""The table of costs: least squares that are not negative, and a measurement from which known prices come back."""

from __future__ import annotations

import contextlib
import itertools
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.boards import Board
from pipeline.calibration import Workshop, costs
from pipeline.calibration.costs import CostsPart, Sample, fitted, measure
from pipeline.calibration.costs_fit import fit
from pipeline.calibration.costs_probes import models
from pipeline.calibration.probes import PROBES
from pipeline.calibration.writing import toml
from pipeline.device.discovery import Device
from pipeline.estimate.cost import CostModel, CostTable, load
from pipeline.estimate.cost.table import SUFFIX, read
from pipeline.estimate.cost.terms import Terms
from pipeline.estimate.planner import plan
from pipeline.firmware.details import details
from pipeline.graph.model import Graph
from pipeline.settings import Target


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_known_prices_come_back(seed: int, terms: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 1000, (4 * terms, terms)).astype(float)
    matrix[:, 0] += 1
    prices = np.where(rng.random(terms) < 0.3, 0.0, rng.uniform(0.1, 200, terms))
    prices[0] = 5.0
    np.testing.assert_allclose(fit(matrix, matrix @ prices), prices, rtol=1e-6, atol=1e-6)


def test_no_price_is_negative() -> None:
    matrix = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0], [0.0, 0.0]])
    # A line that falls: the best that is not negative is flat, its relative errors balanced.
    found = fit(matrix[:3], np.array([12.0, 10.0, 8.0]))
    assert found[1] == 0 and 8 < found[0] < 10


def test_a_part_that_never_runs_costs_nothing() -> None:
    assert fit(np.array([[2.0, 0.0], [4.0, 0.0]]), np.array([6.0, 12.0])) == pytest.approx([3.0, 0.0])


def test_prices_are_grouped_and_the_spread_is_told_by_kernel() -> None:
    samples = [
        Sample("add", Terms({"add.step": 1, "add.four": 10}), 120),
        Sample("add", Terms({"add.step": 1, "add.four": 20}), 220),
        Sample("mul", Terms({"mul.step": 1}), 90),
        Sample("mul", Terms({"mul.step": 1}), 110),
    ]
    prices, spread = fitted(samples)
    assert prices["add"] == pytest.approx({"step": 20.0, "four": 10.0}, abs=1e-3)
    # Relative errors: the price that balances 90 and 110 is below their mean.
    assert 90 < prices["mul"]["step"] < 100
    assert spread["add"].stages == 2 and spread["add"].worst == 0
    assert spread["mul"].mean < spread["mul"].worst < 0.12


# --- a whole measurement ---------------------------------------------------------------------------------------------


@dataclass
class _Device:
    """A program on a board: it takes what a table says, and a few cycles more or less each time."""

    graph: Graph
    costs: CostTable
    jitter: int
    inferences: int = 0

    def __post_init__(self) -> None:
        found = plan(self.graph)
        self.prediction = CostModel(self.costs).predict(self.graph, found, details(self.graph, found))

    def infer_on(self, data: bytes) -> int:
        assert len(data) == self.graph.input.nbytes
        self.inferences += 1
        around = self.prediction.overhead - self.costs.terms["inference.stage"] * len(self.prediction.counts)
        return round(around) + sum(int(one.cycles) for one in self.ops())

    def ops(self) -> list[Any]:
        # Of five inferences the third is the median of each stage.
        late = self.jitter * (self.inferences - 3)
        counts = [round(count) + late for count in self.prediction.counts]
        counts[0] += round(self.costs.terms["inference.stage"] * len(counts))
        return [SimpleNamespace(cycles=count) for count in counts]

    def identity(self) -> Any:
        return SimpleNamespace(clock_hz=168_000_000)


class _Shop:
    def __init__(self, board: Board, *, emulate: bool) -> None:
        self.board, self.target = board, Target(emulate=emulate)
        self.costs = load(board.core.cpu)
        self.devices: list[_Device] = []

    def build(self, graph: Graph) -> Graph:
        return graph

    @contextlib.contextmanager
    def running(self, graph: Graph, _: Graph) -> Iterator[tuple[_Device, Any]]:
        self.devices.append(_Device(graph, self.costs, jitter=0 if self.target.emulate else 2))
        where = {} if self.target.emulate else {"serial_number": "0671FF3833", "port": "/dev/ttyACM0"}
        yield self.devices[-1], SimpleNamespace(device=Device(self.board.name, **where))


@pytest.fixture(scope="module")
def probes() -> tuple[Graph, ...]:
    return tuple(models())


@pytest.mark.slow
def test_a_board_with_known_prices_is_measured(board: Board, probes: tuple[Graph, ...], tmp_path: Path) -> None:
    shop = _Shop(board, emulate=False)
    heard: list[str] = []
    text = CostsPart().measure(cast(Workshop, shop), heard.append)
    path = tmp_path / f"{board.core.cpu}{SUFFIX}.toml"
    path.write_text(text, encoding="utf-8")
    found = read(path)
    assert (found.unit, found.source, found.clock_hz) == ("cycles", "measured on serial 0671FF3833", 168_000_000)
    assert (found.cpu, found.board, found.schema_version) == (board.core.cpu, board.name, 1)
    assert {device.inferences for device in shop.devices} == {5}
    assert len(heard) == len(shop.devices) == len(probes)
    # Counts are whole numbers, so prices come back nearly; what they say of a network comes back.
    for device in shop.devices:
        memory = plan(device.graph)
        again = CostModel(found).predict(device.graph, memory, details(device.graph, memory))
        assert again.total == pytest.approx(device.prediction.total, rel=2e-3, abs=8)
    assert max(spread.mean for spread in found.spread.values()) < 0.01


def test_an_emulated_board_is_asked_once(
    board: Board, probes: tuple[Graph, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "models", lambda: iter(probes[-2:]))
    shop = _Shop(board, emulate=True)
    found = measure(cast(Workshop, shop), lambda _: None)
    assert (found.unit, found.source) == ("instructions", "emulated instructions")
    assert [device.inferences for device in shop.devices] == [1, 1]


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m7"])
def test_each_kernel_has_been_measured(cpu: str) -> None:
    found = load(cpu)
    # An ADD in the reference's arithmetic is a stage of its usual kernel that has prices of its own.
    assert set(PROBES) <= {*found.spread, *found.prices}
    assert found.unit == "instructions" and found.source == "emulated instructions"


def test_probes_fit_every_board(probes: tuple[Graph, ...]) -> None:
    for graph in probes:
        assert plan(graph).arena_bytes < 64_000
        assert sum(tensor.nbytes for tensor in graph.tensors if tensor.constant) < 500_000


def test_probes_are_the_same_each_time(probes: tuple[Graph, ...]) -> None:
    assert [graph.sha256 for graph in itertools.islice(models(), 2)] == [graph.sha256 for graph in probes[:2]]


def test_the_table_is_text_that_reads_back() -> None:
    shipped = load("cortex-m7")
    assert CostTable.model_validate(tomllib.loads(toml((), shipped))) == shipped
