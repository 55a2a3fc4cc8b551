// SPDX-License-Identifier: MIT
#include "depthwise_conv_2d.h"

#include "fixed_point.h"

namespace danas::aot {
namespace {

constexpr int32_t kBlock = 4;  // adjacent channels that share the walk over the window

// The sums of four channels, or of one, over the part of a window that lies inside the image.
template <int32_t kCount>
inline void accumulate(const DepthwiseConv2dParams& params, const Rows& input, int32_t top, int32_t left,
                       const Span& rows, const Span& columns, int32_t source, int32_t channel, int32_t (&acc)[kCount]) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t filters = window.output_channels;
  for (int32_t i = 0; i < kCount; ++i) acc[i] = params.bias[channel + i];
  for (int32_t tap = rows.begin; tap < rows.end; ++tap) {
    const int8_t* x = row(input, top + tap) + (left + columns.begin) * channels + source;
    const int8_t* w = params.weights + (tap * window.kernel_width + columns.begin) * filters + channel;
    for (int32_t column = columns.begin; column < columns.end; ++column) {
      for (int32_t i = 0; i < kCount; ++i) acc[i] += w[i] * (x[i] - params.input_zero_point);
      x += channels;
      w += filters;
    }
  }
}

inline int8_t finish(const DepthwiseConv2dParams& params, int32_t channel, int32_t acc) {
  const int32_t scaled = rescale(acc, params.multipliers[channel], params.shifts[channel]);
  return static_cast<int8_t>(clamp(scaled + params.output_zero_point, params.output_min, params.output_max));
}

}  // namespace

void depthwise_pixel(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int32_t x, int8_t* output) {
  const Window& window = params.window;
  const int32_t filters = window.output_channels;
  const int32_t depth_multiplier = filters / window.input_channels;
  const int32_t blocked = depth_multiplier == 1 ? filters - filters % kBlock : 0;
  const int32_t top = y * window.stride_height - window.pad_top;
  const Span rows = clip(top, window.kernel_height, window.input_height);
  const int32_t left = x * window.stride_width - window.pad_left;
  const Span columns = clip(left, window.kernel_width, window.input_width);
  int32_t channel = 0;
  for (; channel < blocked; channel += kBlock) {
    int32_t acc[kBlock];
    accumulate(params, input, top, left, rows, columns, channel, channel, acc);
    for (int32_t i = 0; i < kBlock; ++i) *output++ = finish(params, channel + i, acc[i]);
  }
  for (; channel < filters; ++channel) {
    int32_t acc[1];
    accumulate(params, input, top, left, rows, columns, channel / depth_multiplier, channel, acc);
    *output++ = finish(params, channel, acc[0]);
  }
}

void depthwise_conv_2d(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int8_t* output) {
  for (int32_t x = 0; x < params.window.output_width; ++x) {
    depthwise_pixel(params, input, y, x, output);
    output += params.window.output_channels;
  }
}

}  // namespace danas::aot
