"""DEPTHWISE_CONV_2D: its weights in the order of the kernel, and which of its two kernels a layer takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.firmware.lowering import requantization
from pipeline.firmware.lowering.requantization import Form
from pipeline.firmware.lowering.site import Site, zero_point
from pipeline.firmware.lowering.values import Call, Field
from pipeline.firmware.lowering.weights import weighted
from pipeline.firmware.lowering.windows import window_fields
from pipeline.graph.model import WindowOptions

#: Channels that come in one word of an image.
_GROUP = 4
#: Rows of a kernel that depthwise_conv_2d.cpp has room for.
_LARGEST_KERNEL = 16
#: The most bytes that a transposed block takes, and its pixels at most and at least.
_BLOCK_BYTES = 640
_BLOCKS = range(16, 3, -4)


def depthwise_convolution(site: Site) -> Call:
    """DEPTHWISE_CONV_2D."""
    options = site.options(WindowOptions)
    weights = site.input(1)
    source, output = site.int8(rank=4)
    site.expect(weights, rank=4)
    if options.dilation != (1, 1):
        raise site.unsupported("a dilation other than 1", "Use a dilation rate of 1.")
    channels = output.shape[3]
    if weights.shape[0] != 1 or weights.shape[3] != channels or channels % source.shape[3]:
        raise site.mismatch(weights)
    parts = weighted(site, source, weights, channels, axis=3)
    pairs = [site.multiplier(factor) for factor in parts.factors]
    if len(pairs) == 1:
        pairs *= channels
    kernel = (weights.shape[1], weights.shape[2])
    window = window_fields(site, options, source, output, kernel)
    low, high = site.output_range(options.activation)
    by_channel = np.moveaxis(parts.weights[0], 2, 0)  # [channel][kernel row][kernel column]
    sums = requantization.sums(by_channel.reshape(channels, -1), parts.bias, zero_point(source))
    made = requantization.choose(sums, pairs, zero_point(output), _integer(low))
    common = (
        Field("window", window),
        Field("input_zero_point", zero_point(source)),
        Field("output_zero_point", zero_point(output)),
        low,
        high,
    )
    grouped = channels == source.shape[3] and channels % _GROUP == 0 and kernel[0] <= _LARGEST_KERNEL
    if not grouped or made.form is Form.PLAIN:
        factors = np.array(pairs, np.int32)
        records = np.column_stack([parts.bias, factors]).astype(np.int32)
        return site.call(
            "depthwise_conv_2d",
            "DepthwiseConv2dPlainParams",
            Field("weights", site.pool.add(parts.weights)),
            Field("channels", site.pool.add(records)),
            *common,
            function="depthwise_conv_2d_plain",
        )
    return site.call(
        "depthwise_conv_2d",
        "DepthwiseConv2dParams",
        Field("weights", site.pool.add(packed_filters(by_channel).view(np.int32))),
        Field("channels", site.pool.add(made.records)),
        *common,
        Field("form", int(made.form)),
        Field("block", block_pixels(kernel, options.stride[1])),
    )


def block_pixels(kernel: tuple[int, int], stride: int) -> int:
    """Pixels of one transposed block: as many as its bytes allow, for a kernel (rows, columns) and a stride."""
    return next((n for n in _BLOCKS if block_bytes(kernel, stride, n) <= _BLOCK_BYTES), _BLOCKS[-1])


def block_bytes(kernel: tuple[int, int], stride: int, pixels: int) -> int:
    """Bytes of a transposed block of so many pixels."""
    return 4 * _GROUP * -(-kernel[0] // 2) * ((pixels - 1) * stride + kernel[1])


def packed_filters(weights: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Weights [channel][kernel row][kernel column] in the order of depthwise_conv_2d.h; channels a multiple of four."""
    groups = weights.view(np.uint8).reshape(-1, _GROUP, *weights.shape[1:])
    count, _, height, width = groups.shape
    pairs = height // 2
    # [group][channel][pair of rows][column][row of the pair]
    paired = groups[:, :, : 2 * pairs].reshape(count, _GROUP, pairs, 2, width).transpose(0, 1, 2, 4, 3)
    listed = paired.reshape(count, _GROUP, pairs * width, 2)
    if pairs * width % 2:
        free = np.zeros((count, _GROUP, 1, 2), np.uint8)
        if (height, width) == (3, 3):
            free[:, :, 0] = groups[:, :, 2, :2]
        listed = np.concatenate([listed, free], axis=2)
    # Two pairs (a0, a1), (b0, b1) are the word a0 b0 a1 b1.
    words = listed.reshape(count, _GROUP, -1, 2, 2).swapaxes(3, 4).reshape(count, -1)
    tails = groups[:, :, 2 * pairs :, 2 if (height, width) == (3, 3) else 0 :].reshape(count, -1)
    return np.ascontiguousarray(np.concatenate([words, tails], axis=1))


def _integer(field: Field) -> int:
    if not isinstance(field.value, int):
        raise TypeError(f"{field.name} is no integer")
    return field.value
