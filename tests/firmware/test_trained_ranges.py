"""A .tflite made with trained ranges: the operators that calibration gives, and in the firmware LiteRT's bytes."""

from __future__ import annotations

from pathlib import Path

import aot_host
import numpy as np
import pytest

from pipeline.estimate.planner import plan, spread
from pipeline.genotype import Genotype
from pipeline.graph.reader import read
from pipeline.graph.reference import Reference
from pipeline.graph.skeleton import from_genotype
from pipeline.quantize import convert, qat
from pipeline.search import layers, subnet

#: Kernels of the wide space, and a last ADD on a 1×1 map, of which the converter squeezes an operand.
WIDE = Genotype.parse("32-mono-w22-2251-1231-1231-1231-2231")


@pytest.mark.slow
@pytest.mark.skipif(aot_host.COMPILER is None, reason="g++ is not installed")
def test_a_network_trained_for_int8_is_the_reference_to_the_byte(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    weights = layers.initial(layers.parameters(WIDE, 3), (3,))
    for name, values in weights.items():
        if not name.endswith("kernel"):
            weights[name] = values + rng.normal(0, 0.2, values.shape).astype(np.float32)
    images = rng.integers(0, 256, (16, *WIDE.data.shape)).astype(np.uint8)
    network = subnet.settle(weights, WIDE, 3, images)
    path = tmp_path / "m.tflite"
    path.write_bytes(convert(network, images, ranges=qat.extremes(network, images)))
    graph = read(path)
    assert [one.code for one in graph.operators] == [one.code for one in from_genotype(WIDE, 3).operators]
    inputs = (images.astype(np.int16) - 128).astype(np.int8)
    expected = Reference(path).run(inputs)
    program = aot_host.HostProgram([(graph, spread(graph)), (graph, plan(graph))], tmp_path)
    for model in range(2):
        answers = program.run([(model, image[None]) for image in inputs])
        found = np.stack([answer.output for answer in answers]).reshape(expected.shape)
        np.testing.assert_array_equal(found, expected)
    assert len(np.unique(expected)) > 3
