// SPDX-License-Identifier: MIT
#include "conv_2d.h"

namespace danas::aot {
namespace {

// Four bytes of which some may lie outside a row of `size` bytes.
inline uint32_t edge_word(const int8_t* source, int32_t size, int32_t begin, int8_t outside) {
  int8_t bytes[4];
  for (int32_t i = 0; i < 4; ++i) bytes[i] = begin + i >= 0 && begin + i < size ? source[begin + i] : outside;
  return load_word(bytes);
}

// One pixel of a block where its bytes, from `begin` on, may lie outside a row of `size` bytes.
void spread_edge(const int8_t* source, int32_t size, int32_t begin, int32_t words, int8_t outside, int32_t pixels,
                 uint32_t* scratch) {
  const uint32_t outside_pair = static_cast<uint16_t>(outside) * 0x10001U;
  const int32_t step = 2 * pixels;
  for (const int32_t end = begin + 4 * words; begin != end; scratch += step) {
    if (begin <= -4 || begin >= size) {
      scratch[0] = scratch[pixels] = outside_pair;
      begin += 4;
      continue;
    }
    if (begin >= 0 && begin + 4 <= size) {
      const int32_t last = end < size - 3 ? end : size - 3;
      do {
        const uint32_t word = load_word(source + begin);
        begin += 4;
        scratch[0] = sxtb16(word);
        scratch[pixels] = sxtb16_ror8(word);
        scratch += step;
      } while (begin < last);
      scratch -= step;
      continue;
    }
    const uint32_t word = edge_word(source, size, begin, outside);
    scratch[0] = sxtb16(word);
    scratch[pixels] = sxtb16_ror8(word);
    begin += 4;
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
    const int32_t pixels = block_pixels(window.output_width - x, params.block);
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
