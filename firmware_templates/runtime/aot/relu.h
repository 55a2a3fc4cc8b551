// SPDX-License-Identifier: MIT
// RELU and RELU6 of int8, from one quantization to another.
#pragma once

#include <cstdint>

namespace danas::aot {

struct ReluParams {
  uint32_t elements;
  int32_t multiplier;  // input scale / output scale, as multiplier * 2^(shift - 31)
  int8_t shift;
  int8_t input_zero_point;
  int8_t output_zero_point;
  int8_t output_min;  // zero in the output's quantization
  int8_t output_max;  // six there, or the largest value
};

// output = clamp(zero point + rescale(input - input zero point)). The output may be the input.
// Source: TensorFlow Lite, kernels/activations.cc, QuantizedReluX.
void relu(const ReluParams& params, const int8_t* input, int8_t* output);

}  // namespace danas::aot
