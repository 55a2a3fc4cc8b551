"""CONV_2D, and where the windows of convolutions and pools stand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.firmware import fixed_point
from pipeline.firmware.lowering import packing, requantization
from pipeline.firmware.lowering.site import Site, scale, zero_point
from pipeline.firmware.lowering.values import Call, Field, Form
from pipeline.firmware.lowering.weights import weighted
from pipeline.graph.model import WindowOptions
from pipeline.graph.windows import Axis, window


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
    low, high = fixed_point.activation_range(options.activation, scale(output), zero_point(output))
    elements = packing.window_elements(parts.weights)
    return site.call(
        "conv_2d",
        "Conv2dParams",
        filter_fields(site, elements, parts.bias, pairs, (low, high)),
        Field("window", window_fields(site)),
        Field("input_zero_point", zero_point(source)),
        Field("block", site.stage.block),
        parts=("block",),
        form=Form.BLOCKS,
    )


def filter_fields(
    site: Site,
    elements: NDArray[np.int8],
    bias: NDArray[np.int32],
    multipliers: list[tuple[int, int]],
    output_range: tuple[int, int],
) -> Field:
    """The struct of block.h for weights [channel, element]."""
    output = zero_point(site.output)
    accumulators = requantization.sums(elements, bias, zero_point(site.input()))
    chosen = requantization.choose(
        accumulators, multipliers, output, output_range[0], shared=packing.shareable(elements)
    )
    packed = packing.pack(elements, chosen)
    site.check_dimensions(packed.pairs)
    return Field(
        "filters",
        (
            Field("stream", site.pool.add(packed.stream)),
            Field("pairs", packed.pairs),
            Field("outputs", len(elements)),
            Field("form", chosen.form.enumerator),
            Field("zero_point", output),
            Field("output_min", output_range[0]),
            Field("output_max", output_range[1]),
        ),
    )


def window_fields(site: Site) -> tuple[Field, ...]:
    """The fields of window.h's struct, after a check that the output's size follows from them."""
    try:
        found = window(site.graph.tensors, site.operator)
    except ValueError as error:
        raise site.mismatch(site.graph.tensors[int(error.args[0])]) from error
    source, output = site.input(), site.output
    if source.shape[0] != 1 or output.shape[0] != 1:
        raise site.unsupported(f"a batch of {source.shape[0]}", "Export the model with a batch of 1.")
    rows, columns = found.rows, found.columns
    if site.flat:
        rows, columns = Axis(1, 1, 1, 0, 1), Axis(rows.size * columns.size, 1, 1, 0, rows.output * columns.output)
    site.check_dimensions(*(size for axis in (rows, columns) for size in (axis.size, axis.kernel, axis.stride)))
    site.check_dimensions(rows.output, columns.output, source.shape[3], output.shape[3])
    return window_struct(rows, columns, (source.shape[3], output.shape[3]))


def window_struct(rows: Axis, columns: Axis, channels: tuple[int, int]) -> tuple[Field, ...]:
    """The fields of window.h's struct, for input and output channels."""
    return (
        Field("input_height", rows.size),
        Field("input_width", columns.size),
        Field("input_channels", channels[0]),
        Field("output_height", rows.output),
        Field("output_width", columns.output),
        Field("output_channels", channels[1]),
        Field("kernel_height", rows.kernel),
        Field("kernel_width", columns.kernel),
        Field("stride_height", rows.stride),
        Field("stride_width", columns.stride),
        Field("pad_top", rows.before),
        Field("pad_left", columns.before),
    )
