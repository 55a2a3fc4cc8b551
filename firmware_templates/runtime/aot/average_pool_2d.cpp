// SPDX-License-Identifier: MIT
#include "average_pool_2d.h"

#include "fixed_point.h"
#include "row_sums.h"
#include "simd.h"

namespace danas::aot {
namespace {

inline int8_t average(const AveragePool2dParams& params, int32_t sum, int32_t count) {
  const int32_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
  return static_cast<int8_t>(clamp(mean, params.output_min, params.output_max));
}

}  // namespace

void average_pool_2d(const AveragePool2dParams& params, const Rows& input, int32_t y, int8_t* output) {
  constexpr int32_t kMost = 255;  // values whose sum fits 16 bits
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t top = y * window.stride_height - window.pad_top;
  const Span rows = clip(top, window.kernel_height, window.input_height);
  for (int32_t x = 0; x < window.output_width; ++x) {
    const int32_t left = x * window.stride_width - window.pad_left;
    const Span columns = clip(left, window.kernel_width, window.input_width);
    const int32_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
    int32_t channel = 0;
    for (; channel + 4 <= channels && count <= kMost; channel += 4) {
      uint32_t even = 0;
      uint32_t odd = 0;
      for (int32_t tap = rows.begin; tap < rows.end; ++tap) {
        const int8_t* image = row(input, top + tap) + (left + columns.begin) * channels + channel;
        for (int32_t n = columns.end - columns.begin; n > 0; --n) {
          const uint32_t word = load_word(image);
          even = sxtab16(even, word);
          odd = sxtab16_ror8(odd, word);
          image += channels;
        }
      }
      *output++ = average(params, static_cast<int16_t>(even), count);
      *output++ = average(params, static_cast<int16_t>(odd), count);
      *output++ = average(params, static_cast<int16_t>(even >> 16), count);
      *output++ = average(params, static_cast<int16_t>(odd >> 16), count);
    }
    for (; channel < channels; ++channel) {
      int32_t sum = 0;
      for (int32_t tap = rows.begin; tap < rows.end; ++tap) {
        const int8_t* image = row(input, top + tap) + (left + columns.begin) * channels + channel;
        for (int32_t n = columns.end - columns.begin; n > 0; --n) {
          sum += *image;
          image += channels;
        }
      }
      *output++ = average(params, sum, count);
    }
  }
}

void average_of_rows(const AveragePool2dParams& params, const int8_t* row, int32_t y, int32_t* sums, int8_t* output) {
  const Window& window = params.window;
  add_row(row, window.input_width, window.input_channels, y == 0, sums);
  if (y + 1 < window.input_height) return;
  const int32_t count = window.input_height * window.input_width;
  for (int32_t channel = 0; channel < window.input_channels; ++channel) {
    output[channel] = average(params, sums[channel], count);
  }
}

}  // namespace danas::aot
