"""DEPTHWISE_CONV_2D: its weights in the order of the kernel, and which of its two kernels a layer takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.estimate.kernels import depthwise_pixels, depthwise_special
from pipeline.firmware import fixed_point
from pipeline.firmware.lowering import requantization
from pipeline.firmware.lowering.site import Site, scale, zero_point
from pipeline.firmware.lowering.values import Call, Field, Form
from pipeline.firmware.lowering.weights import weighted
from pipeline.firmware.lowering.windows import window_fields
from pipeline.graph.model import WindowOptions

#: Channels that come in one word of an image.
_GROUP = 4
#: Rows of a kernel that depthwise_conv_2d.cpp has room for.
_LARGEST_KERNEL = 8


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
    bounds = fixed_point.activation_range(options.activation, scale(output), zero_point(output))
    by_channel = np.moveaxis(parts.weights[0], 2, 0)  # [channel][kernel row][kernel column]
    sums = requantization.sums(by_channel.reshape(channels, -1), parts.bias, zero_point(source))
    made = requantization.choose(sums, pairs, zero_point(output), bounds[0])
    form = made.form
    if channels != source.shape[3] or channels % _GROUP or kernel[0] > _LARGEST_KERNEL:
        form = requantization.Form.PLAIN
    if form is requantization.Form.PLAIN:
        records = np.column_stack([parts.bias, np.array(pairs)]).astype(np.int32)
        stream = np.concatenate([as_bytes(records).reshape(-1), as_bytes(parts.weights).reshape(-1)])
        stream = np.pad(stream, (0, -len(stream) % 4))
    else:
        stream = packed_filters(by_channel, made.records, options.stride[1])
    return site.call(
        "depthwise_conv_2d",
        "DepthwiseConv2dParams",
        Field("stream", site.pool.add(stream.view(np.uint32))),
        Field("window", window_fields(site)),
        Field("input_zero_point", zero_point(source)),
        Field("output_zero_point", zero_point(output)),
        Field("output_min", bounds[0]),
        Field("output_max", bounds[1]),
        Field("form", form.enumerator),
        Field("block", depthwise_pixels(kernel, options.stride[1])),
        parts=("block",),
        form=Form.BLOCKS,
    )


def packed_filters(weights: NDArray[np.int8], records: NDArray[np.int32], stride: int) -> NDArray[np.uint8]:
    """Weights [channel][kernel row][kernel column] and records as a stream (depthwise_conv_2d.h).

    The channels are a multiple of four; ``stride`` is that along a row.
    """
    special = depthwise_special(weights.shape[1:3], stride)
    groups = as_bytes(weights).reshape(-1, _GROUP, *weights.shape[1:])
    count, _, height, width = groups.shape
    rows = height // 2
    # [group][channel][pair of rows][column][row of the pair]
    paired = groups[:, :, : 2 * rows].reshape(count, _GROUP, rows, 2, width).transpose(0, 1, 2, 4, 3)
    listed = paired.reshape(count, _GROUP, rows * width, 2)
    of_last_row = 0
    if rows * width % 2:
        free = np.zeros((count, _GROUP, 1, 2), np.uint8)
        if special:
            of_last_row = 2
            free[:, :, 0] = groups[:, :, 2, :of_last_row]
        listed = np.concatenate([listed, free], axis=2)
    # Two pairs (a0, a1), (b0, b1) are the word a0 b0 a1 b1.
    words = listed.reshape(count, _GROUP, -1, 2, 2).swapaxes(3, 4).reshape(count, _GROUP, -1)
    channels = np.concatenate([words, as_bytes(records).reshape(count, _GROUP, -1)], axis=2)
    last_row = groups[:, :, 2 * rows :, of_last_row:].reshape(count, -1)
    return np.concatenate([channels.reshape(count, -1), last_row], axis=1).reshape(-1)


def as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of an array, little-endian, in the last dimension."""
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<")).view(np.uint8)
