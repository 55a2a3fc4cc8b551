// SPDX-License-Identifier: MIT
// MEAN of int8 over adjacent dimensions.
#pragma once

#include <cstdint>

namespace danas::aot {

struct MeanParams {
  int32_t multiplier;  // input scale / (output scale * reduced), see below
  int8_t shift;
  int8_t input_zero_point;
  int8_t output_zero_point;
  uint32_t outer;    // elements of the dimensions before those that are averaged
  uint32_t reduced;  // elements that make one mean
  uint32_t inner;    // elements of the dimensions after
};

// input [outer][reduced][inner] to output [outer][inner]. The buffers must not overlap.
//
//   output = clamp(zero point + rescale(sum of input - reduced * input zero point), -128, 127)
//
// The renderer divides the multiplier by the count as the reference does: shifted left by floor(log2(count)) first, so
// that the quotient keeps its bits.
// Source: TensorFlow Lite, kernels/internal/reference/reduce.h, QuantizedMeanOrSum.
void mean(const MeanParams& params, const int8_t* input, int8_t* output);

}  // namespace danas::aot
