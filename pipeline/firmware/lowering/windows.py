"""CONV_2D, and where the windows of convolutions and pools stand."""

from __future__ import annotations

import numpy as np

from pipeline.firmware import fixed_point
from pipeline.firmware.lowering.site import Site, zero_point
from pipeline.firmware.lowering.values import Call, Field
from pipeline.firmware.lowering.weights import weighted
from pipeline.graph.model import Padding, Tensor, WindowOptions


def convolution(site: Site) -> Call:
    """CONV_2D."""
    options = site.options(WindowOptions)
    weights = site.input(1)
    source, output = site.int8(rank=4)
    site.expect(weights, rank=4)
    if options.dilation != (1, 1):
        raise site.unsupported("a dilation other than 1", "Use a dilation rate of 1.")
    channels = output.shape[3]
    if weights.shape[0] != channels:
        raise site.mismatch(weights)
    if weights.shape[3] != source.shape[3]:
        raise site.unsupported("a grouped convolution", "Use DEPTHWISE_CONV_2D or a full one.")
    parts = weighted(site, source, weights, channels, axis=0)
    pairs = [site.multiplier(factor) for factor in parts.factors]
    if len(pairs) == 1:
        pairs *= channels
    window = window_fields(site, options, source, output, (weights.shape[1], weights.shape[2]))
    return site.call(
        "conv_2d",
        "Conv2dParams",
        Field("weights", site.pool.add(parts.weights)),
        Field("bias", site.pool.add(parts.bias)),
        Field("multipliers", site.pool.add(np.array([pair[0] for pair in pairs], np.int32))),
        Field("shifts", site.pool.add(np.array([pair[1] for pair in pairs], np.int8))),
        Field("window", window),
        Field("input_zero_point", zero_point(source)),
        Field("output_zero_point", zero_point(output)),
        *site.output_range(options.activation),
    )


def window_fields(
    site: Site, options: WindowOptions, source: Tensor, output: Tensor, kernel: tuple[int, int]
) -> tuple[Field, ...]:
    """The fields of window.h's struct, after a check that the output's size follows from them."""
    pads = []
    for size, taps, stride, made in zip(source.shape[1:3], kernel, options.stride, output.shape[1:3], strict=True):
        if min(size, taps, stride) < 1:
            raise site.mismatch(source)
        same = options.padding is Padding.SAME
        if made != (-(-size // stride) if same else (size - taps) // stride + 1) or made < 1:
            raise site.mismatch(output)
        pads.append(fixed_point.padding_before(size, taps, stride, made))
    if source.shape[0] != 1 or output.shape[0] != 1:
        raise site.unsupported(f"a batch of {source.shape[0]}", "Export the model with a batch of 1.")
    site.check_dimensions(*source.shape, *output.shape, *kernel, *options.stride)
    return (
        Field("input_height", source.shape[1]),
        Field("input_width", source.shape[2]),
        Field("input_channels", source.shape[3]),
        Field("output_height", output.shape[1]),
        Field("output_width", output.shape[2]),
        Field("output_channels", output.shape[3]),
        Field("kernel_height", kernel[0]),
        Field("kernel_width", kernel[1]),
        Field("stride_height", options.stride[0]),
        Field("stride_width", options.stride[1]),
        Field("pad_top", pads[0]),
        Field("pad_left", pads[1]),
    )
