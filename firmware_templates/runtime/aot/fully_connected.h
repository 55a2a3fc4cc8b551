// SPDX-License-Identifier: MIT
// FULLY_CONNECTED: int8 activations and weights, int32 bias, a factor for each output or one for all.
#pragma once

#include <cstdint>

namespace danas::aot {

struct FullyConnectedParams {
  const int8_t* weights;       // [output][input]
  const int32_t* bias;         // [output]
  const int32_t* multipliers;  // [output], or one where factor_step is 0
  const int8_t* shifts;        // the same
  uint16_t rows;               // input vectors
  uint16_t inputs;
  uint16_t outputs;
  uint8_t factor_step;  // 1: a factor for each output; 0: one for all
  int8_t input_zero_point;
  int8_t output_zero_point;
  int8_t output_min;
  int8_t output_max;
};

// input [row][input] to output [row][output]. They must not overlap.
//
//   output = clamp(zero point + rescale(acc), min, max)
//
// This is TensorFlow Lite Micro's arithmetic, in integers as that of a convolution. LiteRT rescales this operator, and
// no other, in double precision, and differs by one now and then.
// Source: TensorFlow Lite Micro, kernels/internal/reference/integer_ops/fully_connected.h, the forms that take
// multipliers.
void fully_connected(const FullyConnectedParams& params, const int8_t* input, int8_t* output);

}  // namespace danas::aot
