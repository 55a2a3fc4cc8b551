"""Damaged models: whatever is wrong with a file, reading, planning, estimating and rendering raise our own errors.

Bytes are changed anywhere, and fields of the flatbuffer's tables one by one, which gets deeper than bytes do.
"""

from __future__ import annotations

import struct
from typing import Any

import aot_models
import aot_networks
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import boards
from pipeline.errors import DanasError
from pipeline.estimate.estimator import estimate
from pipeline.estimate.planner import plan
from pipeline.firmware.model_sources import model_sources
from pipeline.graph.model import Graph
from pipeline.graph.reader import parse
from pipeline.graph.writer import buffer, pack, write

BOARD = boards.load("nucleo_f746zg")
INTEGERS = (0, 1, -1, 2, 3, 4, 7, 127, 128, 255, 256, 65_535, 65_536, 2**31 - 1, -(2**31), 2**63 - 1)
FLOATS = (0.0, -0.0, -1.0, 1.0, 1e-45, 1e-30, 1e30, float("inf"), float("nan"))


def _samples() -> list[bytes]:
    """A model of each kind, and one of all of a network."""
    graphs = [generate(np.random.default_rng(3)) for generate, _ in aot_models.KINDS.values()]
    graphs += [aot_models.branches(np.random.default_rng(3)), aot_models.shuffled(np.random.default_rng(3))]
    return [write(graph) for graph in (*graphs, aot_networks.mobilenet(np.random.default_rng(3), size=8))]


SAMPLES = _samples()


def outcome(content: bytes) -> str:
    """Every stage before the build; the id of the error that ended it, or ``rendered``."""
    try:
        graph = parse(content)
        memory = plan(graph)
        estimate(graph, BOARD, plan=memory)
        model_sources(graph, memory)
    except DanasError as error:
        assert error.id and error.what and error.next and str(error).isprintable(), repr(error)
        return error.id
    assert isinstance(graph, Graph)
    return "rendered"


def _damaged_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    made = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        width = int(rng.choice([1, 2, 4]))
        position = int(rng.integers(0, len(made) - width))
        made[position : position + width] = int(rng.choice(INTEGERS[:-1])).to_bytes(8, "little", signed=True)[:width]
    return bytes(made[: int(rng.integers(8, len(made)))] if rng.random() < 0.1 else made)


def _fields(model: Any) -> list[tuple[Any, str]]:
    """(table, field) of everything in a model but names and weights."""
    (graph,) = model.subgraphs
    tables = [graph, *model.operatorCodes, *graph.tensors, *graph.operators]
    tables += [tensor.quantization for tensor in graph.tensors if tensor.quantization is not None]
    tables += [operator.builtinOptions for operator in graph.operators if operator.builtinOptions is not None]
    return [
        (table, name)
        for table in tables
        for name, value in vars(table).items()
        if isinstance(value, int | float | list | np.ndarray) and name not in ("tensors", "operators")
    ]


def _another(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, list | np.ndarray):
        numbers = [item.item() if isinstance(item, np.generic) else item for item in value]
        choice = rng.random()
        if not numbers or choice < 0.15:
            return [*numbers, int(rng.choice(INTEGERS[:9]))]
        if choice < 0.3:
            return numbers[:-1]
        if choice < 0.4:
            return numbers[::-1]
        place = int(rng.integers(len(numbers)))
        return [*numbers[:place], _another(numbers[place], rng), *numbers[place + 1 :]]
    if isinstance(value, float):
        return float(rng.choice(FLOATS))
    return bool(rng.integers(2)) if isinstance(value, bool) else int(INTEGERS[int(rng.integers(len(INTEGERS)))])


def _damaged_fields(content: bytes, rng: np.random.Generator) -> bytes | None:
    """A model with fields of other values; None where the schema cannot say them."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.buffers = [buffer(held.data) for held in model.buffers]
    fields = _fields(model)
    for _ in range(int(rng.integers(1, 4))):
        table, name = fields[int(rng.integers(len(fields)))]
        setattr(table, name, _another(getattr(table, name), rng))
    try:
        return pack(model)
    except (struct.error, TypeError, ValueError, OverflowError, AttributeError):
        return None


def _mutation(seed: int) -> bytes | None:
    rng = np.random.default_rng(seed)
    content = SAMPLES[int(rng.integers(len(SAMPLES)))]
    return _damaged_fields(content, rng) if rng.random() < 0.7 else _damaged_bytes(content, rng)


def test_the_samples_are_whole() -> None:
    outcomes = [outcome(content) for content in SAMPLES]
    assert outcomes.count("rendered") >= len(SAMPLES) - 3, outcomes  # some casts are for the tests alone


@given(st.integers(0, 2**32))
@settings(max_examples=100)
def test_a_damaged_model_raises_our_own_errors(seed: int) -> None:
    content = _mutation(seed)
    if content is not None:
        outcome(content)


@pytest.mark.slow
def test_many_damaged_models_raise_our_own_errors() -> None:
    outcomes = [outcome(content) for content in map(_mutation, range(2000)) if content is not None]
    assert len(outcomes) >= 1500
    # The damage is neither always fatal nor never, and it reaches every stage.
    assert outcomes.count("rendered") > 50
    assert {"not-a-tflite", "unsupported-tensor", "unsupported-options", "unsupported-operator"} <= set(outcomes)
