"""HARD_SWISH as a table: the value for each int8 input, from −128 on, computed as the reference does.

Scales are float32 values; the sources say which products are made in float.

Sources: TensorFlow Lite, kernels/activations.cc (HardSwishPrepare), kernels/internal/reference/hard_swish.h.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.firmware.fixed_point import INT8_MAX, INT8_MIN, quantize_multiplier

_INT16_MIN, _INT16_MAX = -(1 << 15), (1 << 15) - 1
#: Shifts of a 16-bit value that say anything.
_SHIFTS = range(-15, 31)


def hard_swish(
    input_scale: float, input_zero_point: int, output_scale: float, output_zero_point: int
) -> NDArray[np.int8] | None:
    """x · min(max(x + 3, 0), 6) / 6 in 16-bit fixed point; None for scales that the arithmetic cannot hold.

    x is taken with 7 extra bits. One factor brings it to the output's scale but for a shift to the right; another to
    where 3 is 2^15, saturating, which is then the weight between 0 and 1.
    """
    fine = np.float32(1.0 / 128.0) * np.float32(input_scale)
    output = _multiplier(float(fine / np.float32(output_scale)))
    weight = _multiplier(float(fine / np.float32(3.0 / 32768.0)))
    if output is None or weight is None or output[1] > 0:
        return None

    def value(difference: int) -> int:
        x = difference << 7
        scaled = _multiply_high(x, output[0])
        share = _saturated(x << (weight[1] - 1)) if weight[1] > 0 else x
        share = _multiply_high(share, weight[0])
        share = _saturated(share << 1) if weight[1] > 0 else _divide(share, -weight[1])
        share = (share + (1 << 15)) >> 1
        product = share * scaled
        rounded_to_zero = abs(product) >> 15
        return _divide(rounded_to_zero if product >= 0 else -rounded_to_zero, -output[1]) + output_zero_point

    return _table(value, input_zero_point)


def _table(value: Callable[[int], int], input_zero_point: int) -> NDArray[np.int8]:
    values = [value(q - input_zero_point) for q in range(INT8_MIN, INT8_MAX + 1)]
    return np.clip(values, INT8_MIN, INT8_MAX).astype(np.int8)


def _multiplier(factor: float) -> tuple[int, int] | None:
    """(16-bit multiplier, shift) of a factor. Source: DownScaleInt32ToInt16Multiplier."""
    multiplier, shift = quantize_multiplier(factor)
    if shift not in _SHIFTS or not multiplier:
        return None
    return min((multiplier + (1 << 15)) >> 16, _INT16_MAX), shift


def _multiply_high(a: int, b: int) -> int:
    """The upper half of the doubled 32-bit product, rounded; b is positive."""
    return (a * b + (1 << 14)) >> 15


def _saturated(x: int) -> int:
    return min(max(x, _INT16_MIN), _INT16_MAX)


def _divide(x: int, exponent: int) -> int:
    """x / 2^exponent, ties away from zero."""
    magnitude = (abs(x) + (1 << exponent >> 1)) >> exponent
    return magnitude if x >= 0 else -magnitude
