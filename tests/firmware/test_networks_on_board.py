"""Whole networks on the emulated board, tensor by tensor: every operator leaves the reference kernels' bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import aot_networks
import graph_samples
import numpy as np
import pytest

from pipeline.boards import Board
from pipeline.graph.inputs import random_inputs
from pipeline.graph.writer import write
from pipeline.job import differing
from pipeline.job.deploying import Recipe
from pipeline.progress import QuietDisplay
from pipeline.report.diff import Outcome
from pipeline.settings import Target

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc"),
]

NETWORKS = {
    "one operator of each kind": lambda: graph_samples.content(cast=True),
    "mobilenet": lambda: write(aot_networks.mobilenet(np.random.default_rng(3), size=16)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_of_a_network_is_equal(name: str, board: Board, tmp_path: Path) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(NETWORKS[name]())
    found = differing.diff(
        model,
        board,
        Target(emulate=True),
        inputs=lambda graph: random_inputs(graph.input, 3, seed=11),
        into=tmp_path / "work",
        recipe=Recipe(),
        every=True,
        step=QuietDisplay(),
    )
    assert found.equal, found.found
    assert len(found.compared) >= 10
    assert {one.outcome for one in found.compared} == {Outcome.EQUAL}
