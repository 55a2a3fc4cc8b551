// SPDX-License-Identifier: MIT
#include "block.h"

#ifdef __ARM_FEATURE_DSP
#include "block_armv7em.h"
#else
#include "block_portable.h"
#endif

namespace danas::aot {
namespace {

// The forms relu and linear. The last of an odd number of channels has a neighbour that is none: both go elsewhere first.
template <int kPixels, Form kForm>
__attribute__((noinline)) void multiply_pairs(const Filters& filters, const uint32_t* scratch, int8_t* output) {
  const int32_t outputs = filters.outputs;
  const uint32_t* stream = filters.stream;
  int8_t last[2 * kPixels];
  int8_t* place = output;
  int32_t count = outputs & ~1;
  int32_t stride = outputs;
  for (;;) {
    if (count == 0) {
      place = last;
      count = stride = 2;
    }
    stream = make_channels<kPixels, kForm>(filters, scratch, stream, place, count, stride);
    if (place == last || outputs % 2 == 0) break;
    count = 0;
  }
  if (place == last) {
    for (int i = 0; i < kPixels; ++i) output[(i + 1) * outputs - 1] = last[2 * i];
  }
}

// A block of one of the sizes in `kSizes`, which are looked at from kPixels downwards; the last one needs no look.
template <Form kForm, uint32_t kSizes, int kPixels = 4>
inline void multiply([[maybe_unused]] const Filters& filters, [[maybe_unused]] const uint32_t* scratch,
                     [[maybe_unused]] int32_t pixels, [[maybe_unused]] int8_t* output) {
  if constexpr (has(kSizes, kPixels)) {
    if (kSizes % bit(kPixels) == 0 || pixels == kPixels) {
      multiply_pairs<kPixels, kForm>(filters, scratch, output);
      return;
    }
  }
  if constexpr (kPixels > 1) multiply<kForm, kSizes, kPixels - 1>(filters, scratch, pixels, output);
}

// The form plain: a channel at a time, each word of weights being four elements.
__attribute__((noinline)) void multiply_plain(const Filters& filters, const uint32_t* scratch, int32_t pixels, int8_t* output) {
  const uint32_t* stream = filters.stream;
  for (int32_t channel = 0; channel < filters.outputs; ++channel) {
    const uint32_t* const end = stream + 1 + filters.pairs / 2;
    const PlainChannel record{static_cast<int32_t>(stream[0]), static_cast<int32_t>(end[0]),
                              static_cast<int32_t>(end[1])};
    for (int32_t pixel = 0; pixel < pixels; ++pixel) {
      const uint32_t* pair = scratch + pixel;
      int32_t sum = record.bias;
      for (const uint32_t* word = stream + 1; word != end; ++word) {
        sum = smlad(pair[0], sxtb16(*word), sum);
        sum = smlad(pair[pixels], sxtb16_ror8(*word), sum);
        pair += 2 * pixels;
      }
      output[pixel * filters.outputs + channel] =
          static_cast<int8_t>(scale_plain(record, sum, filters.zero_point));
    }
    stream = end + 2;
  }
}

template <int kPixels>
inline uint32_t* spread(const int8_t* source, int32_t stride, int32_t words, uint32_t* scratch) {
  for (const int8_t* const end = source + 4 * words; source != end; source += 4) {
    const int8_t* place = source;
    uint32_t word[kPixels];
#pragma GCC unroll 4
    for (int i = 0; i < kPixels; ++i) {
      word[i] = load_word(place);
      place += stride;
    }
    uint32_t pairs[2 * kPixels];
#pragma GCC unroll 4
    for (int i = 0; i < kPixels; ++i) {
      pairs[i] = sxtb16(word[i]);
      pairs[kPixels + i] = sxtb16_ror8(word[i]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 2 * kPixels; i += 2) store_words(scratch + i, pairs[i], pairs[i + 1]);
    scratch += 2 * kPixels;
  }
  return scratch;
}

// The same for one of the sizes in `kSizes`.
template <uint32_t kSizes, int kPixels = 4>
inline uint32_t* spread_one_of([[maybe_unused]] const int8_t* source, [[maybe_unused]] int32_t stride,
                               [[maybe_unused]] int32_t words, [[maybe_unused]] int32_t pixels, uint32_t* scratch) {
  if constexpr (has(kSizes, kPixels)) {
    if (kSizes % bit(kPixels) == 0 || pixels == kPixels) return spread<kPixels>(source, stride, words, scratch);
  }
  if constexpr (kPixels > 1) return spread_one_of<kSizes, kPixels - 1>(source, stride, words, pixels, scratch);
  return scratch;
}

}  // namespace

void multiply_block(const Filters& filters, const uint32_t* scratch, int32_t pixels, int8_t* output) {
  constexpr BlockFeatures kNeeds = kBlockFeatures;
  if (kNeeds.plain && (kNeeds.relu + kNeeds.linear == 0 || filters.form == Form::kPlain)) {
    multiply_plain(filters, scratch, pixels, output);
  } else if (kNeeds.relu != 0 && (kNeeds.linear == 0 || filters.form == Form::kRelu)) {
    multiply<Form::kRelu, kNeeds.relu>(filters, scratch, pixels, output);
  } else {
    multiply<Form::kLinear, kNeeds.linear>(filters, scratch, pixels, output);
  }
  if (kNeeds.clamped && filters.clamped()) {
    clamp_row(output, pixels * filters.outputs, filters.output_min, filters.output_max);
  }
}

uint32_t* spread_block(const int8_t* source, int32_t stride, int32_t words, int32_t pixels, uint32_t* scratch) {
  return spread_one_of<kBlockFeatures.spread>(source, stride, words, pixels, scratch);
}

}  // namespace danas::aot
