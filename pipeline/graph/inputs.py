"""Inputs for a model: images quantized as its input tensor wants them, or random ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.graph.model import DType, Tensor

_RANGES = {DType.INT8: (-128, 127), DType.UINT8: (0, 255)}


def quantize_images(images: NDArray[np.uint8], tensor: Tensor) -> NDArray[Any]:
    """Pixels as the model's input: pixel / 255, quantized as TensorFlow Lite's QUANTIZE operator would.

    Args:
        images: [N, H, W, C] with pixels 0-255.
        tensor: The model's input: int8 or uint8 with a quantization, or float32.

    Returns:
        [N, H, W, C] of the tensor's type. With scale 1/255 and zero point −128 that is pixel − 128 exactly.

    Raises:
        ValueError: The images' shape or type is not the tensor's.
    """
    if images.dtype != np.uint8 or images.shape[1:] != tensor.shape[1:]:
        raise ValueError(f"images are {images.dtype} of shape {images.shape}; the model takes {tensor.shape[1:]}")
    if tensor.dtype is DType.FLOAT32:
        return images.astype(np.float32) / np.float32(255)
    # One table entry a pixel value: each image then costs one look-up a pixel.
    table = quantize(np.arange(256, dtype=np.float32) / np.float32(255), tensor)
    return np.asarray(table[images])


def quantize(values: NDArray[np.float32], tensor: Tensor) -> NDArray[Any]:
    """Real values as TensorFlow Lite's QUANTIZE gives them: divide in float32, round half away from zero, clamp.

    Raises:
        ValueError: The tensor is not int8 or uint8, or has no quantization.
    """
    if tensor.dtype not in _RANGES or tensor.quantization is None:
        raise ValueError(f"a tensor of type {tensor.dtype} without a quantization takes no quantized values")
    low, high = _RANGES[tensor.dtype]
    scaled = values.astype(np.float32) / np.float32(tensor.quantization.scale)
    # Half away from zero as C's round(); adding 0.5 in float64 is exact for any float32 in reach.
    rounded = np.copysign(np.floor(np.abs(scaled.astype(np.float64)) + 0.5), scaled)
    clamped: NDArray[Any] = np.clip(rounded + tensor.quantization.zero_point, low, high)
    return clamped.astype(np.dtype(tensor.dtype.value))


def random_inputs(tensor: Tensor, count: int, seed: int) -> NDArray[Any]:
    """Uniformly random inputs, the same for the same seed: the whole range of integers, or [0, 1) for float32.

    Args:
        tensor: The model's input.
        count: How many.
        seed: Any non-negative number.

    Returns:
        [count, *shape without batch], of the tensor's type.

    Raises:
        ValueError: The tensor's type is none that an input may have.
    """
    generator = np.random.default_rng(seed)
    shape = (count, *tensor.shape[1:])
    if tensor.dtype is DType.FLOAT32:
        return generator.random(shape, np.float32)
    if tensor.dtype not in _RANGES:
        raise ValueError(f"an input of type {tensor.dtype}")
    low, high = _RANGES[tensor.dtype]
    return generator.integers(low, high, shape, dtype=np.dtype(tensor.dtype.value), endpoint=True)
