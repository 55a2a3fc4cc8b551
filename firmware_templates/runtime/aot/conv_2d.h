// SPDX-License-Identifier: MIT
// CONV_2D: int8 activations, int8 weights, int32 bias, a factor for each output channel.
#pragma once

#include <cstdint>

#include "rows.h"
#include "window.h"

namespace danas::aot {

struct Conv2dParams {
  const int8_t* weights;       // [output channel][kernel row][kernel column][input channel]
  const int32_t* bias;         // [output channel]
  const int32_t* multipliers;  // [output channel]
  const int8_t* shifts;        // [output channel]
  Window window;
  int16_t input_zero_point;
  int16_t output_zero_point;
  int16_t output_min;
  int16_t output_max;
};

// input [row][column][channel] to output of the same form. They must not overlap.
//
//   output = clamp(zero point + rescale(bias + sum of weight * (input - input zero point)), min, max)
//
// Taps outside the image count as zero. No partial sum may leave 32 bits; the renderer checks that.
// Source: TensorFlow Lite, kernels/internal/reference/integer_ops/conv.h, ConvPerChannel.
void conv_2d(const Conv2dParams& params, const Rows& input, int32_t y, int8_t* output, uint32_t* scratch);

}  // namespace danas::aot
