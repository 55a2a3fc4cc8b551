"""Where LiteRT's reference kernels and TensorFlow Lite Micro differ, by how much, and who decides.

TFLM decides, since it is what devices run, but for two cases: one in which it computes another function, and one for
which the product could not ask LiteRT and so could not check a device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aot_models
import aot_networks
import numpy as np
import pytest
import tflm_oracle
from aot_builder import GraphBuilder
from numpy.typing import NDArray
from tflm_oracle import needs_tflm

from pipeline.graph import reference
from pipeline.graph.logistic import logistic_table
from pipeline.graph.micro import as_micro
from pipeline.graph.model import ActivationOptions, DType, Graph, NoOptions, OpCode
from pipeline.graph.writer import write


def _three(graph: Graph, inputs: NDArray[Any], folder: Path, patch: pytest.MonkeyPatch) -> tuple[NDArray[Any], ...]:
    """What LiteRT alone, the product's reference and TFLM give for a batch."""
    path = folder / "model.tflite"
    path.write_bytes(write(graph))
    ours = reference.Reference(path).run(inputs)
    with patch.context() as context:
        context.setattr(reference, "as_micro", lambda content: content)
        litert = reference.Reference(path).run(inputs)
    tflm = tflm_oracle.Tflm(graph)
    return litert, ours, np.concatenate([tflm.run(single[np.newaxis]) for single in inputs])


def _one(code: OpCode, scale: float, zero_point: int, output: tuple[float, int]) -> Graph:
    """A model of one operator on every int8 value."""
    builder = GraphBuilder()
    x, y = builder.activation((1, 256), scale, zero_point), builder.activation((1, 256), *output)
    builder.operator(code, [x], y, NoOptions())
    return builder.finish(x, y)


EVERY = np.arange(-128, 128).astype(np.int8).reshape(1, 256)


@needs_tflm
def test_a_dense_layer_is_rescaled_in_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of −1 is −1 in double, ties away from zero, and 0 where the product is rounded upwards first."""
    graph = aot_networks.ties(OpCode.FULLY_CONNECTED)
    litert, ours, tflm = _three(graph, np.zeros((1, 1), np.int8), tmp_path, monkeypatch)
    assert np.array_equal(ours, tflm)
    assert (litert[0, 127], tflm[0, 127]) == (-1, 0)  # the sum −1 by the factor 2^-1
    difference = litert.astype(int) - tflm
    assert set(np.unique(difference)) == {-1, 0} or set(np.unique(difference)) == {-1, 0, 1}


@needs_tflm
def test_a_dense_layer_with_one_scale_has_a_factor_made_in_float(tmp_path: Path) -> None:
    """The factor is exactly 1/2 where the product is a float, a little less where it is a double: ties fall apart."""
    builder = GraphBuilder()
    x = builder.activation((1, 1), 0.1)
    w = builder.constant(np.ones((256, 1), np.int8), [0.3])
    b = builder.constant(np.arange(-128, 128, dtype=np.int32), [0.03])
    product = float(np.float32(builder.scale(x)) * np.float32(builder.scale(w)))
    assert product != builder.scale(x) * builder.scale(w)
    y = builder.activation((1, 256), 2 * product)
    builder.operator(OpCode.FULLY_CONNECTED, [x, w, b], y, ActivationOptions())
    graph = builder.finish(x, y)
    path = tmp_path / "model.tflite"
    path.write_bytes(write(graph))
    for value in (-128, 0, 127):
        single = np.full((1, 1), value, np.int8)
        assert np.array_equal(reference.Reference(path).run(single), tflm_oracle.Tflm(graph).run(single))


@needs_tflm
@pytest.mark.slow
def test_dense_layers_of_any_kind_equal_tflm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random ones, in which LiteRT alone is one apart now and then: that is what the rewriting is for."""
    apart = 0
    for case in range(250):
        rng = np.random.default_rng([7, case])
        graph = aot_models.fully_connected(rng)
        inputs = np.concatenate([aot_models.random_input(rng, graph.input, kind) for kind in (0, 0, 0, 1, 2, 3)])
        litert, ours, tflm = _three(graph, inputs, tmp_path, monkeypatch)
        assert np.array_equal(ours, tflm), case
        apart += int(np.count_nonzero(litert != tflm))
    assert apart


@needs_tflm
def test_logistic_of_a_coarse_input_saturates_too_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TFLM's radius of what is not saturated is an integer: at a scale of 4 it is 1, and 1 / (1 + exp(−4)) is 1."""
    graph = _one(OpCode.LOGISTIC, 4.0, 0, (1 / 256, -128))
    litert, ours, tflm = _three(graph, EVERY, tmp_path, monkeypatch)
    assert np.array_equal(ours, tflm)
    assert (litert[0, 128 + 1], tflm[0, 128 + 1]) == (round(256 / (1 + np.exp(-4.0))) - 128, 127)


@needs_tflm
def test_logistic_rounds_in_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """256 / (1 + exp(−2^-7)) is 128.5 less a little, which TFLM's fixed point rounds up."""
    litert, ours, tflm = _three(_one(OpCode.LOGISTIC, 2.0**-7, 0, (1 / 256, -128)), EVERY, tmp_path, monkeypatch)
    assert np.array_equal(ours, tflm)
    assert (litert[0, 128 + 1], tflm[0, 128 + 1]) == (0, 1)
    assert np.abs(litert.astype(int) - tflm).max() == 1


@needs_tflm
def test_logistic_equals_tflm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table that devices and LiteRT get."""
    scales = [*(2.0**-power for power in range(-2, 20)), *(10.0 ** np.random.default_rng(0).uniform(-6, 2, 40))]
    for case, scale in enumerate(scales):
        graph = _one(OpCode.LOGISTIC, scale, int(np.random.default_rng(case).integers(-128, 128)), (1 / 256, -128))
        quantization = graph.input.quantization
        assert quantization is not None
        _, ours, tflm = _three(graph, EVERY, tmp_path, monkeypatch)
        assert np.array_equal(ours, tflm), scale
        assert np.array_equal(ours[0], logistic_table(quantization.scale, quantization.zero_point))


@needs_tflm
def test_the_factor_of_mul_is_litert_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One half as a product of floats, not quite as one of doubles: ties part. No LiteRT operator computes TFLM's."""
    graph = aot_networks.float_factor(OpCode.MUL)
    inputs = np.resize(EVERY, (1, 4096))
    litert, ours, tflm = _three(graph, inputs, tmp_path, monkeypatch)
    assert np.array_equal(ours, litert)
    assert np.abs(litert.astype(int) - tflm).max() == 1


@needs_tflm
def test_relu6_of_another_quantization_is_litert_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TFLM clamps the input's numbers and calls them the output's: no matter of rounding, but wrong."""
    graph = _one(OpCode.RELU6, 0.5, 0, (0.125, -4))
    litert, ours, tflm = _three(graph, EVERY, tmp_path, monkeypatch)
    assert np.array_equal(ours, litert)
    assert litert[0, 128 + 8] == 4 / 0.125 - 4 and tflm[0, 128 + 8] == 8
    assert tflm_oracle.without_tflm(graph)
    same = _one(OpCode.RELU6, 0.5, 0, (0.5, 0))
    assert not tflm_oracle.without_tflm(same)
    assert len({answer.tobytes() for answer in _three(same, EVERY, tmp_path, monkeypatch)}) == 1


@needs_tflm
@pytest.mark.parametrize("given", [DType.FLOAT32, DType.UINT8])
def test_tflm_has_no_quantize_to_uint8(given: DType) -> None:
    builder = GraphBuilder()
    x = builder.activation((1, 4), None if given is DType.FLOAT32 else 0.5, 0, given)
    y = builder.activation((1, 4), 0.5, 128, DType.UINT8)
    builder.operator(OpCode.QUANTIZE, [x], y, NoOptions())
    graph = builder.finish(x, y)
    assert tflm_oracle.without_tflm(graph)
    with pytest.raises(RuntimeError):
        tflm_oracle.Tflm(graph).run(np.zeros((1, 4), given.value))


def test_a_model_without_such_operators_goes_to_litert_as_it_is() -> None:
    content = write(aot_models.convolution(np.random.default_rng(0)))
    assert as_micro(content) is content
    dense = write(aot_models.fully_connected(np.random.default_rng(0)))
    assert as_micro(dense) != dense
