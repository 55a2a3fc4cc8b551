"""The random models: enough of them, and each is read from its file as it was written."""

from __future__ import annotations

import aot_models
import numpy as np
import pytest

from pipeline.graph.model import DType, Graph, OpCode
from pipeline.graph.reader import LAST_VERSION, parse
from pipeline.graph.writer import write


def test_there_are_hundreds_of_them_for_every_operator() -> None:
    assert sum(number for _, number in aot_models.KINDS.values()) >= 500
    covered = {
        operator.code
        for generate, _ in aot_models.KINDS.values()
        for operator in generate(np.random.default_rng(0)).operators
    }
    assert covered == set(OpCode) == set(LAST_VERSION)


def _facts(graph: Graph) -> object:
    tensors = [
        (t.name, t.shape, t.dtype, t.quantization, t.constant, None if t.data is None else t.data.tobytes())
        for t in graph.tensors
    ]
    return tensors, graph.operators, graph.inputs, graph.outputs


@pytest.mark.parametrize("kind", sorted(aot_models.KINDS))
def test_reading_is_the_inverse_of_writing(kind: str) -> None:
    generate, _ = aot_models.KINDS[kind]
    for case in range(12):
        graph = generate(np.random.default_rng([5, case]))
        if DType.UINT8 in (graph.input.dtype, graph.output.dtype):
            continue  # The reader takes fewer casts than the kernels do.
        first = parse(write(graph))
        assert first.operators == graph.operators, case
        assert _facts(parse(write(first))) == _facts(first), case
