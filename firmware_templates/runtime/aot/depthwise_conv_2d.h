// SPDX-License-Identifier: MIT
// DEPTHWISE_CONV_2D: each input channel has its own filters, as many as the depth multiplier says.
#pragma once

#include <cstdint>

#include "rows.h"
#include "window.h"

namespace danas::aot {

struct DepthwiseConv2dParams {
  const int8_t* weights;       // [kernel row][kernel column][output channel]
  const int32_t* bias;         // [output channel]
  const int32_t* multipliers;  // [output channel]
  const int8_t* shifts;        // [output channel]
  Window window;               // output channels = depth multiplier * input channels
  int16_t input_zero_point;
  int16_t output_zero_point;
  int16_t output_min;
  int16_t output_max;
};

// As conv_2d, with output channel c taken from input channel c / depth multiplier.
// Source: TensorFlow Lite, kernels/internal/reference/integer_ops/depthwise_conv.h, DepthwiseConvPerChannel.
void depthwise_conv_2d(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int8_t* output);

// The same for the pixel in column x.
void depthwise_pixel(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int32_t x, int8_t* output);

}  // namespace danas::aot
