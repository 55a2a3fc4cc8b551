// SPDX-License-Identifier: MIT
#include "max_pool_2d.h"

#include "fixed_point.h"

namespace danas::aot {

void max_pool_2d(const MaxPool2dParams& params, const Rows& input, int32_t y, int8_t* output) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t top = y * window.stride_height - window.pad_top;
  const Span rows = clip(top, window.kernel_height, window.input_height);
  for (int32_t x = 0; x < window.output_width; ++x) {
    const int32_t left = x * window.stride_width - window.pad_left;
    const Span columns = clip(left, window.kernel_width, window.input_width);
    for (int32_t channel = 0; channel < channels; ++channel) {
      int32_t largest = INT8_MIN;
      for (int32_t tap = rows.begin; tap < rows.end; ++tap) {
        const int8_t* image = row(input, top + tap) + (left + columns.begin) * channels + channel;
        for (int32_t column = columns.begin; column < columns.end; ++column) {
          if (*image > largest) largest = *image;
          image += channels;
        }
      }
      *output++ = static_cast<int8_t>(clamp(largest, params.output_min, params.output_max));
    }
  }
}

}  // namespace danas::aot
