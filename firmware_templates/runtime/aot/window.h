// SPDX-License-Identifier: MIT
// What convolutions and pools have in common: a window that moves over an image [row][column][channel].
#pragma once

#include <cstdint>

namespace danas::aot {

// Padding is that of the top and the left; what the window needs at the bottom and the right follows from the sizes.
struct Window {
  uint16_t input_height;
  uint16_t input_width;
  uint16_t input_channels;
  uint16_t output_height;
  uint16_t output_width;
  uint16_t output_channels;
  uint16_t kernel_height;
  uint16_t kernel_width;
  uint16_t stride_height;
  uint16_t stride_width;
  uint16_t pad_top;
  uint16_t pad_left;
};

// The part [begin, end) of a kernel's rows (or columns) that lies inside the image.
struct Span {
  int32_t begin;
  int32_t end;
};

// The span of a kernel of `kernel` rows whose first row lies at `origin` of an image of `size` rows.
inline Span clip(int32_t origin, int32_t kernel, int32_t size) {
  return Span{origin < 0 ? -origin : 0, kernel < size - origin ? kernel : size - origin};
}

}  // namespace danas::aot
