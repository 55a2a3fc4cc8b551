// SPDX-License-Identifier: MIT
// DEPTHWISE_CONV_2D: each input channel has its own filters, as many as the depth multiplier says.
//
//   output = clamp(zero point + rescale(bias + sum of weight * (input - input zero point)), min, max)
//
// Taps outside the image count as the zero point. No partial sum may leave 32 bits; the renderer checks that.
// Source: TensorFlow Lite, kernels/internal/reference/integer_ops/depthwise_conv.h, DepthwiseConvPerChannel.
#pragma once

#include <cstdint>

#include "requantize.h"
#include "rows.h"
#include "window.h"

namespace danas::aot {

// For a depth multiplier of 1 and a multiple of four channels, one after another group of four.
struct DepthwiseConv2dParams {
  // Of a group: its four channels' pairs, two pairs a word, then, where the kernel's height is odd, the bytes of the
  // last kernel row, [channel][kernel column]. A pair is the weights of two kernel rows, 2r and 2r + 1, in one column;
  // pairs come in the order [r][kernel column]. A word holds, from its low byte on, the first weight of a pair and of
  // the next one, then the second weight of both. 3x3 kernels have their first two bytes of the last row in the second
  // word's free half, and their third ones alone at the end.
  const void* weights;   // words
  const void* channels;  // Channel, one a channel
  Window window;
  int8_t input_zero_point;
  int8_t output_zero_point;
  int8_t output_min;
  int8_t output_max;
  Form form;      // relu or linear
  uint8_t block;  // pixels that are made of one transposed block of the image: 4, 8, 12 or 16
};

// Row y of the output. `scratch` holds (block - 1) * horizontal stride + kernel width columns of four times half the
// kernel's height, rounded up, words.
void depthwise_conv_2d(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int8_t* output,
                       uint32_t* scratch);

// 1, 2 or 4 pixels of row y from column x on, as pairs of 16-bit numbers for a convolution that reads them:
// scratch[k * pixels + pixel] is pair k of a pixel; elements 4g, 4g + 2 make pair 2g, and 4g + 1, 4g + 3 pair 2g + 1.
// Behind them, from channels / 2 * pixels words on, it needs what depthwise_conv_2d needs for a block of 4.
void depthwise_block(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int32_t x, int32_t pixels,
                     uint32_t* scratch);

// For any depth multiplier and number of channels, and for factors that no short form covers.
struct DepthwiseConv2dPlainParams {
  const int8_t* weights;         // [kernel row][kernel column][output channel]
  const void* channels;          // PlainChannel, one an output channel; the bias is the model's
  Window window;                 // output channels = depth multiplier * input channels
  int8_t input_zero_point;
  int8_t output_zero_point;
  int8_t output_min;
  int8_t output_max;
};

// Row y of the output.
void depthwise_conv_2d_plain(const DepthwiseConv2dPlainParams& params, const Rows& input, int32_t y, int8_t* output);

}  // namespace danas::aot
