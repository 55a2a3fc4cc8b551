// SPDX-License-Identifier: MIT
#include "average_pool_2d.h"

#include "fixed_point.h"

namespace danas::aot {

void average_pool_2d(const AveragePool2dParams& params, const int8_t* input, int8_t* output) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t input_row = window.input_width * channels;

  for (int32_t y = 0; y < window.output_height; ++y) {
    const int32_t top = y * window.stride_height - window.pad_top;
    const Span rows = clip(top, window.kernel_height, window.input_height);
    for (int32_t x = 0; x < window.output_width; ++x) {
      const int32_t left = x * window.stride_width - window.pad_left;
      const Span columns = clip(left, window.kernel_width, window.input_width);
      const int32_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
      const int8_t* patch = input + (top + rows.begin) * input_row + (left + columns.begin) * channels;
      for (int32_t channel = 0; channel < channels; ++channel) {
        int32_t sum = 0;
        const int8_t* image_row = patch + channel;
        for (int32_t row = rows.begin; row < rows.end; ++row) {
          const int8_t* image = image_row;
          for (int32_t column = columns.begin; column < columns.end; ++column) {
            sum += *image;
            image += channels;
          }
          image_row += input_row;
        }
        const int32_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
        *output++ = static_cast<int8_t>(clamp(mean, params.output_min, params.output_max));
      }
    }
  }
}

}  // namespace danas::aot
