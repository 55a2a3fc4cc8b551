// SPDX-License-Identifier: MIT
// Sums over an image, channel by channel, row after row.
#pragma once

#include <cstdint>

#include "simd.h"

namespace danas::aot {

// Adds a row of `width` pixels to the sums of its channels; the first row begins them.
inline void add_row(const int8_t* row, int32_t width, int32_t channels, bool first, int32_t* sums) {
  constexpr int32_t kMost = 255;  // pixels whose sum fits 16 bits
  for (; width > 0; width -= kMost) {
    const int32_t pixels = width < kMost ? width : kMost;
    int32_t channel = 0;
    for (; channel + 4 <= channels; channel += 4) {
      uint32_t even = 0;
      uint32_t odd = 0;
      const int8_t* x = row + channel;
      for (int32_t n = pixels; n > 0; --n) {
        const uint32_t word = load_word(x);
        even = sxtab16(even, word);
        odd = sxtab16_ror8(odd, word);
        x += channels;
      }
      int32_t* const place = sums + channel;
      place[0] = (first ? 0 : place[0]) + static_cast<int16_t>(even);
      place[1] = (first ? 0 : place[1]) + static_cast<int16_t>(odd);
      place[2] = (first ? 0 : place[2]) + static_cast<int16_t>(even >> 16);
      place[3] = (first ? 0 : place[3]) + static_cast<int16_t>(odd >> 16);
    }
    for (; channel < channels; ++channel) {
      int32_t sum = first ? 0 : sums[channel];
      for (int32_t n = 0; n < pixels; ++n) sum += row[n * channels + channel];
      sums[channel] = sum;
    }
    row += pixels * channels;
    first = false;
  }
}

}  // namespace danas::aot
