// SPDX-License-Identifier: MIT
#include "separable_conv_2d.h"

namespace danas::aot {

void separable_conv_2d(const DepthwiseConv2dParams& depthwise, const Conv2dParams& pointwise, const Rows& input,
                       int32_t y, int8_t* output, uint32_t* scratch) {
  const int32_t width = depthwise.window.output_width;
  for (int32_t x = 0; x < width;) {
    const int32_t pixels = block_pixels(width - x, pointwise.block);
    depthwise_block(depthwise, input, y, x, pixels, scratch);
    multiply_block(pointwise.filters, scratch, pixels, output);
    output += pixels * pointwise.filters.outputs;
    x += pixels;
  }
}

}  // namespace danas::aot
