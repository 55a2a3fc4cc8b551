// SPDX-License-Identifier: MIT
#include "block.h"

namespace danas::aot {
namespace {

// The `packed` of two channels.
struct Packed {
  int32_t low;
  int32_t high;
};

// Two channels of each pixel: sums of the one in the low bytes of the weights, and of that one + 256 * the other; when
// rescaled, the outputs.
template <int kPixels>
struct Sums {
  int32_t low[kPixels];
  int32_t high[kPixels];
};

// Sums over the windows. Returns the stream's next place.
template <int kPixels>
inline const uint32_t* accumulate(const Filters& filters, const uint32_t* scratch, const uint32_t* stream,
                                  Packed& packed, Sums<kPixels>& sums) {
  packed = Packed{static_cast<int32_t>(stream[0]), static_cast<int32_t>(stream[1])};
  stream += 2;
  const int32_t bias = packed.low >> 8;
  const int32_t both_bias = wrapping_sum(packed.high & ~0xFF, bias);
#pragma GCC unroll 4
  for (int i = 0; i < kPixels; ++i) {
    sums.low[i] = bias;
    sums.high[i] = both_bias;
  }
  const uint32_t* const end = stream + filters.pairs;
  do {
#pragma GCC unroll 2
    for (int k = 0; k < 2; ++k) {
      const uint32_t both = *stream++;
      const uint32_t low = sxtb16(both);
#pragma GCC unroll 4
      for (int i = 0; i < kPixels; ++i) {
        const uint32_t pair = *scratch++;
        sums.high[i] = smlad(pair, both, sums.high[i]);
        sums.low[i] = smlad(pair, low, sums.low[i]);
      }
    }
  } while (stream != end);
  return stream;
}

// Makes outputs of the sums. Returns the stream's next place.
template <typename Low, typename High, int kPixels>
inline const uint32_t* rescale_sums(const Packed& packed, int32_t zero_point, const uint32_t* stream,
                                    Sums<kPixels>& sums) {
  const Low low(Channel{packed.low, static_cast<int32_t>(stream[0])}, zero_point);
  const High high(Channel{packed.high, static_cast<int32_t>(stream[1])}, zero_point);
#pragma GCC unroll 4
  for (int i = 0; i < kPixels; ++i) {
    sums.high[i] = high.scale(wrapping_difference(sums.high[i], sums.low[i]));
    sums.low[i] = low.scale(sums.low[i]);
  }
  return stream + 2;
}

// `count` channels (an even number, not 0) of a block, from a place in the stream; pixels are `stride` bytes apart.
// Returns the stream's next place.
template <int kPixels>
__attribute__((noinline)) const uint32_t* make_channels(const Filters& filters, const uint32_t* scratch,
                                                        const uint32_t* stream, int8_t* output, int32_t count,
                                                        int32_t stride) {
  for (int8_t* const end = output + count; output != end; output += 2) {
    Packed packed;
    Sums<kPixels> sums;
    stream = accumulate<kPixels>(filters, scratch, stream, packed, sums);
    stream = filters.form == Form::kRelu
                 ? rescale_sums<Relu, ReluUpper>(packed, filters.zero_point, stream, sums)
                 : rescale_sums<Linear<1>, Linear<256>>(packed, filters.zero_point, stream, sums);
    int8_t* place = output;
#pragma GCC unroll 4
    for (int i = 0; i < kPixels; ++i) {
      store_bytes(place, sums.low[i], sums.high[i]);
      place += stride;
    }
  }
  return stream;
}

#ifdef __ARM_FEATURE_DSP
#include "block_armv7em.h"
#endif

// The forms relu and linear.
template <int kPixels>
void multiply_pairs(const Filters& filters, const uint32_t* scratch, int8_t* output) {
  const uint32_t* stream = filters.stream;
  const int32_t stride = filters.outputs;
  const int32_t even = stride & ~1;
  if (even != 0) stream = make_channels<kPixels>(filters, scratch, stream, output, even, stride);
  if (even == stride) return;
  // The last channel has a neighbour that is none: both go elsewhere first.
  int8_t last[2 * kPixels];
  make_channels<kPixels>(filters, scratch, stream, last, 2, 2);
  for (int i = 0; i < kPixels; ++i) output[even + i * stride] = last[2 * i];
}

// The form plain: a channel at a time, each word of weights being four elements.
void multiply_plain(const Filters& filters, const uint32_t* scratch, int32_t pixels, int8_t* output) {
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

}  // namespace

void multiply_block(const Filters& filters, const uint32_t* scratch, int32_t pixels, int8_t* output) {
  if (filters.form == Form::kPlain) {
    multiply_plain(filters, scratch, pixels, output);
  } else if (pixels == 4) {
    multiply_pairs<4>(filters, scratch, output);
  } else if (pixels == 2) {
    multiply_pairs<2>(filters, scratch, output);
  } else {
    multiply_pairs<1>(filters, scratch, output);
  }
  if (filters.output_min > INT8_MIN || filters.output_max < INT8_MAX) {
    clamp_row(output, pixels * filters.outputs, filters.output_min, filters.output_max);
  }
}

uint32_t* spread_block(const int8_t* source, int32_t stride, int32_t words, int32_t pixels, uint32_t* scratch) {
  for (; words > 0; --words) {
    const int8_t* place = source;
    for (int32_t pixel = 0; pixel < pixels; ++pixel) {
      const uint32_t word = load_word(place);
      place += stride;
      scratch[pixel] = sxtb16(word);
      scratch[pixel + pixels] = sxtb16_ror8(word);
    }
    source += 4;
    scratch += 2 * pixels;
  }
  return scratch;
}

}  // namespace danas::aot
