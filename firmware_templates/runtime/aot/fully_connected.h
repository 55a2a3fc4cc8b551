// SPDX-License-Identifier: MIT
// FULLY_CONNECTED: int8 activations and weights, int32 bias, a factor for each output or one for all.
#pragma once

#include <cstdint>

namespace danas::aot {

struct FullyConnectedParams {
  const int8_t* weights;  // [output][input]
  const int32_t* bias;    // [output]
  const double* factors;  // [output], or one where factor_step is 0
  uint16_t rows;          // input vectors
  uint16_t inputs;
  uint16_t outputs;
  uint16_t factor_step;  // 1: a factor for each output; 0: one for all
  int16_t input_zero_point;
  int16_t output_zero_point;
  int16_t output_min;
  int16_t output_max;
};

// input [row][input] to output [row][output]. They must not overlap.
//
//   output = clamp(zero point + round(double(acc) * factor), min, max), ties away from zero
//
// The reference rescales this operator, and no other, in double precision, and so do we: an integer multiplier differs
// by one now and then. That is one product an output, in libgcc's routines where the processor has none for double.
// Source: TensorFlow Lite, kernels/internal/reference/integer_ops/fully_connected.h, the forms that take scales.
void fully_connected(const FullyConnectedParams& params, const int8_t* input, int8_t* output);

}  // namespace danas::aot
