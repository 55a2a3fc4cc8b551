"""The aot runtime against LiteRT's reference kernels, byte for byte: single operators at their edges, and networks."""

from __future__ import annotations

import zlib
from pathlib import Path

import aot_host
import aot_models
import numpy as np
import pytest

from pipeline.estimate.model import MemoryPlan
from pipeline.estimate.planner import plan
from pipeline.graph.model import DType, Graph
from pipeline.graph.reference import Reference
from pipeline.graph.writer import write

pytestmark = pytest.mark.skipif(aot_host.COMPILER is None, reason="g++ is not installed")

SEED = 20_260_101


def cases(share: float) -> list[tuple[str, Graph]]:
    """Random single-operator models: this share of each kind's number, at least one."""
    made = []
    for kind, (generate, number) in aot_models.KINDS.items():
        for case in range(max(1, round(number * share))):
            rng = np.random.default_rng([SEED, zlib.crc32(kind.encode()), case])
            made.append((f"{kind}[{case}]", generate(rng)))
    return made


def check(models: list[tuple[str, Graph]], folder: Path) -> None:
    """Every model on four inputs: outputs equal, watermark within the arena."""
    planned: list[tuple[Graph, MemoryPlan]] = [
        (graph, aot_host.spread_plan(graph) if name.startswith("reshape") else plan(graph)) for name, graph in models
    ]
    program = aot_host.HostProgram(planned, folder)
    requests, expected = [], []
    for number, (_, graph) in enumerate(models):
        path = folder / f"{number}.tflite"
        path.write_bytes(write(graph))
        reference = Reference(path)
        rng = np.random.default_rng([SEED, number])
        for kind in range(4):
            values = aot_models.random_input(rng, graph.input, kind)
            requests.append((number, values))
            expected.append(reference.run(values))
    wrong = []
    for (number, _), wanted, answer in zip(requests, expected, program.run(requests), strict=True):
        name, graph = models[number]
        assert answer.used <= planned[number][1].arena_bytes
        if answer.output.tobytes() != wanted.tobytes():
            difference = np.asarray(answer.output, np.float64) - np.asarray(wanted, np.float64)
            wrong.append(f"{name}: {np.count_nonzero(difference)} of {difference.size} differ, {graph.operators[0]}")
    assert not wrong, "\n".join(wrong[:10])


def test_single_operators_equal_the_reference(tmp_path: Path) -> None:
    check(cases(0.08), tmp_path)


@pytest.mark.slow
def test_many_single_operators_equal_the_reference(tmp_path: Path) -> None:
    check(cases(1.0), tmp_path)


def test_every_tensor_of_a_network_equals_the_reference(tmp_path: Path) -> None:
    graphs = [
        aot_models.mobilenet(np.random.default_rng([SEED, seed]), depth=depth) for seed, depth in ((1, 3), (2, 1))
    ]
    plans = [(graph, aot_host.spread_plan(graph)) for graph in graphs]
    program = aot_host.HostProgram(plans, tmp_path)
    for number, graph in enumerate(graphs):
        path = tmp_path / f"{number}.tflite"
        path.write_bytes(write(graph))
        values = aot_models.random_input(np.random.default_rng(number), graph.input)
        wanted = Reference(path).intermediates(values[0])
        (answer,) = program.run([(number, values)])
        for operator in graph.operators:
            tensor = graph.tensors[operator.outputs[0]]
            offset = plans[number][1].offset(tensor.index)
            got = answer.arena[offset : offset + tensor.nbytes].view(np.int8).reshape(tensor.shape)
            np.testing.assert_array_equal(got, wanted[tensor.index], err_msg=f"{operator.code} {operator.index}")
            assert got.size < 20 or len(np.unique(got)) > 3, "a network whose values say nothing"


def test_a_network_in_its_real_plan_gives_the_reference_output(tmp_path: Path) -> None:
    graph = aot_models.mobilenet(np.random.default_rng(SEED))
    planned = plan(graph)
    program = aot_host.HostProgram([(graph, planned)], tmp_path)
    path = tmp_path / "network.tflite"
    path.write_bytes(write(graph))
    reference = Reference(path)
    rng = np.random.default_rng(1)
    inputs = [aot_models.random_input(rng, graph.input, kind) for kind in (0, 0, 1, 2, 3)]
    answers = program.run([(0, values) for values in inputs])
    for values, answer in zip(inputs, answers, strict=True):
        np.testing.assert_array_equal(answer.output, reference.run(values))
    # The plan is full to its last tensor: the watermark must find its end, whatever values lie there.
    top = max(placement.offset + placement.size for placement in planned.placements)
    assert max(answer.used for answer in answers) == top
    assert all(top - 2 <= answer.used <= top for answer in answers)
    assert graph.input.dtype is DType.INT8
