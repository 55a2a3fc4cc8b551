// SPDX-License-Identifier: MIT
// CONV_2D: int8 activations, int8 weights, int32 bias, a factor for each output channel.
#pragma once

#include <cstdint>

#include "block.h"
#include "rows.h"
#include "window.h"

namespace danas::aot {

struct Conv2dParams {
  Filters filters;  // the elements of a window go [kernel row][kernel column][input channel], each row filled up to fours
  Window window;
  int8_t input_zero_point;
  uint8_t block;  // the most pixels of a block: 4, 2 or 1
};

// Row y of the output, [column][channel], from an input [row][column][channel].
//
//   output = clamp(zero point + rescale(bias + sum of weight * (input - input zero point)), min, max)
//
// Taps outside the image count as the zero point, so that they add nothing. scratch holds a block (block.h). What a
// block of pixels needs is read before any of its outputs is written, from left to right.
// Source: TensorFlow Lite, kernels/internal/reference/integer_ops/conv.h, ConvPerChannel.
void conv_2d(const Conv2dParams& params, const Rows& input, int32_t y, int8_t* output, uint32_t* scratch);

// Whether it has been compiled for these parameters.
constexpr bool covered(const Conv2dParams& params) {
  const uint32_t sizes = block_sizes(params.window.output_width, params.block);
  return covered(params.filters, sizes) && (sizes & ~kBlockFeatures.spread) == 0;
}

}  // namespace danas::aot
