// SPDX-License-Identifier: MIT
#include "max_pool_2d.h"

#include <cstring>

#include "requantize.h"
#include "simd.h"

namespace danas::aot {

void max_pool_2d(const MaxPool2dParams& params, const Rows& input, int32_t y, int8_t* output) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t top = y * window.stride_height - window.pad_top;
  const Span rows = clip(top, window.kernel_height, window.input_height);
  int8_t* const first = output;
  for (int32_t x = 0; x < window.output_width; ++x) {
    const int32_t left = x * window.stride_width - window.pad_left;
    const Span columns = clip(left, window.kernel_width, window.input_width);
    int32_t channel = 0;
    for (; channel + 4 <= channels; channel += 4) {
      uint32_t largest = 0x80808080;
      for (int32_t tap = rows.begin; tap < rows.end; ++tap) {
        const int8_t* image = row(input, top + tap) + (left + columns.begin) * channels + channel;
        for (int32_t n = columns.end - columns.begin; n > 0; --n) {
          largest = larger_bytes(largest, load_word(image));
          image += channels;
        }
      }
      std::memcpy(output, &largest, sizeof largest);
      output += sizeof largest;
    }
    for (; channel < channels; ++channel) {
      int8_t largest = INT8_MIN;
      for (int32_t tap = rows.begin; tap < rows.end; ++tap) {
        const int8_t* image = row(input, top + tap) + (left + columns.begin) * channels + channel;
        for (int32_t n = columns.end - columns.begin; n > 0; --n) {
          if (*image > largest) largest = *image;
          image += channels;
        }
      }
      *output++ = largest;
    }
  }
  if (params.output_min > INT8_MIN || params.output_max < INT8_MAX) {
    clamp_row(first, window.output_width * channels, params.output_min, params.output_max);
  }
}

}  // namespace danas::aot
