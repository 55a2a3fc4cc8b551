"""Weights and biases of convolutions and dense layers: read, checked against overflow, with their rescaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.firmware.lowering.site import Site, quantization, scale, zero_point
from pipeline.graph.model import DType, Tensor

#: A sum times its factor, before it is clamped; the left shift that comes first at most doubles it.
_LARGEST_RESCALED = 2.0**30


@dataclass(frozen=True)
class Weighted:
    """What an operator multiplies and adds.

    ``factors`` are input scale · weight scale / output scale, in double and in this order: one of each output
    channel, or one alone for all of them.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]  # [channels], zeros where the model has none
    factors: list[float]


def weighted(site: Site, source: Tensor, weights: Tensor, channels: int, *, axis: int) -> Weighted:
    """Weights (dimension ``axis`` is that of the output channels), bias and factors, if no sum can leave 32 bits."""
    data = _data(site, weights)
    bias = _bias(site, channels)
    bound = _largest_sums(site, np.moveaxis(data, axis, 0).reshape(channels, -1), bias, zero_point(source))
    quantized = quantization(weights)
    if any(quantized.zero_points):
        raise site.refused(weights, "its zero point is not 0")
    if len(quantized.scales) != 1 and (len(quantized.scales) != channels or quantized.axis != axis):
        raise site.refused(weights, "its scales do not belong to the output channels")
    factors = [scale(source) * value / scale(site.output) for value in quantized.scales]
    # Nor may one that is rescaled, shifted to the left on the way: a real model's stay near 8 bits.
    if float((bound * np.array(factors)).max()) >= _LARGEST_RESCALED:
        raise site.overflow()
    return Weighted(data, bias, factors)


def _data(site: Site, tensor: Tensor) -> NDArray[Any]:
    if not tensor.constant:
        raise site.refused(tensor, "it must be a constant")
    if tensor.data is None:
        raise ValueError(f"tensor {tensor.index} has no data: a skeleton cannot be rendered")
    return np.asarray(tensor.data, np.dtype(tensor.dtype.value)).reshape(tensor.shape)


def _bias(site: Site, channels: int) -> NDArray[np.int32]:
    tensor = site.optional(2)
    if tensor is None:
        return np.zeros(channels, np.int32)
    if tensor.dtype is not DType.INT32:
        raise site.wrong_type(tensor, DType.INT32)
    if tensor.elements != channels:
        raise site.mismatch(tensor)
    return _data(site, tensor).reshape(-1)


def _largest_sums(
    site: Site, by_channel: NDArray[np.int8], bias: NDArray[np.int32], input_zero_point: int
) -> NDArray[np.int64]:
    """Bounds of each channel's partial sums of weight · (input − zero point), with the bias; 32 bits must hold them."""
    largest = max(127 - input_zero_point, input_zero_point + 128)
    bound = np.abs(by_channel.astype(np.int64)).sum(axis=1) * largest + np.abs(bias.astype(np.int64))
    if bound.size and int(bound.max()) >= 2**31:
        raise site.overflow()
    return np.asarray(bound, np.int64)
