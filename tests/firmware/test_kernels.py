"""The aot runtime against LiteRT's and TFLM's reference kernels, byte for byte: single operators and networks.

LiteRT is asked through :class:`Reference`, as the product asks it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import aot_builder
import aot_host
import aot_models
import aot_networks
import numpy as np
import pytest
import tflm_oracle
from numpy.typing import NDArray

from pipeline.estimate.model import MemoryPlan, Prefer
from pipeline.estimate.planner import plan, spread
from pipeline.graph.model import Graph, OpCode
from pipeline.graph.reference import Reference
from pipeline.graph.writer import write

pytestmark = pytest.mark.skipif(aot_host.COMPILER is None, reason="g++ is not installed")

SEED = 20_260_101


#: Cases in which LiteRT and TFLM differ and TFLM does not decide; tests/firmware/test_oracles.py says why.
LITERT_DECIDES = {"float factor of MUL"}

Model = tuple[str, Graph, MemoryPlan]


class Program(Protocol):
    """Models that were compiled together."""

    def run(self, requests: Sequence[tuple[int, NDArray[np.generic]]]) -> list[aot_host.Answer]:
        """Run (model number, input) one after another."""


def cases(share: float) -> list[Model]:
    """Random single-operator models: this share of each kind's number, at least one."""
    made = []
    for kind, (generate, number) in aot_models.KINDS.items():
        for case in range(max(1, round(number * share))):
            graph = generate(np.random.default_rng([SEED, zlib.crc32(kind.encode()), case]))
            made.append((f"{kind}[{case}]", graph, plan(graph)))
    return made


def oracle(graph: Graph, folder: Path) -> Reference:
    path = folder / "oracle.tflite"
    path.write_bytes(write(graph))
    return Reference(path)


def differences(
    models: list[Model], program: Program, folder: Path, kinds: tuple[int, ...] = (0, 1, 2, 3)
) -> list[str]:
    """A line for each inference that does not equal both oracles byte for byte."""
    requests, expected, wrong = [], [], []
    for number, (name, graph, _) in enumerate(models):
        reference = oracle(graph, folder)
        asked = tflm_oracle.HAVE_TFLM and name not in LITERT_DECIDES and not tflm_oracle.without_tflm(graph)
        tflm = tflm_oracle.Tflm(graph) if asked else None
        rng = np.random.default_rng([SEED, number])
        for kind in kinds:
            values = aot_models.random_input(rng, graph.input, kind)
            requests.append((number, values))
            expected.append(reference.run(values))
            if tflm and tflm.run(values).tobytes() != expected[-1].tobytes():
                wrong.append(f"{name}: the oracles differ, {graph.operators[0]}")
    for (number, _), wanted, answer in zip(requests, expected, program.run(requests), strict=True):
        name, graph, planned = models[number]
        assert answer.used <= planned.arena_bytes
        if answer.output.tobytes() != wanted.tobytes():
            difference = np.asarray(answer.output, np.float64) - np.asarray(wanted, np.float64)
            wrong.append(f"{name}: {np.count_nonzero(difference)} of {difference.size} differ, {graph.operators[0]}")
    return wrong


class Quick:
    """The models of the quick part, in one program, so that the kernels are compiled once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.singles = cases(0.08)
        for code in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED):
            graph = aot_networks.ties(code)
            self.singles.append((f"ties of {code}", graph, plan(graph)))
        for case in range(4):
            graph = aot_models.squeezed_add(np.random.default_rng([SEED, case]))
            self.singles.append((f"squeezed_add[{case}]", graph, plan(graph)))
        for code in (OpCode.ADD, OpCode.SUB, OpCode.MUL):
            for case in range(2):
                graph = aot_models.gated(np.random.default_rng([SEED, case]), code)
                self.singles.append((f"gated {code}[{case}]", graph, plan(graph)))
        for code in (OpCode.MUL, OpCode.RELU):
            graph = aot_networks.float_factor(code)
            self.singles.append((f"float factor of {code}", graph, plan(graph)))
        for case in range(4):
            graph = aot_models.shuffled(np.random.default_rng([SEED, case]))
            self.singles.append((f"shuffled[{case}]", graph, plan(graph)))
        graph = aot_models.branches(np.random.default_rng(SEED))
        self.singles.append(("branches", graph, plan(graph)))
        self.networks = [aot_networks.mobilenet(np.random.default_rng([SEED, depth]), depth=depth) for depth in (3, 1)]
        models = [(graph, planned) for _, graph, planned in self.singles]
        self.spread = len(models)
        models += [(graph, spread(graph)) for graph in self.networks]
        self.planned = len(models)
        self.plans = [(graph, plan(graph, prefer=prefer)) for graph in self.networks for prefer in Prefer]
        models += [(aot_builder.with_hostile_names(graph), planned) for graph, planned in self.plans]
        self.program = aot_host.HostProgram(models, folder)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Quick:
    return Quick(tmp_path_factory.mktemp("models"))


def test_single_operators_equal_the_reference(quick: Quick) -> None:
    wrong = differences(quick.singles, quick.program, quick.folder)
    assert not wrong, "\n".join(wrong[:10])


@pytest.mark.slow
def test_many_single_operators_equal_the_reference(tmp_path: Path) -> None:
    models = cases(1.0)
    assert len(models) >= 500
    program = aot_host.HostProgram([(graph, planned) for _, graph, planned in models], tmp_path)
    wrong = differences(models, program, tmp_path)
    assert not wrong, "\n".join(wrong[:10])


def test_every_tensor_of_a_network_equals_the_reference(quick: Quick) -> None:
    for number, graph in enumerate(quick.networks):
        values = aot_models.random_input(np.random.default_rng(number), graph.input)
        wanted = oracle(graph, quick.folder).intermediates(values[0])
        tflm = tflm_oracle.Tflm(graph, keep=True) if tflm_oracle.HAVE_TFLM else None
        if tflm:
            tflm.run(values)
        (answer,) = quick.program.run([(quick.spread + number, values)])
        places = spread(graph)
        for operator in graph.operators:
            tensor = graph.tensors[operator.outputs[0]]
            offset = places.offset(tensor.index)
            got = answer.arena[offset : offset + tensor.nbytes].view(np.int8).reshape(tensor.shape)
            np.testing.assert_array_equal(got, wanted[tensor.index], err_msg=f"{operator.code} {operator.index}")
            if tflm:
                np.testing.assert_array_equal(got, tflm.tensor(tensor.index), err_msg=f"TFLM {operator.index}")
            assert got.size < 20 or len(np.unique(got)) > 3, "a network whose values say nothing"


def test_a_network_in_its_real_plans_gives_the_reference_output(quick: Quick) -> None:
    """With hostile tensor names."""
    for number, (graph, planned) in enumerate(quick.plans):
        reference = oracle(graph, quick.folder)
        rng = np.random.default_rng(1)
        inputs = [aot_models.random_input(rng, graph.input, kind) for kind in (0, 0, 1, 2, 3)]
        answers = quick.program.run([(quick.planned + number, values) for values in inputs])
        steps = [1 if segment.flat else stage.steps for segment in planned.segments for stage in segment.stages]
        for values, answer in zip(inputs, answers, strict=True):
            np.testing.assert_array_equal(answer.output, reference.run(values))
            names = [stage.name for stage in planned.stages]
            assert answer.profile == tuple((name, 7 * count) for name, count in zip(names, steps, strict=True))
