"""Operators on whole feature maps: the sum of two, the mean over dimensions, padding, another shape."""

from __future__ import annotations

from math import prod

from pipeline.firmware import fixed_point
from pipeline.firmware.lowering.site import Site, scale, zero_point
from pipeline.firmware.lowering.values import Call, Field, array
from pipeline.graph.model import ActivationOptions, MeanOptions, PadOptions, without_leading_ones


def add(site: Site) -> Call:
    """ADD of two tensors with the same elements in the same order."""
    options = site.options(ActivationOptions)
    a, b, output = (site.expect(tensor) for tensor in (site.input(0), site.input(1), site.output))
    if without_leading_ones(a.shape) != without_leading_ones(b.shape):
        raise site.unsupported("operands of different shapes", "Give both operands the same shape.")
    if output.shape != max(a.shape, b.shape, key=len):
        raise site.mismatch(output)
    # 2 · max is a float product; doubling is exact. The quotients are made in double.
    twice = 2.0 * max(scale(a), scale(b))
    factors = (scale(a) / twice, scale(b) / twice, twice / (2.0**20 * scale(output)))
    pairs = [fixed_point.quantize_multiplier(factor) for factor in factors]
    if any(factor >= 1.0 or shift > 0 for factor, (_, shift) in zip(factors, pairs, strict=True)):
        raise site.unsupported("an output scale a million times smaller than an operand's", "Check the calibration.")
    return site.call(
        "add",
        "AddParams",
        Field("elements", output.elements),
        Field("multiplier_a", pairs[0][0]),
        Field("multiplier_b", pairs[1][0]),
        Field("multiplier_output", pairs[2][0]),
        Field("shift_a", pairs[0][1]),
        Field("shift_b", pairs[1][1]),
        Field("shift_output", pairs[2][1]),
        Field("zero_point_a", zero_point(a)),
        Field("zero_point_b", zero_point(b)),
        Field("zero_point_output", zero_point(output)),
        *site.output_range(options.activation),
        inputs=(a, b),
    )


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
    )


def pad(site: Site) -> Call:
    """PAD of up to four dimensions."""
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
        Field("value", zero_point(output)),
    )


def reshape(site: Site) -> Call:
    """RESHAPE: a copy, where the plan gives input and output different places."""
    source, output = site.input(), site.output
    if source.nbytes != output.nbytes or source.dtype is not output.dtype:
        raise site.mismatch(output)
    return site.call("reshape", "ReshapeParams", Field("bytes", output.nbytes))
