"""LOGISTIC as TensorFlow Lite Micro computes it, in integers: the value for each int8 input, from −128 on.

LiteRT makes such a table too, of the exponential function in float. The two are one apart near half a step, as at 2^-7;
and TFLM takes what lies beyond a radius for saturated: where an input's step is above 1 that is too much, in the end
zero itself.

Qm.n below: m integer bits, n fraction bits, m + n = 31, sign beside them.

Sources: TensorFlow Lite Micro, micro/kernels/logistic_common.cc and
kernels/internal/reference/integer_ops/logistic.h; gemmlowp, fixedpoint/fixedpoint.h.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_INTEGER_BITS = 4
_FRACTION_BITS = 31 - _INTEGER_BITS
_ONE = (1 << 31) - 1  # of Q0.31
#: exp(−2^k), k = −2 … 3, in Q0.31.
_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401)


def logistic_table(input_scale: float, input_zero_point: int) -> NDArray[np.int8]:
    """1 / (1 + exp(−x)), with an output scale of 1/256 and a zero point of −128."""
    significand, shift = math.frexp(input_scale * 2.0**_FRACTION_BITS)
    multiplier = round(significand * 2.0**31)  # exact: a float32 has 24 bits
    radius = math.floor(((1 << _INTEGER_BITS) - 1) * 2.0 ** (_FRACTION_BITS - shift))

    def value(difference: int) -> int:
        if abs(difference) >= radius:
            return -128 if difference <= -radius else 127
        high = _multiply_high(difference << max(shift, 0), multiplier)
        return min(_divide(_logistic(_divide(high, max(-shift, 0))), 31 - 8) - 128, 127)

    return np.array([value(q - input_zero_point) for q in range(-128, 128)], np.int8)


def _logistic(x: int) -> int:
    """Q4.27 to Q0.31."""
    if x == 0:
        return 1 << 30
    positive = _reciprocal_of_one_plus(_exp_of_negative(-abs(x)))
    return positive if x > 0 else _ONE - positive


def _exp_of_negative(x: int) -> int:
    """exp(x), x < 0, Q4.27 to Q0.31. x = −(multiple of 1/4) + a rest; each bit of the multiple is one factor."""
    quarter = 1 << (_FRACTION_BITS - 2)
    rest = (x & (quarter - 1)) - quarter
    result = _exp_of_last_quarter(rest << _INTEGER_BITS)
    quarters = (rest - x) >> (_FRACTION_BITS - 2)
    for bit, factor in enumerate(_FACTORS):
        if quarters >> bit & 1:
            result = _multiply_high(result, factor)
    return result


def _exp_of_last_quarter(x: int) -> int:
    """exp(x), −1/4 ≤ x < 0, both Q0.31: a Taylor polynomial of fourth degree around −1/8."""
    exp_of_minus_eighth, third = 1895147668, 715827883
    t = x + (1 << 28)
    t2 = _multiply_high(t, t)
    t3 = _multiply_high(t2, t)
    t4_over_4 = _divide(_multiply_high(t2, t2), 2)
    higher = _divide(_multiply_high(t4_over_4 + t3, third) + t2, 1)
    return exp_of_minus_eighth + _multiply_high(exp_of_minus_eighth, t + higher)


def _reciprocal_of_one_plus(x: int) -> int:
    """1 / (1 + x), 0 ≤ x < 1, both Q0.31: three Newton-Raphson steps in Q2.29."""
    half_denominator = (x + _ONE + 1) // 2
    estimate = 1515870810 + _multiply_high(half_denominator, -1010580540)  # 48/17 − 32/17 · half the denominator
    for _ in range(3):
        error = (1 << 29) - _multiply_high(half_denominator, estimate)
        estimate += _multiply_high(estimate, error) << 2
    return min(estimate << 1, _ONE)  # half of Q2.29 is Q1.30 with the same bits; then to Q0.31


def _multiply_high(a: int, b: int) -> int:
    """The upper half of the doubled 32-bit product, rounded."""
    return (a * b + (1 << 30)) >> 31


def _divide(x: int, exponent: int) -> int:
    """x / 2^exponent, ties away from zero."""
    magnitude = (abs(x) + (1 << exponent >> 1)) >> exponent
    return magnitude if x >= 0 else -magnitude
