// SPDX-License-Identifier: MIT
// DEPTHWISE_CONV_2D and the 1x1 CONV_2D that alone reads it, with a few pixels between them.
#pragma once

#include <cstdint>

#include "conv_2d.h"
#include "depthwise_conv_2d.h"
#include "rows.h"

namespace danas::aot {

// One row of the 1x1 convolution's output from the rows of the depthwise convolution's input.
void separable_conv_2d(const DepthwiseConv2dParams& depthwise, const Conv2dParams& pointwise, const Rows& input,
                       int32_t y, int8_t* output, uint32_t* scratch);

// Whether it has been compiled for these parameters.
constexpr bool covered(const DepthwiseConv2dParams& depthwise, const Conv2dParams& pointwise) {
  const uint32_t sizes = block_sizes(depthwise.window.output_width, pointwise.block);
  return covered_as_pairs(depthwise, sizes) && covered(pointwise.filters, sizes);
}

}  // namespace danas::aot
