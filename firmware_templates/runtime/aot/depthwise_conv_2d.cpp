// SPDX-License-Identifier: MIT
#include "depthwise_conv_2d.h"

#include "fixed_point.h"
#include "simd.h"

namespace danas::aot {
namespace {

constexpr int32_t kGroup = 4;         // channels that come in one word of an image
constexpr int32_t kLargestKernel = 16;  // rows of a kernel

// What the blocks of one output row have in common: the rows under the kernel, and which of them lie outside the image.
struct Taps {
  const int8_t* rows[kLargestKernel];  // for a row outside, any row inside
  Span inside;
};

Taps taps_of(const Window& window, const Rows& input, int32_t y) {
  const int32_t top = y * window.stride_height - window.pad_top;
  Taps taps;
  taps.inside = clip(top, window.kernel_height, window.input_height);
  for (int32_t i = 0; i < window.kernel_height; ++i) {
    taps.rows[i] = row(input, top + clamp(i, taps.inside.begin, taps.inside.end - 1));
  }
  return taps;
}

// A block transposed: [column][channel of the group][half the kernel's height, rounded up] pairs. A pair is the values
// of kernel rows 2r and 2r + 1; the second of a last odd row is anything.
struct Block {
  uint32_t* pairs;
  Span inside;      // columns of the block that lie in the image
  int32_t columns;  // all columns
};

#ifdef __ARM_FEATURE_DSP

// Transposes `columns` columns of three rows, `step` bytes apart: eight words each.
inline void transpose_3(const int8_t* row_0, const int8_t* row_1, const int8_t* row_2, int32_t step, int32_t columns,
                        uint32_t* pairs) {
  const uint32_t* end = pairs + 8 * columns;
  __asm__ volatile(
      "1:\n"
      "ldr r4, [%[row]]\n"
      "ldr r8, [%[row], %[second]]\n"
      "ldr r5, [%[row], %[third]]\n"
      "add %[row], %[step]\n"
      "pkhbt r6, r4, r8, lsl #16\n"
      "pkhtb r10, r8, r4, asr #16\n"
      "sxtb16 r7, r5, ror #8\n"
      "sxtb16 r5, r5\n"
      "sxtb16 r4, r6\n"
      "sxtb16 r6, r6, ror #8\n"
      "sxtb16 r8, r10\n"
      "sxtb16 r10, r10, ror #8\n"
      "asr r9, r5, #16\n"
      "asr r11, r7, #16\n"
      "stm %[pairs]!, {r4-r11}\n"
      "cmp %[pairs], %[end]\n"
      "bne 1b\n"
      : [row] "+r"(row_0), [pairs] "+r"(pairs)
      : [second] "r"(row_1 - row_0), [third] "r"(row_2 - row_0), [step] "r"(step), [end] "r"(end)
      : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "cc", "memory");
}

#else

inline void transpose_3(const int8_t* row_0, const int8_t* row_1, const int8_t* row_2, int32_t step, int32_t columns,
                        uint32_t* pairs) {
  for (; columns > 0; --columns) {
    const uint32_t first = load_word(row_0);
    const uint32_t second = load_word(row_1);
    const uint32_t third = load_word(row_2);
    const uint32_t low = pkhbt_lsl16(first, second);
    const uint32_t high = pkhtb_asr16(second, first);
    const uint32_t even = sxtb16(third);
    const uint32_t odd = sxtb16_ror8(third);
    pairs[0] = sxtb16(low);
    pairs[1] = even;
    pairs[2] = sxtb16_ror8(low);
    pairs[3] = odd;
    pairs[4] = sxtb16(high);
    pairs[5] = even >> 16;
    pairs[6] = sxtb16_ror8(high);
    pairs[7] = odd >> 16;
    pairs += 8;
    row_0 += step;
    row_1 += step;
    row_2 += step;
  }
}

#endif

// Transposes two rows (or a last one with itself): words that lie `height` apart.
void transpose_2(const int8_t* row_0, const int8_t* row_1, int32_t step, int32_t columns, uint32_t* pairs,
                 int32_t height) {
  for (; columns > 0; --columns) {
    const uint32_t first = load_word(row_0);
    const uint32_t second = load_word(row_1);
    const uint32_t low = pkhbt_lsl16(first, second);
    const uint32_t high = pkhtb_asr16(second, first);
    *pairs = sxtb16(low);
    pairs += height;
    *pairs = sxtb16_ror8(low);
    pairs += height;
    *pairs = sxtb16(high);
    pairs += height;
    *pairs = sxtb16_ror8(high);
    pairs += height;
    row_0 += step;
    row_1 += step;
  }
}

// Writes the zero point where rows and columns of the block lie outside the image.
void pad(const Window& window, int32_t zero_point, const Span& rows, const Block& block) {
  const int32_t height = (window.kernel_height + 1) / 2;
  const uint32_t value = static_cast<uint16_t>(zero_point) * 0x10001U;
  const int32_t words = kGroup * height;
  for (int32_t i = 0; i < window.kernel_height; ++i) {
    if (i >= rows.begin && i < rows.end) continue;
    uint32_t* word = block.pairs + block.inside.begin * words + i / 2;
    for (int32_t n = kGroup * (block.inside.end - block.inside.begin); n > 0; --n) {
      *word = i % 2 == 0 ? pkhbt(value, *word) : pkhbt(*word, value);
      word += height;
    }
  }
  for (uint32_t* word = block.pairs + block.inside.begin * words; word != block.pairs;) *--word = value;
  uint32_t* const end = block.pairs + block.columns * words;
  for (uint32_t* word = block.pairs + block.inside.end * words; word != end; ++word) *word = value;
}

// Where results go: bytes of a row of the output, or halves of pairs.
struct Bytes {
  using Value = int8_t;
  int8_t* first;      // channel 0 of the group, pixel 0
  int32_t pixel;      // values from one pixel to the next
  int8_t* channel(int32_t i) const { return first + i; }
};

struct Halves {
  using Value = int16_t;
  int16_t* first;
  int32_t width;  // pixels a pair
  static constexpr int32_t pixel = 2;
  int16_t* channel(int32_t i) const { return first + (i & 1) * 2 * width + (i >> 1); }
};

// Two adjacent words.
struct Two {
  uint32_t first;
  uint32_t second;
};

inline Two load_two(const uint32_t* words) {
  Two two;
#ifdef __ARM_FEATURE_DSP
  __asm__("ldrd %0, %1, %2"
          : "=r"(two.first), "=r"(two.second)
          : "Uv"(*reinterpret_cast<const Two*>(words)));
#else
  two = Two{words[0], words[1]};
#endif
  return two;
}

// The weights of one channel's 3x3 filter.
struct Filter {
  uint32_t pair_0;
  uint32_t pair_1;
  uint32_t pair_2;
  uint32_t last_01;
  uint32_t last_2;
};

// acc + one column of the kernel over one column of the image.
inline int32_t column_0(const Filter& filter, const Two& x, int32_t acc) {
  return smlabb(x.second, filter.last_01, smlad(x.first, filter.pair_0, acc));
}
inline int32_t column_1(const Filter& filter, const Two& x, int32_t acc) {
  return smlabt(x.second, filter.last_01, smlad(x.first, filter.pair_1, acc));
}
inline int32_t column_2(const Filter& filter, const Two& x, int32_t acc) {
  return smlabb(x.second, filter.last_2, smlad(x.first, filter.pair_2, acc));
}

constexpr int32_t kColumn = 2 * kGroup;  // words of a column of a 3x3 block

// The outputs of one group of a block under a 3x3 kernel.
template <typename Scale, typename Target>
void convolve_3x3(const DepthwiseConv2dParams& params, int32_t group, const uint32_t* pairs, int32_t pixels,
                  const Target& target) {
  const uint32_t* words = static_cast<const uint32_t*>(params.weights) + 9 * group;
  const int8_t* tails = reinterpret_cast<const int8_t*>(words + 8);
  const Channel* channel = static_cast<const Channel*>(params.channels) + kGroup * group;
  const int32_t stride = params.window.stride_width * kColumn;
  for (int32_t i = 0; i < kGroup; ++i) {
    const Filter filter{sxtb16(words[0]), sxtb16_ror8(words[0]), sxtb16(words[1]), sxtb16_ror8(words[1]),
                        static_cast<uint32_t>(tails[i])};
    words += 2;
    const Scale scale(*channel, params.output_zero_point);
    const int32_t bias = channel->bias();
    ++channel;
    const uint32_t* column = pairs + 2 * i;
    typename Target::Value* out = target.channel(i);
    int32_t left = pixels;
    if (stride == kColumn) {
      for (; left > 2; left -= 4) {
        int32_t a0 = bias;
        int32_t a1 = bias;
        int32_t a2 = bias;
        int32_t a3 = bias;
        Two x = load_two(column);
        a0 = column_0(filter, x, a0);
        x = load_two(column + kColumn);
        a0 = column_1(filter, x, a0);
        a1 = column_0(filter, x, a1);
        x = load_two(column + 2 * kColumn);
        a0 = column_2(filter, x, a0);
        a1 = column_1(filter, x, a1);
        a2 = column_0(filter, x, a2);
        x = load_two(column + 3 * kColumn);
        a1 = column_2(filter, x, a1);
        a2 = column_1(filter, x, a2);
        a3 = column_0(filter, x, a3);
        x = load_two(column + 4 * kColumn);
        a2 = column_2(filter, x, a2);
        a3 = column_1(filter, x, a3);
        x = load_two(column + 5 * kColumn);
        a3 = column_2(filter, x, a3);
        column += 4 * kColumn;
        *out = static_cast<typename Target::Value>(scale.scale(a0));
        out += target.pixel;
        *out = static_cast<typename Target::Value>(scale.scale(a1));
        out += target.pixel;
        *out = static_cast<typename Target::Value>(scale.scale(a2));
        out += target.pixel;
        if (left > 3) *out = static_cast<typename Target::Value>(scale.scale(a3));
        out += target.pixel;
      }
    }
    for (; left > 0; left -= 2) {
      const uint32_t* next = column + stride;
      int32_t a0 = bias;
      int32_t a1 = bias;
      a0 = column_0(filter, load_two(column), a0);
      a1 = column_0(filter, load_two(next), a1);
      a0 = column_1(filter, load_two(column + kColumn), a0);
      a1 = column_1(filter, load_two(next + kColumn), a1);
      a0 = column_2(filter, load_two(column + 2 * kColumn), a0);
      a1 = column_2(filter, load_two(next + 2 * kColumn), a1);
      column = next + stride;
      *out = static_cast<typename Target::Value>(scale.scale(a0));
      out += target.pixel;
      if (left > 1) *out = static_cast<typename Target::Value>(scale.scale(a1));
      out += target.pixel;
    }
  }
}

// The same under any kernel.
template <typename Scale, typename Target>
void convolve(const DepthwiseConv2dParams& params, int32_t group, const uint32_t* pairs, int32_t pixels,
              const Target& target) {
  const Window& window = params.window;
  const int32_t half = window.kernel_height / 2;             // pairs of kernel rows
  const int32_t height = (window.kernel_height + 1) / 2;     // words of a channel in a column
  const int32_t column = kGroup * height;                    // words
  const int32_t step = window.stride_width * column;         // words from one pixel's first column to the next one's
  const int32_t filter = (half * window.kernel_width + 1) / 2;  // words of a channel's pairs
  const int32_t odd = window.kernel_height % 2;
  const uint32_t* words = static_cast<const uint32_t*>(params.weights) + group * (kGroup * filter + odd * window.kernel_width);
  const int8_t* tails = reinterpret_cast<const int8_t*>(words + kGroup * filter);
  const Channel* channel = static_cast<const Channel*>(params.channels) + kGroup * group;
  for (int32_t i = 0; i < kGroup; ++i) {
    const Scale scale(*channel, params.output_zero_point);
    typename Target::Value* out = target.channel(i);
    const uint32_t* first = pairs + i * height;
    for (int32_t left = pixels; left > 0; left -= 4) {
      int32_t acc[4];
      for (int32_t& sum : acc) sum = channel->bias();
      const uint32_t* next_word = words;
      uint32_t word = 0;
      bool fresh = true;
      for (int32_t r = 0; r < half; ++r) {
        const uint32_t* x = first + r;
        for (int32_t n = window.kernel_width; n > 0; --n) {
          word = fresh ? *next_word++ : word >> 8;
          fresh = !fresh;
          const uint32_t weights = sxtb16(word);
          acc[0] = smlad(x[0], weights, acc[0]);
          acc[1] = smlad(x[step], weights, acc[1]);
          acc[2] = smlad(x[2 * step], weights, acc[2]);
          acc[3] = smlad(x[3 * step], weights, acc[3]);
          x += column;
        }
      }
      if (odd != 0) {
        const uint32_t* x = first + half;
        for (int32_t n = 0; n < window.kernel_width; ++n) {
          const uint32_t weight = static_cast<uint32_t>(tails[n]);
          acc[0] = smlabb(x[0], weight, acc[0]);
          acc[1] = smlabb(x[step], weight, acc[1]);
          acc[2] = smlabb(x[2 * step], weight, acc[2]);
          acc[3] = smlabb(x[3 * step], weight, acc[3]);
          x += column;
        }
      }
      for (int32_t pixel = 0; pixel < 4 && pixel < left; ++pixel) {
        *out = static_cast<typename Target::Value>(scale.scale(acc[pixel]));
        out += target.pixel;
      }
      first += 4 * step;
    }
    words += filter;
    tails += window.kernel_width;
    ++channel;
  }
}

// `pixels` outputs of one row from column x on, group by group; `target(group)` says where a group's go.
template <typename Targets>
inline void convolve_block(const DepthwiseConv2dParams& params, const Taps& taps, int32_t x, int32_t pixels,
                           uint32_t* pairs, const Targets& targets) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t height = (window.kernel_height + 1) / 2;
  const int32_t left = x * window.stride_width - window.pad_left;
  const int32_t columns = (pixels - 1) * window.stride_width + window.kernel_width;
  const Block block{pairs, clip(left, columns, window.input_width), columns};
  const bool whole = block.inside.begin == 0 && block.inside.end == columns &&
                     taps.inside.end - taps.inside.begin == window.kernel_height;
  const bool is_3x3 = window.kernel_height == 3 && window.kernel_width == 3;
  const int32_t count = block.inside.end - block.inside.begin;
  uint32_t* const first = pairs + block.inside.begin * kGroup * height;
  const int32_t offset = (left + block.inside.begin) * channels;
  for (int32_t group = 0; group * kGroup < channels; ++group) {
    const int32_t byte = offset + group * kGroup;
    if (count > 0) {
      if (is_3x3) {
        transpose_3(taps.rows[0] + byte, taps.rows[1] + byte, taps.rows[2] + byte, channels, count, first);
      } else {
        for (int32_t r = 0; r < height; ++r) {
          const int32_t second = 2 * r + 1 < window.kernel_height ? 2 * r + 1 : 2 * r;
          transpose_2(taps.rows[2 * r] + byte, taps.rows[second] + byte, channels, count, first + r, height);
        }
      }
    }
    if (!whole) pad(window, params.input_zero_point, taps.inside, block);
    const auto target = targets(group);
    if (is_3x3) {
      if (params.form == Form::kRelu) {
        convolve_3x3<Relu>(params, group, pairs, pixels, target);
      } else {
        convolve_3x3<Linear<1>>(params, group, pairs, pixels, target);
      }
    } else if (params.form == Form::kRelu) {
      convolve<Relu>(params, group, pairs, pixels, target);
    } else {
      convolve<Linear<1>>(params, group, pairs, pixels, target);
    }
  }
}

// Whether a fused activation is narrower than saturation.
inline bool narrow(const DepthwiseConv2dParams& params) {
  return params.output_min > INT8_MIN || params.output_max < INT8_MAX;
}

}  // namespace

void depthwise_conv_2d(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int8_t* output,
                       uint32_t* scratch) {
  const int32_t channels = params.window.output_channels;
  const int32_t width = params.window.output_width;
  const Taps taps = taps_of(params.window, input, y);
  for (int32_t x = 0; x < width; x += params.block) {
    int8_t* const first = output + x * channels;
    const int32_t pixels = width - x < params.block ? width - x : params.block;
    convolve_block(params, taps, x, pixels, scratch,
                   [first, channels](int32_t group) { return Bytes{first + kGroup * group, channels}; });
  }
  if (narrow(params)) clamp_row(output, width * channels, params.output_min, params.output_max);
}

void depthwise_block(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int32_t x, int32_t pixels,
                     uint32_t* scratch) {
  const int32_t values = params.window.output_channels * pixels;
  int16_t* const first = reinterpret_cast<int16_t*>(scratch);
  convolve_block(params, taps_of(params.window, input, y), x, pixels, scratch + values / 2,
                 [first, pixels](int32_t group) { return Halves{first + kGroup * pixels * group, pixels}; });
  if (!narrow(params)) return;
  for (int32_t i = 0; i < values; ++i) {
    first[i] = static_cast<int16_t>(clamp(first[i], params.output_min, params.output_max));
  }
}

void depthwise_conv_2d_plain(const DepthwiseConv2dPlainParams& params, const Rows& input, int32_t y, int8_t* output) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t filters = window.output_channels;
  const int32_t multiplier = filters / channels;
  const PlainChannel* const channels_of = static_cast<const PlainChannel*>(params.channels);
  const int32_t top = y * window.stride_height - window.pad_top;
  const Span rows = clip(top, window.kernel_height, window.input_height);
  for (int32_t x = 0; x < window.output_width; ++x) {
    const int32_t left = x * window.stride_width - window.pad_left;
    const Span columns = clip(left, window.kernel_width, window.input_width);
    int32_t channel = 0;
    int32_t copies = multiplier;  // filters of this input channel that are left
    for (int32_t filter = 0; filter < filters; ++filter) {
      const PlainChannel& factors = channels_of[filter];
      int32_t acc = factors.bias;
      for (int32_t i = rows.begin; i < rows.end; ++i) {
        const int8_t* pixel = row(input, top + i) + (left + columns.begin) * channels + channel;
        const int8_t* weight = params.weights + (i * window.kernel_width + columns.begin) * filters + filter;
        for (int32_t n = columns.end - columns.begin; n > 0; --n) {
          acc += *weight * (*pixel - params.input_zero_point);
          pixel += channels;
          weight += filters;
        }
      }
      const int32_t scaled = scale_plain(factors, acc, params.output_zero_point);
      *output++ = static_cast<int8_t>(clamp(scaled, params.output_min, params.output_max));
      if (--copies == 0) {
        copies = multiplier;
        ++channel;
      }
    }
  }
}

}  // namespace danas::aot
