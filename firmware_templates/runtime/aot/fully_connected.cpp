// SPDX-License-Identifier: MIT
#include "fully_connected.h"

#include <cstring>

#include "fixed_point.h"

namespace danas::aot {
namespace {

// To the nearest integer, ties away from zero; beyond 32 bits, the nearest 32-bit integer. Works on the bits (IEEE 754
// binary64), so that nothing of a mathematics library is linked.
inline int32_t round_to_int(double value) {
  uint64_t bits;
  static_assert(sizeof bits == sizeof value, "double is binary64");
  std::memcpy(&bits, &value, sizeof bits);
  const bool negative = (bits >> 63) != 0;
  const int32_t exponent = static_cast<int32_t>((bits >> 52) & 0x7FF);  // |value| = significand * 2^(exponent - 1075)
  const uint64_t significand = (bits & ((UINT64_C(1) << 52) - 1)) | (UINT64_C(1) << 52);
  const int32_t places = 1075 - exponent;
  if (places > 53) return 0;  // below one half
  if (places < 22) return negative ? INT32_MIN : INT32_MAX;
  const int64_t magnitude = static_cast<int64_t>((significand + (UINT64_C(1) << (places - 1))) >> places);
  if (magnitude > INT32_MAX) return negative ? INT32_MIN : INT32_MAX;
  return static_cast<int32_t>(negative ? -magnitude : magnitude);
}

}  // namespace

void fully_connected(const FullyConnectedParams& params, const int8_t* input, int8_t* output) {
  for (int32_t row = 0; row < params.rows; ++row) {
    const int8_t* weights = params.weights;
    const double* factor = params.factors;
    for (int32_t channel = 0; channel < params.outputs; ++channel) {
      int32_t acc = params.bias[channel];
      for (int32_t i = 0; i < params.inputs; ++i) acc += *weights++ * (input[i] - params.input_zero_point);
      // Twice the output's range is far enough: a sum with the zero point cannot overflow, and the clamp hides it.
      const int32_t scaled = clamp(round_to_int(static_cast<double>(acc) * *factor), -1024, 1024);
      *output++ = static_cast<int8_t>(clamp(scaled + params.output_zero_point, params.output_min, params.output_max));
      factor += params.factor_step;
    }
    input += params.inputs;
  }
}

}  // namespace danas::aot
