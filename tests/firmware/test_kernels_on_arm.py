"""The Armv7E-M forms of the kernels, on an emulated Cortex-M7, against the reference kernels byte for byte."""

from __future__ import annotations

import zlib
from pathlib import Path

import aot_arm
import aot_models
import aot_networks
import numpy as np
import pytest
from test_kernels import Model, differences

from pipeline.estimate.planner import plan
from pipeline.graph.model import OpCode

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not aot_arm.AVAILABLE, reason="arm-none-eabi-g++ or unicorn is not installed"),
]

#: Random models of each kind whose kernels have assembly.
NUMBERS = {
    "conv_2d": 60,
    "depthwise_conv_2d": 40,
    "grouped_depthwise": 40,
    "separable": 25,
    "fully_connected": 20,
    "add": 10,
    "sub": 10,
    "average_pool_2d": 10,
    "max_pool_2d": 10,
    "mean": 10,
}


def test_the_arm_kernels_equal_the_reference(tmp_path: Path) -> None:
    models: list[Model] = []
    for kind, number in NUMBERS.items():
        generate, _ = aot_models.KINDS[kind]
        for case in range(number):
            graph = generate(np.random.default_rng([7, zlib.crc32(kind.encode()), case]))
            models.append((f"{kind}[{case}]", graph, plan(graph)))
    for code in (OpCode.CONV_2D, OpCode.DEPTHWISE_CONV_2D, OpCode.FULLY_CONNECTED):
        graph = aot_networks.ties(code)
        models.append((f"ties of {code}", graph, plan(graph)))
    for depth in (3, 1):
        graph = aot_networks.mobilenet(np.random.default_rng([7, depth]), depth=depth)
        models.append((f"mobilenet of {depth}", graph, plan(graph)))
    program = aot_arm.ArmProgram([(graph, planned) for _, graph, planned in models], tmp_path)
    wrong = differences(models, program, tmp_path, kinds=(0, 1))
    assert not wrong, "\n".join(wrong[:10])
