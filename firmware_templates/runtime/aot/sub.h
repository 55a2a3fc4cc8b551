// SPDX-License-Identifier: MIT
// SUB of two int8 tensors, each with its own quantization.
#pragma once

#include <cstdint>

#include "broadcast.h"

namespace danas::aot {

struct SubParams {
  Broadcast broadcast;
  int32_t multiplier_a;
  int32_t multiplier_b;
  int32_t multiplier_output;
  int8_t shift_a;
  int8_t shift_b;
  int8_t shift_output;
  int8_t zero_point_a;
  int8_t zero_point_b;
  int8_t zero_point_output;
  int8_t output_min;
  int8_t output_max;
};

// As ADD: both operands are brought to twice the larger scale with 20 extra bits, b is taken from a, and the difference
// brought to the output's scale; the three factors are below one.
// Source: TensorFlow Lite, kernels/internal/reference/sub.h, and kernels/sub.cc for the factors.
void sub(const SubParams& params, const int8_t* a, const int8_t* b, int8_t* output);

}  // namespace danas::aot
