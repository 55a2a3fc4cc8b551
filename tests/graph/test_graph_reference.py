"""The host reference, and the inputs that go into it."""

from __future__ import annotations

from pathlib import Path

import graph_samples
import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.graph.inputs import quantize_images, random_inputs
from pipeline.graph.model import ActivationOptions, DType, NoOptions, OpCode, Quantization, Tensor
from pipeline.graph.reader import parse
from pipeline.graph.reference import Reference
from pipeline.graph.writer import ModelWriter


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    path = tmp_path / "sample.tflite"
    path.write_bytes(graph_samples.content())
    return path


def _tensor(dtype: DType, scale: float | None, zero_point: int = 0) -> Tensor:
    quantization = None if scale is None else Quantization((float(np.float32(scale)),), (zero_point,))
    return Tensor(0, "x", (1, 4, 4, 3), dtype, quantization, constant=False)


def test_a_batch_runs_as_its_images_do(sample: Path) -> None:
    graph, reference = parse(graph_samples.content()), Reference(sample)
    inputs = random_inputs(graph.input, 5, seed=1)
    outputs = reference.run(inputs)
    assert outputs.shape == (5, 4) and outputs.dtype == np.int8
    assert np.array_equal(outputs[3:4], reference.run(inputs[3:4]))
    assert len({row.tobytes() for row in outputs}) > 1


def test_intermediates_end_in_the_output_and_agree_with_each_other(sample: Path) -> None:
    graph, reference = parse(graph_samples.content()), Reference(sample)
    single = random_inputs(graph.input, 1, seed=2)[0]
    tensors = reference.intermediates(single)
    assert np.array_equal(tensors[graph.outputs[0]], reference.run(single[np.newaxis]))
    for operator in graph.operators:
        assert tensors[operator.outputs[0]].shape == graph.tensors[operator.outputs[0]].shape
    pad = next(operator for operator in graph.operators if operator.code is OpCode.PAD)
    assert pad.inputs[0] is not None
    before, after = tensors[pad.inputs[0]], tensors[pad.outputs[0]]
    assert np.array_equal(after[:, :5, 1:5], before)
    reshape = next(operator for operator in graph.operators if operator.code is OpCode.RESHAPE)
    assert reshape.inputs[0] is not None
    assert np.array_equal(tensors[reshape.inputs[0]].reshape(-1), tensors[reshape.outputs[0]].reshape(-1))


def test_inputs_of_another_shape_or_type_are_refused(sample: Path) -> None:
    reference = Reference(sample)
    with pytest.raises(ValueError, match="int8 of shape"):
        reference.run(np.zeros((1, 8, 9, 3), np.int8))
    with pytest.raises(ValueError, match="int8 of shape"):
        reference.intermediates(np.zeros((9, 8, 3), np.float32))


def test_a_model_that_litert_refuses_is_a_usage_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    writer = ModelWriter()
    x, y, z = (writer.tensor((1, size), DType.INT8, scale=0.5) for size in (3, 4, 4))
    writer.operator(OpCode.ADD, [x, y], [z], ActivationOptions())
    path = tmp_path / "broken.tflite"
    path.write_bytes(writer.finish([x, y], [z]))
    with pytest.raises(UsageError) as caught:
        Reference(path)
    assert caught.value.id == "not-a-tflite"
    assert capfd.readouterr().err == ""


def test_pixels_become_pixel_minus_128_with_the_usual_quantization() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    got = quantize_images(images, _tensor(DType.INT8, 1 / 255, -128))
    assert got.dtype == np.int8
    assert np.array_equal(got, images.astype(int) - 128)
    assert np.array_equal(quantize_images(images, _tensor(DType.UINT8, 1 / 255, 0)), images)
    real = quantize_images(images, _tensor(DType.FLOAT32, None))
    assert real.dtype == np.float32 and real.max() <= 1 and np.array_equal(np.round(real * 255), images)


@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 255, -128), (0.0039213, -128), (0.5 / 127, 0), (0.01, 17)])
def test_images_are_quantized_as_the_quantize_operator_does(tmp_path: Path, scale: float, zero_point: int) -> None:
    writer = ModelWriter()
    x = writer.tensor((1, 16, 16, 1), DType.FLOAT32)
    y = writer.tensor((1, 16, 16, 1), DType.INT8, scale=scale, zero_point=zero_point)
    writer.operator(OpCode.QUANTIZE, [x], [y], NoOptions())
    content = writer.finish([x], [y])
    path = tmp_path / "quantize.tflite"
    path.write_bytes(content)
    graph = parse(content)
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    expected = Reference(path).run(quantize_images(pixels, graph.input))
    assert np.array_equal(quantize_images(pixels, graph.output), expected)


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        quantize_images(np.zeros((1, 4, 4, 1), np.uint8), _tensor(DType.INT8, 1.0))
    with pytest.raises(ValueError, match="int32"):
        quantize_images(np.zeros((1, 4, 4, 3), np.uint8), _tensor(DType.INT32, 1.0))


def test_random_inputs_repeat_and_fill_the_range() -> None:
    tensor = _tensor(DType.INT8, 1.0)
    first, again = random_inputs(tensor, 200, 3), random_inputs(tensor, 200, 3)
    assert first.shape == (200, 4, 4, 3) and np.array_equal(first, again)
    assert (first.min(), first.max()) == (-128, 127)
    assert not np.array_equal(first, random_inputs(tensor, 200, 4))
    assert random_inputs(_tensor(DType.UINT8, 1.0), 200, 3).max() == 255
    assert random_inputs(_tensor(DType.FLOAT32, None), 2, 3).dtype == np.float32
    with pytest.raises(ValueError, match="int32"):
        random_inputs(_tensor(DType.INT32, None), 1, 0)
