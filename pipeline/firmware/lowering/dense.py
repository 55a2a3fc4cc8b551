"""The head of a classifier: the dense layer, and the probabilities made of what it gives."""

from __future__ import annotations

import numpy as np

from pipeline.firmware import fixed_point
from pipeline.firmware.lowering.site import Site, scale, zero_point
from pipeline.firmware.lowering.values import Call, Field
from pipeline.firmware.lowering.weights import weighted
from pipeline.graph.model import ActivationOptions, SoftmaxOptions

#: SOFTMAX sums Q12.19 numbers, each at most one, in 31 bits.
LARGEST_SOFTMAX = 4_095


def fully_connected(site: Site) -> Call:
    """FULLY_CONNECTED, with one scale of the weights or one an output."""
    options = site.options(ActivationOptions)
    weights = site.input(1)
    source, output = site.int8()
    site.expect(weights, rank=2)
    outputs, inputs = weights.shape
    rows = source.elements // inputs
    if rows * inputs != source.elements or rows * outputs != output.elements:
        raise site.mismatch(output)
    site.check_dimensions(rows, inputs, outputs)
    parts = weighted(site, source, weights, outputs, axis=0)
    factors = parts.factors
    if len(factors) == 1:
        # With one scale the product is made in float. Source: kernel_util.cc, GetQuantizedConvolutionMultipler.
        product = np.float32(scale(source)) * np.float32(scale(weights))
        factors = [float(product) / scale(output)]
    pairs = [site.multiplier(factor) for factor in factors]
    return site.call(
        "fully_connected",
        "FullyConnectedParams",
        Field("weights", site.pool.add(parts.weights)),
        Field("bias", site.pool.add(parts.bias)),
        Field("multipliers", site.pool.add(np.array([pair[0] for pair in pairs], np.int32))),
        Field("shifts", site.pool.add(np.array([pair[1] for pair in pairs], np.int8))),
        Field("rows", rows),
        Field("inputs", inputs),
        Field("outputs", outputs),
        Field("factor_step", int(len(pairs) > 1)),
        Field("input_zero_point", zero_point(source)),
        Field("output_zero_point", zero_point(output)),
        *site.output_range(options.activation),
    )


def softmax(site: Site) -> Call:
    """SOFTMAX over the last dimension."""
    options = site.options(SoftmaxOptions)
    source, output = site.int8()
    if source.shape != output.shape or not source.shape:
        raise site.mismatch(output)
    if zero_point(output) != -128 or abs(scale(output) * 256 - 1) > 0.001:
        raise site.refused(output, "SOFTMAX gives scale 1/256 and zero point -128")
    depth = source.shape[-1]
    if depth > LARGEST_SOFTMAX:
        raise site.unsupported(f"{depth} classes", f"At most {LARGEST_SOFTMAX} are possible.")
    if options.beta * scale(source) * 2.0**26 <= 1.0:
        raise site.unsupported(f"beta {options.beta}", "Use a beta of 1.")
    multiplier, shift, smallest = fixed_point.softmax_scaling(options.beta, scale(source))
    return site.call(
        "softmax",
        "SoftmaxParams",
        Field("rows", source.elements // depth),
        Field("depth", depth),
        Field("multiplier", multiplier),
        Field("shift", shift),
        Field("smallest_difference", max(smallest, -256)),  # two int8 values differ by 255 at most
    )
