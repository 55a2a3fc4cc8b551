"""How TensorFlow Lite turns scales into integers: what its kernels prepare on the host, computed exactly as it does.

Scales are float32 values held in Python floats (doubles), as in the Graph; each function says which products are made
in float and which in double, since the last bit depends on it.

Sources: TensorFlow Lite, kernels/internal/quantization_util.cc, kernels/kernel_util.cc, kernels/padding.h.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.graph.model import Activation

INT8_MIN, INT8_MAX = -128, 127


def round_half_away(value: float) -> int:
    """To the nearest integer, ties away from zero (C's ``round``); |value| < 2^52."""
    magnitude = abs(value)
    whole = math.floor(magnitude)
    rounded = whole + (1 if magnitude - whole >= 0.5 else 0)
    return -rounded if value < 0 else rounded


def quantize_multiplier(factor: float) -> tuple[int, int]:
    """(multiplier, shift) with factor ≈ multiplier · 2^(shift − 31) and 2^30 ≤ multiplier < 2^31.

    A factor below 2^-32 or so becomes (0, 0), as does zero. Source: QuantizeMultiplier.
    """
    if factor == 0.0:
        return 0, 0
    significand, shift = math.frexp(factor)
    multiplier = round_half_away(significand * 2.0**31)
    if multiplier == 2**31:
        multiplier //= 2
        shift += 1
    return (0, 0) if shift < -31 else (multiplier, shift)


def activation_range(activation: Activation, scale: float, zero_point: int) -> tuple[int, int]:
    """The int8 values between which a fused activation holds the output.

    The divisions by the scale are float ones. Source: CalculateActivationRangeQuantized.
    """

    def steps(bound: float) -> int:
        quotient = min(float(np.float32(bound) / np.float32(scale)), 2.0**31)
        return round_half_away(quotient)

    if activation is Activation.NONE:
        return INT8_MIN, INT8_MAX
    if activation is Activation.RELU_N1_TO_1:
        return max(INT8_MIN, zero_point - steps(1.0)), min(INT8_MAX, zero_point + steps(1.0))
    low = max(INT8_MIN, zero_point)
    return low, INT8_MAX if activation is Activation.RELU else min(INT8_MAX, zero_point + steps(6.0))


def mean_multiplier(factor: float, count: int) -> tuple[int, int]:
    """(multiplier, shift) of factor / count as QuantizedMeanOrSum divides it, in integers."""
    multiplier, shift = quantize_multiplier(factor)
    room = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << room) // count, shift - room


def softmax_scaling(beta: float, scale: float) -> tuple[int, int, int]:
    """(multiplier, shift, smallest difference) of an int8 SOFTMAX whose exponent is Q5.26.

    ``beta`` is a float32 value; the products are made in double.
    Sources: PreprocessSoftmaxScaling, CalculateInputRadius.
    """
    factor = min(beta * scale * 2.0**26, 2.0**31 - 1.0)
    multiplier, shift = quantize_multiplier(factor)
    return multiplier, shift, -math.floor(31.0 * 2.0**26 / 2.0**shift)
