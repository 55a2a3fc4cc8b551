// SPDX-License-Identifier: MIT
// ADD and SUB of two int8 tensors, each with its own quantization.
#pragma once

#include <cstdint>

#include "broadcast.h"

namespace danas::aot {

// output = clamp((floor(factor_a * a / 2^8) + floor(factor_b * b / 2^8) + rounding) >> 20, min, max)
//
// The renderer has found integers for which this is the reference's result for all 65,536 pairs of inputs
// (pipeline/firmware/lowering/sums.py). A difference has a negative factor.
struct Sum {
  int32_t factor_a;
  int32_t factor_b;
  int32_t rounding;
  int8_t output_min;
  int8_t output_max;
};

struct AddParams {
  uint32_t elements;
  Sum sum;
};

// For operands of one shape. The output may be one of the inputs.
void add(const AddParams& params, const int8_t* a, const int8_t* b, int8_t* output);

struct AddBroadcastParams {
  Broadcast broadcast;
  Sum sum;
};

// For operands that repeat.
void add_broadcast(const AddBroadcastParams& params, const int8_t* a, const int8_t* b, int8_t* output);

// For the few quantizations that no such integers exist for. Both operands are brought to twice the larger scale with
// 20 extra bits, added or subtracted, and brought to the output's scale; the three factors are below one.
// Source: TensorFlow Lite, kernels/internal/reference/integer_ops/add.h and kernels/internal/reference/sub.h, and
// kernels/add.cc and kernels/sub.cc for the factors.
struct AddReferenceParams {
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
  int8_t sign;  // of b: 1 or -1
};

void add_reference(const AddReferenceParams& params, const int8_t* a, const int8_t* b, int8_t* output);

}  // namespace danas::aot
