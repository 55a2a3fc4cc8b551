// SPDX-License-Identifier: MIT
#include "separable_conv_2d.h"

namespace danas::aot {

void separable_conv_2d(const DepthwiseConv2dParams& depthwise, const Conv2dParams& pointwise, const Rows& input,
                       int32_t y, int8_t* output, uint32_t* scratch) {
  const int32_t channels = pointwise.window.input_channels;
  int8_t* pixel = reinterpret_cast<int8_t*>(scratch + pointwise.filters.pairs);
  for (int32_t x = 0; x < depthwise.window.output_width; ++x) {
    depthwise_pixel(depthwise, input, y, x, pixel);
    spread_block(pixel, channels, (channels + 3) >> 2, 1, scratch);
    multiply_block(pointwise.filters, scratch, 1, output);
    output += pointwise.filters.outputs;
  }
}

}  // namespace danas::aot
