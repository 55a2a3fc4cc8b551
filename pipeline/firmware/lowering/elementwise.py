"""Operators on two tensors, element by element: sum, difference, product; an operand may repeat."""

from __future__ import annotations

import itertools
from math import prod

import numpy as np
from numpy.typing import NDArray

from pipeline.firmware import fixed_point
from pipeline.firmware.lowering import sums
from pipeline.firmware.lowering.site import Site, scale, zero_point
from pipeline.firmware.lowering.values import Call, Field, Form
from pipeline.graph.model import ActivationOptions, Tensor, broadcast_shape, without_leading_ones


def add(site: Site) -> Call:
    """ADD; operands with the same elements in the same order have a kernel of their own."""
    return _sum(site, 1)


def subtract(site: Site) -> Call:
    """SUB: an ADD with a negative factor."""
    return _sum(site, -1)


def multiply(site: Site) -> Call:
    """MUL."""
    a, b = _operands(site)
    # The product and the quotient are made in float. Source: mul.cc, Prepare.
    factor = float(np.float32(scale(a)) * np.float32(scale(b)) / np.float32(scale(site.output)))
    multiplier, shift = site.multiplier(factor)
    return site.call(
        "mul",
        "MulParams",
        _broadcast(site, a, b),
        Field("multiplier", multiplier),
        Field("shift", shift),
        Field("zero_point_a", zero_point(a)),
        Field("zero_point_b", zero_point(b)),
        Field("zero_point_output", zero_point(site.output)),
        *site.output_range(site.options(ActivationOptions).activation),
        inputs=(a, b),
        form=Form.ELEMENTS,
    )


def _operands(site: Site) -> tuple[Tensor, Tensor]:
    """Both operands, each with one scale, after a check that the output's shape follows from theirs."""
    a, b, output = (site.expect(tensor) for tensor in (site.input(0), site.input(1), site.output))
    for tensor in (a, b):
        if len(tensor.quantization.scales if tensor.quantization else ()) != 1:
            raise site.refused(tensor, "an operand has one scale")
    if output.shape != broadcast_shape(a.shape, b.shape):
        raise site.mismatch(output)
    return a, b


def _sum(site: Site, sign: int) -> Call:
    """a + sign · b."""
    a, b = _operands(site)
    output = site.output
    # 2 · max is a float product; doubling is exact. The quotients are made in double.
    twice = 2.0 * max(scale(a), scale(b))
    factors = (scale(a) / twice, scale(b) / twice, twice / (2.0**20 * scale(output)))
    pairs = [fixed_point.quantize_multiplier(factor) for factor in factors]
    if any(factor >= 1.0 or shift > 0 for factor, (_, shift) in zip(factors, pairs, strict=True)):
        raise site.unsupported("an output scale a million times smaller than an operand's", "Check the calibration.")
    activation = site.options(ActivationOptions).activation
    bounds = fixed_point.activation_range(activation, scale(output), zero_point(output))
    low, high = Field("output_min", bounds[0]), Field("output_max", bounds[1])
    table = _table(pairs, (zero_point(a), zero_point(b), zero_point(output)), sign)
    bounded = np.clip(table, *bounds)
    slopes = scale(a) / scale(output), sign * scale(b) / scale(output)
    found = sums.short_sum(bounded, *slopes, bounds=bounds)
    if found is None:
        return site.call(
            "add",
            "AddReferenceParams",
            _broadcast(site, a, b),
            *(Field(f"multiplier_{name}", pair[0]) for name, pair in zip(("a", "b", "output"), pairs, strict=True)),
            *(Field(f"shift_{name}", pair[1]) for name, pair in zip(("a", "b", "output"), pairs, strict=True)),
            Field("zero_point_a", zero_point(a)),
            Field("zero_point_b", zero_point(b)),
            Field("zero_point_output", zero_point(output)),
            low,
            high,
            Field("sign", sign),
            function="add_reference",
            inputs=(a, b),
            form=Form.ELEMENTS,
        )
    fields = (
        Field("factor_a", found.factor_a),
        Field("factor_b", found.factor_b),
        Field("rounding", found.rounding),
        low,
        high,
    )
    if without_leading_ones(a.shape) == without_leading_ones(b.shape):
        elements = Field("elements", site.elements)
        return site.call("add", "AddParams", elements, Field("sum", fields), inputs=(a, b), form=Form.ELEMENTS)
    return site.call(
        "add",
        "AddBroadcastParams",
        _broadcast(site, a, b),
        Field("sum", fields),
        function="add_broadcast",
        inputs=(a, b),
    )


def _table(pairs: list[tuple[int, int]], zero_points: tuple[int, int, int], sign: int) -> NDArray[np.int64]:
    """The reference's sum for each pair of inputs, [a + 128, b + 128], before the bounds."""
    values = np.arange(-128, 128, dtype=np.int64)
    a, b = (_rescaled((values - zero) << 20, *pair) for zero, pair in zip(zero_points[:2], pairs[:2], strict=True))
    return _rescaled(a[:, None] + sign * b[None, :], *pairs[2]) + zero_points[2]


def _rescaled(values: NDArray[np.int64], multiplier: int, shift: int) -> NDArray[np.int64]:
    """fixed_point.h, rescale, for a shift that is not positive."""
    high = (values * multiplier + (1 << 30)) >> 31
    return high if shift == 0 else (((high - (high < 0)) >> (-shift - 1)) + 1) >> 1


def _broadcast(site: Site, a: Tensor, b: Tensor) -> Field:
    """The fields of broadcast.h's struct: how far each operand steps along rows and columns of the output.

    Neighbouring dimensions along which the same operand repeats, or neither, are one; two such dimensions are what
    the kernels walk through.
    """
    shape = site.output.shape
    padded = [(1,) * (len(shape) - len(tensor.shape)) + tensor.shape for tensor in (a, b)]
    sizes = [(size, x == 1, y == 1) for size, x, y in zip(shape, *padded, strict=True) if size > 1]
    groups = [
        (prod(size for size, _, _ in members), *repeats)
        for repeats, members in itertools.groupby(sizes, key=lambda item: item[1:])
    ]
    if len(groups) > 2:
        raise site.unsupported(
            f"operands of shapes {a.shape} and {b.shape}", "Repeat an operand along neighbouring dimensions only."
        )
    if a.shape == b.shape:
        groups = [(site.elements, False, False)]
    (rows, *outer), (width, *inner) = [(1, False, False)] * (2 - len(groups)) + groups
    row_steps = [0 if still else 1 if narrow else width for still, narrow in zip(outer, inner, strict=True)]
    return Field(
        "broadcast",
        (
            Field("rows", rows),
            Field("width", width),
            Field("row_step_a", row_steps[0]),
            Field("row_step_b", row_steps[1]),
            Field("step_a", int(not inner[0])),
            Field("step_b", int(not inner[1])),
        ),
    )
