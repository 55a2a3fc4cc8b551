"""The head of a classifier: the dense layer, and the probabilities made of what it gives."""

from __future__ import annotations

import numpy as np

from pipeline.firmware import fixed_point
from pipeline.firmware.lowering import packing
from pipeline.firmware.lowering.site import Site, scale, zero_point
from pipeline.firmware.lowering.values import Call, Field, Form
from pipeline.firmware.lowering.weights import weighted
from pipeline.firmware.lowering.windows import filter_fields, window_struct
from pipeline.graph.model import ActivationOptions, SoftmaxOptions
from pipeline.graph.windows import Axis

#: SOFTMAX sums Q12.19 numbers, each at most one, in 31 bits.
LARGEST_SOFTMAX = 4_095


def fully_connected(site: Site) -> Call:
    """FULLY_CONNECTED, with one scale of the weights or one an output: a 1×1 convolution of a row of vectors."""
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
    low, high = fixed_point.activation_range(options.activation, scale(output), zero_point(output))
    elements = packing.window_elements(parts.weights.reshape(outputs, 1, inputs))
    return site.call(
        "conv_2d",
        "Conv2dParams",
        filter_fields(site, elements, parts.bias, pairs * (outputs // len(pairs)), (low, high)),
        Field("window", window_struct(Axis(1, 1, 1, 0, 1), Axis(rows, 1, 1, 0, rows), (inputs, outputs))),
        Field("input_zero_point", zero_point(source)),
        Field("block", site.stage.block),
        parts=("block",),
        form=Form.BLOCKS,
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
