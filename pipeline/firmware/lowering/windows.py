"""Operators that slide a window over an image: convolutions and pools."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.estimate.stages import StageKind
from pipeline.firmware import fixed_point
from pipeline.firmware.lowering import packing, requantization
from pipeline.firmware.lowering.site import Site, scale, zero_point
from pipeline.firmware.lowering.values import Call, Field, Form
from pipeline.firmware.lowering.weights import weighted
from pipeline.graph.model import OpCode, WindowOptions
from pipeline.graph.windows import Axis, window


def convolution(site: Site) -> Call:
    """CONV_2D and DEPTHWISE_CONV_2D."""
    depthwise = site.operator.code is OpCode.DEPTHWISE_CONV_2D
    options = site.options(WindowOptions)
    weights = site.input(1)
    source, output = site.int8(rank=4)
    site.expect(weights, rank=4)
    if options.dilation != (1, 1):
        raise site.unsupported("a dilation other than 1", "Use a dilation rate of 1.")
    channels = output.shape[3]
    if depthwise:
        if weights.shape[0] != 1 or weights.shape[3] != channels or channels % source.shape[3]:
            raise site.mismatch(weights)
    else:
        if weights.shape[0] != channels:
            raise site.mismatch(weights)
        if weights.shape[3] != source.shape[3]:
            raise site.unsupported("a grouped convolution", "Use DEPTHWISE_CONV_2D or a full one.")
    parts = weighted(site, source, weights, channels, axis=3 if depthwise else 0)
    pairs = [site.multiplier(factor) for factor in parts.factors]
    if len(pairs) == 1:
        pairs *= channels
    if not depthwise:
        low, high = fixed_point.activation_range(options.activation, scale(output), zero_point(output))
        elements = packing.window_elements(parts.weights)
        return site.call(
            "conv_2d",
            "Conv2dParams",
            filter_fields(site, elements, parts.bias, pairs, (low, high)),
            Field("window", window_fields(site)),
            Field("input_zero_point", zero_point(source)),
            parts=("block",),
            form=Form.BLOCKS,
        )
    return site.call(
        "depthwise_conv_2d",
        "DepthwiseConv2dParams",
        Field("weights", site.pool.add(parts.weights)),
        Field("bias", site.pool.add(parts.bias)),
        Field("multipliers", site.pool.add(np.array([pair[0] for pair in pairs], np.int32))),
        Field("shifts", site.pool.add(np.array([pair[1] for pair in pairs], np.int8))),
        Field("window", window_fields(site)),
        Field("input_zero_point", zero_point(source)),
        Field("output_zero_point", zero_point(output)),
        *site.output_range(options.activation),
        form=Form.WINDOW,
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


def pool_2d(site: Site) -> Call:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    average = site.operator.code is OpCode.AVERAGE_POOL_2D
    options = site.options(WindowOptions)
    source, output = site.int8(rank=4)
    if source.shape[3] != output.shape[3]:
        raise site.mismatch(output)
    sums = site.stage.kind is StageKind.SUMS
    return site.call(
        "average_pool_2d" if average else "max_pool_2d",
        "AveragePool2dParams" if average else "MaxPool2dParams",
        Field("window", window_fields(site)),
        *site.output_range(options.activation),
        function="average_of_rows" if sums else None,
        form=Form.SUMS if sums else Form.WINDOW,
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
    return (
        Field("input_height", rows.size),
        Field("input_width", columns.size),
        Field("input_channels", source.shape[3]),
        Field("output_height", rows.output),
        Field("output_width", columns.output),
        Field("output_channels", output.shape[3]),
        Field("kernel_height", rows.kernel),
        Field("kernel_width", columns.kernel),
        Field("stride_height", rows.stride),
        Field("stride_width", columns.stride),
        Field("pad_top", rows.before),
        Field("pad_left", columns.before),
    )
