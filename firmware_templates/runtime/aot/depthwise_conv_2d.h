// SPDX-License-Identifier: MIT
// DEPTHWISE_CONV_2D: each input channel has its own filters, as many as the depth multiplier says.
//
//   output = clamp(zero point + rescale(bias + sum of weight * (input - input zero point)), min, max)
//
// Taps outside the image count as the zero point. No partial sum may leave 32 bits; the renderer checks that.
// Source: TensorFlow Lite, kernels/internal/reference/integer_ops/depthwise_conv.h, DepthwiseConvPerChannel.
#pragma once

#include <cstdint>

#include "block.h"
#include "model_features.h"
#include "requantize.h"
#include "rows.h"
#include "window.h"

namespace danas::aot {

// The stream in the forms relu and linear, for a depth multiplier of 1 and a multiple of four channels, is one of words,
// group of four channels after group. Of each channel it has the pairs of weights, two a word, and the two words of
// requantize.h's Channel; behind the four channels, where the kernel's height is odd, the bytes of its last row,
// [channel][kernel column]. A pair is the weights of kernel rows 2r and 2r + 1 in one column; pairs come in the order
// [r][kernel column]. A word holds, from its low byte on, the first weight of a pair, that of the next pair, and the
// second weight of both. A 3x3 kernel at a stride of 1 or 2 has the first two bytes of its last row in the second word's free half, and only
// the third ones at the end.
// In the form plain, for everything else, it has the PlainChannels with the model's biases, then the weights,
// [kernel row][kernel column][output channel].
struct DepthwiseConv2dParams {
  const uint32_t* stream;
  Window window;  // output channels = depth multiplier * input channels
  int8_t input_zero_point;
  int8_t output_zero_point;
  int8_t output_min;
  int8_t output_max;
  Form form;
  uint8_t block;  // pixels that are made of one transposed block of the image: 4, 8, 12 or 16

  // Whether a fused activation is narrower than saturation.
  constexpr bool clamped() const { return output_min > INT8_MIN || output_max < INT8_MAX; }

  // Whether depthwise_3x3.h has loops for the window.
  constexpr bool is_3x3() const {
    return window.kernel_height == 3 && window.kernel_width == 3 && window.stride_width <= 2;
  }
};

// Row y of the output. Scratch holds (block - 1) * horizontal stride + kernel width columns of four times half the
// kernel's height, rounded up, words; none in the form plain.
void depthwise_conv_2d(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int8_t* output,
                       uint32_t* scratch);

// 1 to 4 pixels of row y from column x on, as pairs of 16-bit numbers for a convolution that reads them (block.h).
// Behind them, from 2 * pixels words for each four channels on, it needs scratch as depthwise_conv_2d does, for a block
// of 4; where the loops for 3x3 kernels do not apply, a word for each four channels and pixel more.
void depthwise_block(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int32_t x, int32_t pixels,
                     uint32_t* scratch);

// Whether what all outputs have in common has been compiled for these parameters; `strides`: of 3x3 kernels.
constexpr bool covered_at(const DepthwiseConv2dParams& params, uint32_t strides) {
  constexpr DepthwiseFeatures kNeeds = kDepthwiseFeatures;
  if (params.form == Form::kPlain) return kNeeds.plain;
  if (params.clamped() && !kNeeds.clamped) return false;
  if (!params.is_3x3()) return kNeeds.other;
  return has(strides, params.window.stride_width) && (params.form == Form::kRelu ? kNeeds.relu : kNeeds.linear);
}

// Whether depthwise_conv_2d has been.
constexpr bool covered(const DepthwiseConv2dParams& params) { return covered_at(params, kDepthwiseFeatures.bytes); }

// Whether depthwise_block has been, for blocks of these sizes.
constexpr bool covered_as_pairs(const DepthwiseConv2dParams& params, uint32_t sizes) {
  const bool spreads = params.form != Form::kPlain && !params.is_3x3();
  return covered_at(params, kDepthwiseFeatures.pairs) && (!spreads || (sizes & ~kBlockFeatures.spread) == 0);
}

}  // namespace danas::aot
