// SPDX-License-Identifier: MIT
#include "depthwise_conv_2d.h"

#include "block.h"
#include "depthwise_3x3.h"
#include "fixed_point.h"
#include "simd.h"

namespace danas::aot {
namespace {

constexpr int32_t kGroup = 4;          // channels that come in one word of an image
constexpr int32_t kLargestKernel = 8;  // rows of a kernel

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

// Writes the zero point into the columns of a block that lie outside the image; no group changes them.
void pad_columns(const Block& block, int32_t words, int32_t zero_point) {
  const uint32_t value = static_cast<uint16_t>(zero_point) * 0x10001U;
  uint32_t* word = block.pairs;
  for (uint32_t* const end = word + block.inside.begin * words; word != end; ++word) *word = value;
  word = block.pairs + block.inside.end * words;
  for (uint32_t* const end = block.pairs + block.columns * words; word != end; ++word) *word = value;
}

// Writes the zero point into the rows that lie outside, in `count` columns from `pairs` on.
__attribute__((noinline)) void pad_rows(const Window& window, const Span& inside, int32_t zero_point, int32_t count,
                                        uint32_t* pairs) {
  const int32_t height = (window.kernel_height + 1) / 2;
  const int16_t value = static_cast<int16_t>(zero_point);
  for (int32_t i = 0; i < window.kernel_height; ++i) {
    if (i >= inside.begin && i < inside.end) continue;
    int16_t* half = reinterpret_cast<int16_t*>(pairs) + i;
    for (int32_t n = count; n > 0; --n) {
      half[0] = value;
      half[2 * height] = value;
      half[4 * height] = value;
      half[6 * height] = value;
      half += 8 * height;
    }
  }
}

inline Channel channel_at(const uint32_t* words) {
  return Channel{static_cast<int32_t>(words[0]), static_cast<int32_t>(words[1])};
}

// Where results go: bytes of a row of the output, or halves of pairs.
template <typename Value>
struct Target {
  Value* first;  // channel 0, pixel 0
  depthwise_3x3::Apart apart;
};

// What does not change from group to group of a block.
struct Place {
  const Taps& taps;
  Block block;
  int32_t offset;  // of the first column inside the image, in bytes of a row
};

// The strides at which 3x3 kernels make such values.
template <typename Value>
constexpr uint32_t kStrides = sizeof(Value) == 1 ? kDepthwiseFeatures.bytes : kDepthwiseFeatures.pairs;

// Whether the loops of depthwise_3x3.h make such values, where the model's calls leave a choice.
template <typename Value>
inline bool is_3x3(const DepthwiseConv2dParams& params) {
  return kStrides<Value> != 0 && (!kDepthwiseFeatures.other || params.is_3x3());
}

// The outputs of a block under a 3x3 kernel.
template <typename Value>
__attribute__((noinline)) void convolve_3x3(const DepthwiseConv2dParams& params, const Place& place, int32_t pixels,
                                            const Target<Value>& target) {
  const Block& block = place.block;
  const int32_t stride = params.window.stride_width;
  const int32_t channels = params.window.input_channels;
  const int32_t count = block.inside.end - block.inside.begin;
  const bool whole = place.taps.inside.end - place.taps.inside.begin == 3;
  uint32_t* const inside = block.pairs + block.inside.begin * depthwise_3x3::kColumn;
  auto lane = depthwise_3x3::lane_of<Value>(pixels, stride, target.apart, params.form, params.output_zero_point);
  lane.words = params.stream;
  lane.first = target.first;
  for (int32_t channel = 0; channel < channels; channel += kGroup) {
    if (count > 0) {
      const int32_t byte = place.offset + channel;
      depthwise_3x3::transpose(place.taps.rows[0] + byte, place.taps.rows[1] + byte, place.taps.rows[2] + byte,
                               channels, count, inside);
      if (!whole) pad_rows(params.window, place.taps.inside, params.input_zero_point, count, inside);
    }
    lane.last = reinterpret_cast<const int8_t*>(lane.words + 4 * kGroup);
    lane.column = block.pairs;
    lane.count = depthwise_3x3::kDone + kGroup;
    constexpr uint32_t kOne = bit(1);
    if constexpr (kStrides<Value> == kOne) {
      depthwise_3x3::convolve_group<1>(lane);
    } else if constexpr (!has(kStrides<Value>, 1)) {
      depthwise_3x3::convolve_group<2>(lane);
    } else if (stride == 1) {
      depthwise_3x3::convolve_group<1>(lane);
    } else {
      depthwise_3x3::convolve_group<2>(lane);
    }
    ++lane.words;
  }
}

// An accumulator's output, before clamping.
__attribute__((noinline)) int32_t scaled(const DepthwiseConv2dParams& params, const Channel& channel, int32_t acc) {
  if (params.form == Form::kRelu) return Relu(channel, params.output_zero_point).scale(acc);
  return Linear<1>(channel, params.output_zero_point).scale(acc);
}

// The same under any kernel.
__attribute__((noinline)) void convolve(const DepthwiseConv2dParams& params, const Place& place, int32_t pixels,
                                        const Target<int8_t>& target) {
  const Window& window = params.window;
  const Block& block = place.block;
  const int32_t half = window.kernel_height / 2;                // pairs of kernel rows
  const int32_t height = (window.kernel_height + 1) / 2;        // words of a channel in a column
  const int32_t column = kGroup * height;                       // words
  const int32_t step = window.stride_width * column;            // words from one pixel's first column to the next one's
  const int32_t filter = (half * window.kernel_width + 1) / 2;  // words of a channel's pairs
  const int32_t tail = window.kernel_height % 2 == 0 ? 0 : window.kernel_width;
  const int32_t count = block.inside.end - block.inside.begin;
  const bool whole = place.taps.inside.end - place.taps.inside.begin == window.kernel_height;
  const uint32_t* stream = params.stream;
  int8_t* group = target.first;
  uint32_t* const inside = block.pairs + block.inside.begin * column;
  for (int32_t offset = 0; offset < window.input_channels; offset += kGroup) {
    for (int32_t r = 0; r < height; ++r) {
      const int32_t last = 2 * r + 1 < window.kernel_height ? 2 * r + 1 : 2 * r;
      const int32_t byte = place.offset + offset;
      transpose_2(place.taps.rows[2 * r] + byte, place.taps.rows[last] + byte, window.input_channels, count, inside + r,
                  height);
    }
    if (!whole) pad_rows(window, place.taps.inside, params.input_zero_point, count, inside);
    const int8_t* tails = reinterpret_cast<const int8_t*>(stream + kGroup * (filter + 2));
    int8_t* output = group;
    for (int32_t i = 0; i < kGroup; ++i) {
      const Channel channel = channel_at(stream + filter);
      int8_t* out = output;
      const uint32_t* first = block.pairs + i * height;
      for (int32_t left = pixels; left > 0; left -= 4) {
        int32_t acc[4];
        for (int32_t& sum : acc) sum = channel.bias();
        const uint32_t* next_word = stream;
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
        const uint32_t* x = first + half;
        for (int32_t n = 0; n < tail; ++n) {
          const uint32_t weight = static_cast<uint32_t>(tails[n]);
          acc[0] = smlabb(x[0], weight, acc[0]);
          acc[1] = smlabb(x[step], weight, acc[1]);
          acc[2] = smlabb(x[2 * step], weight, acc[2]);
          acc[3] = smlabb(x[3 * step], weight, acc[3]);
          x += column;
        }
        for (int32_t pixel = 0; pixel < 4 && pixel < left; ++pixel) {
          *out = static_cast<int8_t>(scaled(params, channel, acc[pixel]));
          out += target.apart.pixel;
        }
        first += 4 * step;
      }
      stream += filter + 2;
      tails += tail;
      output += i == 1 ? target.apart.upper - target.apart.odd : target.apart.odd;
    }
    stream += tail;
    group += target.apart.group;
  }
}

// `pixels` outputs of one row from column x on.
template <typename Value>
inline void convolve_block(const DepthwiseConv2dParams& params, const Taps& taps, int32_t x,
                           [[maybe_unused]] int32_t pixels, uint32_t* pairs,
                           [[maybe_unused]] const Target<Value>& target) {
  const Window& window = params.window;
  const int32_t left = x * window.stride_width - window.pad_left;
  const int32_t columns = (pixels - 1) * window.stride_width + window.kernel_width;
  const Block block{pairs, clip(left, columns, window.input_width), columns};
  pad_columns(block, kGroup * ((window.kernel_height + 1) / 2), params.input_zero_point);
  [[maybe_unused]] const Place place{taps, block, (left + block.inside.begin) * window.input_channels};
  if constexpr (sizeof(Value) == 1) {
    if (kDepthwiseFeatures.other && !is_3x3<Value>(params)) {
      convolve(params, place, pixels, target);
      return;
    }
  }
  if constexpr (kStrides<Value> != 0) convolve_3x3(params, place, pixels, target);
}

// The pixel in column x, in the form plain: as bytes to `bytes`, or as halves to where `halves` says.
__attribute__((noinline)) void convolve_plain(const DepthwiseConv2dParams& params, const Rows& input, int32_t y,
                                              int32_t x, int8_t* bytes, const Target<int16_t>& halves) {
  const Window& window = params.window;
  const int32_t channels = window.input_channels;
  const int32_t filters = window.output_channels;
  const int32_t multiplier = filters / channels;
  const int32_t top = y * window.stride_height - window.pad_top;
  const int32_t left = x * window.stride_width - window.pad_left;
  const Span rows = clip(top, window.kernel_height, window.input_height);
  const Span columns = clip(left, window.kernel_width, window.input_width);
  const uint32_t* record = params.stream;
  const int8_t* const weights = reinterpret_cast<const int8_t*>(record + 3 * filters);
  int32_t channel = 0;
  int32_t copies = multiplier;  // filters of this input channel that are left
  for (int32_t filter = 0; filter < filters; ++filter) {
    const PlainChannel factors{static_cast<int32_t>(record[0]), static_cast<int32_t>(record[1]),
                               static_cast<int32_t>(record[2])};
    record += 3;
    int32_t acc = factors.bias;
    for (int32_t i = rows.begin; i < rows.end; ++i) {
      const int8_t* pixel = row(input, top + i) + (left + columns.begin) * channels + channel;
      const int8_t* weight = weights + (i * window.kernel_width + columns.begin) * filters + filter;
      for (int32_t n = columns.end - columns.begin; n > 0; --n) {
        acc += *weight * (*pixel - params.input_zero_point);
        pixel += channels;
        weight += filters;
      }
    }
    const int32_t value = scale_plain(factors, acc, params.output_zero_point);
    const int32_t bounded = clamp(value, params.output_min, params.output_max);
    if (bytes != nullptr) {
      *bytes++ = static_cast<int8_t>(bounded);
    } else {
      const depthwise_3x3::Apart& apart = halves.apart;
      halves.first[filter / kGroup * apart.group + filter % 2 * apart.odd + filter % kGroup / 2 * apart.upper] =
          static_cast<int16_t>(bounded);
    }
    if (--copies == 0) {
      copies = multiplier;
      ++channel;
    }
  }
}

// Whether a layer has the form plain, where the model's calls leave a choice.
inline bool is_plain(const DepthwiseConv2dParams& params) {
  constexpr DepthwiseFeatures kNeeds = kDepthwiseFeatures;
  constexpr bool kOthers = kNeeds.other || kNeeds.bytes + kNeeds.pairs != 0;
  return kNeeds.plain && (!kOthers || params.form == Form::kPlain);
}

// `pixels` pixels of row y from column x on, as bytes.
inline void convolve_pixels(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int32_t x,
                            int32_t pixels, int8_t* output, uint32_t* scratch) {
  const int32_t channels = params.window.output_channels;
  if (is_plain(params)) {
    for (int32_t i = 0; i < pixels; ++i) convolve_plain(params, input, y, x + i, output + i * channels, {});
    return;
  }
  const Taps taps = taps_of(params.window, input, y);
  int8_t* first = output;
  for (int32_t left = pixels; left > 0; left -= params.block) {
    const int32_t count = left < params.block ? left : params.block;
    convolve_block(params, taps, x, count, scratch, Target<int8_t>{first, {1, 2, kGroup, channels}});
    x += count;
    first += count * channels;
  }
  if (kDepthwiseFeatures.clamped && params.clamped()) clamp_row(output, pixels * channels, params.output_min, params.output_max);
}

}  // namespace

void depthwise_conv_2d(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int8_t* output,
                       uint32_t* scratch) {
  convolve_pixels(params, input, y, 0, params.window.output_width, output, scratch);
}

void depthwise_block(const DepthwiseConv2dParams& params, const Rows& input, int32_t y, int32_t x, int32_t pixels,
                     uint32_t* scratch) {
  const int32_t channels = params.window.output_channels;
  const int32_t fours = (channels + kGroup - 1) / kGroup;
  uint32_t* const pairs = scratch + 2 * fours * pixels;
  int16_t* const first = reinterpret_cast<int16_t*>(scratch);
  const depthwise_3x3::Apart apart{2 * pixels, 1, kGroup * pixels, 2};
  if (is_plain(params)) {
    for (int32_t i = 0; i < pixels; ++i) convolve_plain(params, input, y, x + i, nullptr, {first + 2 * i, apart});
    return;
  }
  if (kDepthwiseFeatures.other && !is_3x3<int16_t>(params)) {
    int8_t* const bytes = reinterpret_cast<int8_t*>(pairs);
    convolve_pixels(params, input, y, x, pixels, bytes, pairs + fours * pixels);
    spread_block(bytes, channels, fours, pixels, scratch);
    return;
  }
  convolve_block(params, taps_of(params.window, input, y), x, pixels, pairs,
                 Target<int16_t>{first, apart});
  if (!kDepthwiseFeatures.clamped || !params.clamped()) return;
  for (int32_t i = 0; i < channels * pixels; ++i) {
    first[i] = static_cast<int16_t>(clamp(first[i], params.output_min, params.output_max));
  }
}

}  // namespace danas::aot
