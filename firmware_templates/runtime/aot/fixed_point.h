// SPDX-License-Identifier: MIT
// The integer arithmetic of TensorFlow Lite's reference kernels: how a 32-bit accumulator becomes an 8-bit value.
//
// A real factor is written as multiplier * 2^(shift - 31) with 2^30 <= multiplier < 2^31. An accumulator x goes through
// two roundings:
//
//   high    = floor((x * 2^max(shift, 0) * multiplier + 2^30) / 2^31)      ties upwards
//   rescale = high / 2^max(-shift, 0), rounded, ties away from zero
//
// This is gemmlowp's SaturatingRoundingDoublingHighMul (there written as a truncating division with a nudge that
// depends on the sign; for all pairs but (INT32_MIN, INT32_MIN) it is the floor above) followed by its
// RoundingDivideByPOT. Sources: gemmlowp, fixedpoint/fixedpoint.h; TensorFlow Lite, kernels/internal/common.cc,
// MultiplyByQuantizedMultiplier (the double-rounding form, which its builds use).
#pragma once

#include <cstdint>

namespace danas::aot {

// floor((2 * a * b + 2^31) / 2^32): the upper half of the doubled product, rounded. Not for a = b = INT32_MIN.
inline int32_t multiply_high(int32_t a, int32_t b) {
  return static_cast<int32_t>((static_cast<int64_t>(a) * b + (INT64_C(1) << 30)) >> 31);
}

// x / 2^exponent, rounded to nearest, ties away from zero; 0 <= exponent <= 31, x not INT32_MIN. Rounding the last bit
// after the shift cannot overflow; taking one from a negative x turns its ties downwards.
inline int32_t divide_by_power_of_two(int32_t x, int32_t exponent) {
  if (exponent == 0) return x;
  return (((x + (x < 0 ? -1 : 0)) >> (exponent - 1)) + 1) >> 1;
}

// x * 2^exponent modulo 2^32, as the reference does on every machine we compare with; 0 <= exponent <= 31.
inline int32_t shift_left(int32_t x, int32_t exponent) {
  return static_cast<int32_t>(static_cast<uint32_t>(x) << exponent);
}

// x * multiplier * 2^(shift - 31); -31 <= shift <= 31.
inline int32_t rescale(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  return divide_by_power_of_two(multiply_high(shift_left(x, left), multiplier), left - shift);
}

inline int32_t clamp(int32_t x, int32_t low, int32_t high) { return x < low ? low : (x > high ? high : x); }

}  // namespace danas::aot
