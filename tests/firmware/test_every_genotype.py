"""Every network that the search may propose has a kernel call for each of its operators, and one gives LiteRT's bytes.

A network that is trained first and refused afterwards would cost its user hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import aot_host
import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.estimate.planner import plan, spread
from pipeline.firmware.lowering import Lowering
from pipeline.genotype import ALPHAS, MAX_DEPTHS, DataConfig, Genotype
from pipeline.graph.filling import filled, filled_bytes
from pipeline.graph.reader import parse
from pipeline.graph.reference import Reference
from pipeline.graph.skeleton import from_genotype
from pipeline.search.space import Depths, all_data, all_depths, repair

CLASSES = 2
#: Its last ADD is one on a 1×1 map, whose second operand the converter squeezes.
SQUEEZED = Genotype.parse("32-mono-d11121-a01")


def refused(genotypes: Iterable[Genotype]) -> list[str]:
    """A line for each genotype that has no firmware."""
    lines = []
    for genotype in genotypes:
        graph = filled(from_genotype(genotype, CLASSES), seed=0)
        lowering = Lowering(graph)
        try:
            for segment in plan(graph).segments:
                for stage in segment.stages:
                    lowering.call(stage, flat=segment.flat)
        except UsageError as error:
            lines.append(f"{genotype.id}: {error.what}")
    return lines


def longest() -> tuple[Depths, ...]:
    """The deepest network that ends with each stage.

    A block's shapes depend on its stage, its place there, the data and alpha, never on how many blocks precede it,
    and the head's on the last stage alone: together these have every operator of the space.
    """
    return tuple(repair(MAX_DEPTHS[:stages] + (0,) * (5 - stages)) for stages in range(6))


def operators(genotype: Genotype) -> set[tuple[object, ...]]:
    """Each operator with the shapes it sees."""
    graph = from_genotype(genotype, CLASSES)
    return {
        (
            operator.code,
            operator.options,
            *(graph.tensors[index].shape for index in (*operator.inputs, *operator.outputs) if index is not None),
        )
        for operator in graph.operators
    }


def test_the_longest_networks_have_every_operator_of_the_space() -> None:
    for data in (DataConfig.parse("32-mono"), DataConfig.parse("64-rgb")):
        every = set().union(*(operators(Genotype(data, depths, 0.1)) for depths in all_depths()))
        assert every == set().union(*(operators(Genotype(data, depths, 0.1)) for depths in longest()))


def test_every_data_configuration_can_be_lowered() -> None:
    assert not refused(Genotype(data, depths, ALPHAS[0]) for data in all_data() for depths in longest())


@pytest.mark.slow
def test_every_depth_and_wider_networks_can_be_lowered() -> None:
    deep = [Genotype(DataConfig.parse(data), depths, 0.1) for data in ("32-mono", "64-rgb") for depths in all_depths()]
    wide = [Genotype(data, longest()[-1], alpha) for data in all_data() for alpha in (0.5, 1.0)]
    assert not refused(deep + wide)


@pytest.mark.slow
@pytest.mark.skipif(aot_host.COMPILER is None, reason="g++ is not installed")
def test_a_residual_on_a_map_of_one_pixel_gives_the_reference_output(tmp_path: Path) -> None:
    model = tmp_path / "squeezed.tflite"
    model.write_bytes(filled_bytes(from_genotype(SQUEEZED, CLASSES), seed=3))
    graph = parse(model.read_bytes())
    reference = Reference(model)
    places = spread(graph)
    program = aot_host.HostProgram([(graph, plan(graph)), (graph, places)], tmp_path)
    rng = np.random.default_rng(3)
    for _ in range(3):
        image = rng.integers(-128, 128, graph.input.shape).astype(np.int8)
        wanted = reference.intermediates(image[0])
        planned, whole = program.run([(0, image), (1, image)])
        np.testing.assert_array_equal(planned.output, wanted[graph.output.index])
        for operator in graph.operators:
            tensor = graph.tensors[operator.outputs[0]]
            offset = places.offset(tensor.index)
            got = whole.arena[offset : offset + tensor.nbytes].view(np.int8).reshape(tensor.shape)
            np.testing.assert_array_equal(got, wanted[tensor.index], err_msg=f"{operator.code} {operator.index}")
