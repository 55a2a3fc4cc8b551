// SPDX-License-Identifier: MIT
// ADD of two int8 tensors, each with its own quantization.
#pragma once

#include <cstdint>

#include "broadcast.h"

namespace danas::aot {

struct AddParams {
  uint32_t elements;
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

// For operands of one shape. Both are brought to twice the larger scale with 20 extra bits, added, and brought to the
// output's scale; the three factors are below one. The output may be one of the inputs.
// Source: TensorFlow Lite, kernels/internal/reference/integer_ops/add.h, and kernels/add.cc for the factors.
void add(const AddParams& params, const int8_t* a, const int8_t* b, int8_t* output);

struct AddBroadcastParams {
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

// The same for operands that repeat.
void add_broadcast(const AddBroadcastParams& params, const int8_t* a, const int8_t* b, int8_t* output);

}  // namespace danas::aot
