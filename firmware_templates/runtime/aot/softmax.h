// SPDX-License-Identifier: MIT
// SOFTMAX of int8 over the last dimension; the output's scale is 1/256 and its zero point -128.
#pragma once

#include <cstdint>

namespace danas::aot {

struct SoftmaxParams {
  uint32_t rows;
  uint32_t depth;
  int32_t multiplier;           // beta * input scale as multiplier * 2^(shift - 31), in units of 2^-26
  int16_t shift;
  int16_t smallest_difference;  // what lies further below the largest element counts as zero
};

// In fixed point throughout. The buffers must not overlap.
// Source: TensorFlow Lite, kernels/internal/reference/softmax.h; gemmlowp, fixedpoint/fixedpoint.h.
void softmax(const SoftmaxParams& params, const int8_t* input, int8_t* output);

}  // namespace danas::aot
