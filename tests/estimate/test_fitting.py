"""A model that does not fit is refused with the excess and the operator to blame, whatever its tensor's name."""

from __future__ import annotations

from dataclasses import replace

import graph_samples
import pytest

from pipeline import boards
from pipeline.errors import DoesNotFitError
from pipeline.estimate.estimator import estimate
from pipeline.estimate.fitting import demand_fit
from pipeline.estimate.model import Limits
from pipeline.estimate.planner import plan
from pipeline.graph.model import OpCode
from pipeline.graph.reader import parse


def test_a_model_at_the_limit_fits_and_one_byte_less_does_not() -> None:
    graph = parse(graph_samples.content())
    graph = replace(graph, tensors=tuple(replace(tensor, name="a\x1b[2J\n") for tensor in graph.tensors))
    memory, board = plan(graph), boards.load("nucleo_f746zg")
    figures = estimate(graph, board, plan=memory)
    demand_fit(graph, memory, figures, Limits(ram_bytes=figures.ram_bytes, flash_bytes=figures.flash_bytes))
    with pytest.raises(DoesNotFitError) as caught:
        demand_fit(graph, memory, figures, Limits(ram_bytes=figures.ram_bytes - 1, flash_bytes=figures.flash_bytes))
    error = caught.value
    assert (error.exit_code, error.id) == (8, "does-not-fit") and str(error).isprintable()
    assert " RAM, 1 B more than the limit of " in error.what and "--ram" in error.next
    peak = graph.operators[memory.peak_operator]
    assert f"operator {peak.index}, {peak.code}, tensor {peak.outputs[0]} " in error.why
    with pytest.raises(DoesNotFitError) as caught:
        demand_fit(graph, memory, figures, Limits(ram_bytes=figures.ram_bytes, flash_bytes=figures.flash_bytes - 9))
    assert " flash, 9 B more than the limit of " in caught.value.what and "--flash" in caught.value.next
    stem = graph.operators[0]
    assert stem.code is OpCode.CONV_2D  # 8 filters of 3 × 3 × 3: no other operator has as many weights
    assert f"operator 0, CONV_2D, tensor {stem.outputs[0]} " in caught.value.why
