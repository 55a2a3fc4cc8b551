"""Operators on one whole feature map: the mean over dimensions, padding, another shape; and several put together."""

from __future__ import annotations

from math import prod

import numpy as np

from pipeline.estimate.stages import StageKind
from pipeline.firmware import fixed_point
from pipeline.firmware.lowering.site import Site, scale, zero_point
from pipeline.firmware.lowering.values import Call, Field, Form, array
from pipeline.graph.model import ConcatenationOptions, MeanOptions, PadOptions


def mean(site: Site) -> Call:
    """MEAN over dimensions that lie side by side, those of one element aside."""
    options = site.options(MeanOptions)
    source, output = site.int8()
    axes = {axis for axis in options.axes if source.shape[axis] > 1}
    first, last = (min(axes), max(axes)) if axes else (0, -1)
    if any(axis not in axes and source.shape[axis] > 1 for axis in range(first, last + 1)):
        raise site.unsupported("a mean over dimensions that are not adjacent", "Use two means.")
    outer, count = prod(source.shape[:first]), prod(source.shape[first : last + 1])
    inner = prod(source.shape[last + 1 :])
    if outer * inner != output.elements:
        raise site.mismatch(output)
    if count * 255 >= 2**31:
        raise site.overflow()
    factor = scale(source) / scale(output)
    site.multiplier(factor)  # for its check
    multiplier, shift = fixed_point.mean_multiplier(factor, count)
    return site.call(
        "mean",
        "MeanParams",
        Field("multiplier", multiplier),
        Field("shift", shift),
        Field("input_zero_point", zero_point(source)),
        Field("output_zero_point", zero_point(output)),
        Field("outer", outer),
        Field("reduced", count),
        Field("inner", inner),
        Field("rows", site.stage.steps),
        function="mean_of_rows" if site.stage.kind is StageKind.SUMS else None,
        form=Form.SUMS if site.stage.kind is StageKind.SUMS else Form.WHOLE,
    )


def pad(site: Site) -> Call:
    """PAD and PADV2 of up to four dimensions."""
    options = site.options(PadOptions)
    source, output = site.int8()
    rank = len(source.shape)
    if rank > 4:
        raise site.unsupported(f"{rank} dimensions", "Pad at most four dimensions.")
    padded = tuple(size + before + after for size, (before, after) in zip(source.shape, options.paddings, strict=True))
    if padded != output.shape:
        raise site.mismatch(output)
    site.check_dimensions(*output.shape)
    paddings = ((0, 0),) * (4 - rank) + options.paddings
    return site.call(
        "pad",
        "PadParams",
        Field("input", array((1,) * (4 - rank) + source.shape)),
        Field("before", array(tuple(before for before, _ in paddings))),
        Field("after", array(tuple(after for _, after in paddings))),
        Field("value", zero_point(output) if options.value is None else options.value),
    )


def concatenation(site: Site) -> Call:
    """CONCATENATION: rows of each input after one another; a row is what lies inside the axis."""
    axis = site.options(ConcatenationOptions).axis
    inputs = tuple(site.expect(site.input(position)) for position in range(len(site.operator.inputs)))
    output = site.expect(site.output)
    rows = prod(output.shape[:axis])
    widths = [tensor.elements // rows for tensor in inputs]
    if any(tensor.shape[:axis] != output.shape[:axis] for tensor in inputs) or sum(widths) * rows != output.elements:
        raise site.mismatch(output)
    for tensor in inputs:
        if tensor.quantization != output.quantization:
            raise site.refused(tensor, "its quantization differs from the output's")
    return site.call(
        "concatenation",
        "ConcatenationParams",
        Field("widths", site.pool.add(np.array(widths, np.int32))),
        Field("rows", rows),
        inputs=inputs,
        gathered=True,
    )
