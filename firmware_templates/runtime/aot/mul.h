// SPDX-License-Identifier: MIT
// MUL of two int8 tensors, each with its own quantization.
#pragma once

#include <cstdint>

#include "broadcast.h"

namespace danas::aot {

struct MulParams {
  Broadcast broadcast;
  int32_t multiplier;  // scale of a * scale of b / output scale, as multiplier * 2^(shift - 31)
  int8_t shift;
  int8_t zero_point_a;
  int8_t zero_point_b;
  int8_t zero_point_output;
  int8_t output_min;
  int8_t output_max;
};

// output = clamp(zero point + rescale((a - zero point of a) * (b - zero point of b)))
// Source: TensorFlow Lite, kernels/internal/reference/integer_ops/mul.h, and kernels/mul.cc for the factor.
void mul(const MulParams& params, const int8_t* a, const int8_t* b, int8_t* output);

}  // namespace danas::aot
