// SPDX-License-Identifier: MIT
// A block of pixels times the filters of a layer: the part that every convolution has, whatever its windows are.
//
// A block is 4, 3, 2 or 1 pixels. The elements of each pixel's window lie in scratch as pairs (simd.h), pixel by pixel:
//
//   scratch[k * pixels + pixel] = pair k of the pixel
//
// where the elements 4g .. 4g + 3 of a window make the pairs 2g = (4g, 4g + 2) and 2g + 1 = (4g + 1, 4g + 3): what one
// load and two instructions give. A window has a whole number of fours; what fills it up meets weights of zero.
#pragma once

#include <cstdint>

#include "model_features.h"
#include "requantize.h"

namespace danas::aot {

// What multiplies the windows is one stream of words, in the order of reading (pipeline/firmware/lowering/packing.py).
//
// In the forms relu and linear two output channels share a word of weights. For the channels 2j and 2j + 1:
//
//   the `packed` of both (requantize.h, Channel); for each pair of elements the pair of a + 256 * b, a being the weight
//   of the first and b that of the second channel; the multipliers of both
//
// A product with such a word gives S_a + 256 * S_b, one with its low bytes S_a. An odd number of channels ends with one
// whose weights are zero. In the form plain, for each channel:
//
//   its bias; for each four elements their weights as bytes; its multiplier; its shift
struct Filters {
  const uint32_t* stream;
  uint16_t pairs;    // of elements in a window, even, not 0
  uint16_t outputs;  // channels
  Form form;
  int8_t zero_point;
  int8_t output_min;
  int8_t output_max;

  // Whether a fused activation is narrower than saturation.
  constexpr bool clamped() const { return output_min > INT8_MIN || output_max < INT8_MAX; }
};

// The size of the next block where `left` pixels are to be made, in blocks of `most` (4, 2 or 1) at most. Blocks of four
// and of three cost alike for each pixel, smaller ones more: 5 is 3 + 2, 6 is 3 + 3, 9 three times 3.
constexpr int32_t block_pixels(int32_t left, int32_t most) {
  const int32_t pixels = left == 5 || left == 6 || left == 9 ? 3 : left;
  return pixels < most ? pixels : most;
}

// The sizes of all blocks of a row of `width` pixels.
constexpr uint32_t block_sizes(int32_t width, int32_t most) {
  uint32_t sizes = 0;
  while (width > 0) {
    const int32_t pixels = block_pixels(width, most);
    sizes |= bit(pixels);
    width -= pixels;
  }
  return sizes;
}

// Whether multiply_block has been compiled for these filters and blocks of these sizes.
constexpr bool covered(const Filters& filters, uint32_t sizes) {
  if (filters.clamped() && !kBlockFeatures.clamped) return false;
  if (filters.form == Form::kPlain) return kBlockFeatures.plain;
  return (sizes & ~(filters.form == Form::kRelu ? kBlockFeatures.relu : kBlockFeatures.linear)) == 0;
}

// The outputs of a block, [pixel][channel].
void multiply_block(const Filters& filters, const uint32_t* scratch, int32_t pixels, int8_t* output);

// Puts 4 * words bytes of each pixel of a block into scratch as pairs, and returns the place after them. Pixel p's bytes
// begin at source + p * stride; nothing else is read.
uint32_t* spread_block(const int8_t* source, int32_t stride, int32_t words, int32_t pixels, uint32_t* scratch);

}  // namespace danas::aot
