// SPDX-License-Identifier: MIT
#include "separable_conv_2d.h"

namespace danas::aot {

void separable_conv_2d(const DepthwiseConv2dParams& depthwise, const Conv2dParams& pointwise, const Rows& input,
                       int32_t y, int8_t* output, uint32_t* scratch) {
  int8_t* pixel = reinterpret_cast<int8_t*>(scratch);
  Conv2dParams one = pointwise;
  one.window.input_width = one.window.output_width = one.window.input_height = 1;
  const Rows between{pixel, one.window.input_channels, 1};
  for (int32_t x = 0; x < depthwise.window.output_width; ++x) {
    depthwise_pixel(depthwise, input, y, x, pixel);
    conv_2d(one, between, 0, output, scratch + (one.window.input_channels + 3) / 4);
    output += one.window.output_channels;
  }
}

}  // namespace danas::aot
