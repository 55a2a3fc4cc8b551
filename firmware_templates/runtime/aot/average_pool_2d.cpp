// SPDX-License-Identifier: MIT
#include "average_pool_2d.h"

#include "fixed_point.h"

namespace danas::aot {

void average_pool_2d(const AveragePool2dParams& params, const Rows& input, int32_t y, int8_t* output) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t top = y * window.stride_height - window.pad_top;
  const Span rows = clip(top, window.kernel_height, window.input_height);
  for (int32_t x = 0; x < window.output_width; ++x) {
    const int32_t left = x * window.stride_width - window.pad_left;
    const Span columns = clip(left, window.kernel_width, window.input_width);
    const int32_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
    for (int32_t channel = 0; channel < channels; ++channel) {
      int32_t sum = 0;
      for (int32_t tap = rows.begin; tap < rows.end; ++tap) {
        const int8_t* image = row(input, top + tap) + (left + columns.begin) * channels + channel;
        for (int32_t column = columns.begin; column < columns.end; ++column) {
          sum += *image;
          image += channels;
        }
      }
      const int32_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
      *output++ = static_cast<int8_t>(clamp(mean, params.output_min, params.output_max));
    }
  }
}

void average_of_rows(const AveragePool2dParams& params, const int8_t* row, int32_t y, int32_t* sums, int8_t* output) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  if (y == 0) {
    for (int32_t channel = 0; channel < channels; ++channel) sums[channel] = 0;
  }
  for (int32_t x = 0; x < window.input_width; ++x) {
    for (int32_t channel = 0; channel < channels; ++channel) sums[channel] += *row++;
  }
  if (y + 1 < window.input_height) return;
  const int32_t count = window.input_height * window.input_width;
  for (int32_t channel = 0; channel < channels; ++channel) {
    const int32_t sum = sums[channel];
    const int32_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
    output[channel] = static_cast<int8_t>(clamp(mean, params.output_min, params.output_max));
  }
}

}  // namespace danas::aot
