// SPDX-License-Identifier: MIT
#include "depthwise_conv_2d.h"

#include "fixed_point.h"

namespace danas::aot {

void depthwise_conv_2d(const DepthwiseConv2dParams& params, const int8_t* input, int8_t* output) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t filters = window.output_channels;
  const int32_t input_row = window.input_width * channels;
  const int32_t kernel_row = window.kernel_width * filters;
  const int32_t depth_multiplier = filters / channels;
  const int32_t zero_point = params.input_zero_point;

  for (int32_t y = 0; y < window.output_height; ++y) {
    const int32_t top = y * window.stride_height - window.pad_top;
    const Span rows = clip(top, window.kernel_height, window.input_height);
    for (int32_t x = 0; x < window.output_width; ++x) {
      const int32_t left = x * window.stride_width - window.pad_left;
      const Span columns = clip(left, window.kernel_width, window.input_width);
      const int32_t width = columns.end - columns.begin;
      const int8_t* patch = input + (top + rows.begin) * input_row + (left + columns.begin) * channels;
      const int8_t* weights = params.weights + rows.begin * kernel_row + columns.begin * filters;

      int32_t channel = 0;
      for (int32_t source = 0; source < channels; ++source) {
        for (int32_t copy = 0; copy < depth_multiplier; ++copy, ++channel) {
          int32_t acc = params.bias[channel];
          const int8_t* image_row = patch + source;
          const int8_t* taps_row = weights + channel;
          for (int32_t row = rows.begin; row < rows.end; ++row) {
            const int8_t* image = image_row;
            const int8_t* taps = taps_row;
            for (int32_t column = 0; column < width; ++column) {
              acc += *taps * (*image - zero_point);
              image += channels;
              taps += filters;
            }
            image_row += input_row;
            taps_row += kernel_row;
          }
          const int32_t scaled = rescale(acc, params.multipliers[channel], params.shifts[channel]);
          *output++ =
              static_cast<int8_t>(clamp(scaled + params.output_zero_point, params.output_min, params.output_max));
        }
      }
    }
  }
}

}  // namespace danas::aot
