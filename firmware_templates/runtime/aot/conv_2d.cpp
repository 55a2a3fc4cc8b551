// SPDX-License-Identifier: MIT
#include "conv_2d.h"

namespace danas::aot {
namespace {

// One pixel of a block where its bytes, from `begin` on, may lie outside a row of `size` bytes.
void spread_edge(const int8_t* source, int32_t size, int32_t begin, int32_t words, int8_t outside, int32_t pixels,
                 uint32_t* scratch) {
  for (int32_t end = begin + 4 * words; begin != end; begin += 4) {
    int8_t bytes[4] = {outside, outside, outside, outside};
    if (begin >= 0 && begin <= size - 4) {
      std::memcpy(bytes, source + begin, 4);
    } else if (begin > -4 && begin < size) {
      for (int32_t i = 0; i < 4; ++i) {
        if (begin + i >= 0 && begin + i < size) bytes[i] = source[begin + i];
      }
    }
    const uint32_t word = load_word(bytes);
    scratch[0] = sxtb16(word);
    scratch[pixels] = sxtb16_ror8(word);
    scratch += 2 * pixels;
  }
}

}  // namespace

void conv_2d(const Conv2dParams& params, const Rows& input, int32_t y, int8_t* output, uint32_t* scratch) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t size = window.input_width * channels;
  const int32_t step = window.stride_width * channels;
  const int32_t words = (window.kernel_width * channels + 3) >> 2;
  const int32_t top = y * window.stride_height - window.pad_top;
  const Span inside = clip(top, window.kernel_height, window.input_height);
  const int8_t* const ring_end = input.base + input.kept * input.bytes;
  const int8_t* const first = row(input, top + inside.begin);

  int32_t left = -window.pad_left * channels;
  for (int32_t x = 0; x < window.output_width;) {
    const int32_t pixels = block_pixels(window.output_width - x);
    const bool whole = left >= 0 && left + (pixels - 1) * step + 4 * words <= size;
    uint32_t* place = scratch;
    const int8_t* source = first;
    for (int32_t kernel_row = 0; kernel_row < window.kernel_height; ++kernel_row) {
      const bool image = kernel_row >= inside.begin && kernel_row < inside.end;
      if (image && whole) {
        place = spread_block(source + left, step, words, pixels, place);
      } else {
        // Above and below the image, every byte lies outside a row of none.
        for (int32_t i = 0; i < pixels; ++i) {
          spread_edge(source, image ? size : 0, left + i * step, words, params.input_zero_point, pixels, place + i);
        }
        place += 2 * words * pixels;
      }
      if (image) {
        source += input.bytes;
        if (source == ring_end) source = input.base;
      }
    }
    multiply_block(params.filters, scratch, pixels, output);
    output += pixels * params.filters.outputs;
    left += pixels * step;
    x += pixels;
  }
}

}  // namespace danas::aot
