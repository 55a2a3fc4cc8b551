// SPDX-License-Identifier: MIT
// Part of block.cpp: two channels of a block, for any processor. block_armv7em.h computes the same.
#pragma once

#include "block.h"

namespace danas::aot {

// Two channels of each pixel: sums of the one in the low bytes of the weights, and of that one + 256 * the other; when
// rescaled, the outputs.
template <int kPixels>
struct Sums {
  int32_t low[kPixels];
  int32_t high[kPixels];
};

// Adds the products of the windows' pairs and the words before `end` to the sums.
template <int kPixels>
inline void accumulate(const uint32_t* scratch, const uint32_t* words, const uint32_t* end, Sums<kPixels>& sums) {
  for (; words != end; ++words) {
    const uint32_t low = sxtb16(*words);
    for (int i = 0; i < kPixels; ++i) {
      const uint32_t pair = *scratch++;
      sums.high[i] = smlad(pair, *words, sums.high[i]);
      sums.low[i] = smlad(pair, low, sums.low[i]);
    }
  }
}

// Makes outputs of the sums.
template <typename Low, typename High, int kPixels>
inline void rescale(const Channel& low_channel, const Channel& high_channel, int32_t zero_point, Sums<kPixels>& sums) {
  const Low low(low_channel, zero_point);
  const High high(high_channel, zero_point);
  for (int i = 0; i < kPixels; ++i) {
    sums.high[i] = high.scale(wrapping_difference(sums.high[i], sums.low[i]));
    sums.low[i] = low.scale(sums.low[i]);
  }
}

// `count` channels (an even number, not 0) of a block, from a place in the stream; pixels are `stride` bytes
// apart. Returns the stream's next place.
template <int kPixels, Form kForm>
const uint32_t* make_channels(const Filters& filters, const uint32_t* scratch, const uint32_t* stream, int8_t* output,
                              int32_t count, int32_t stride) {
  const int32_t zero_point = filters.zero_point;
  const int32_t pairs = filters.pairs;
  for (int8_t* const end = output + count; output != end; output += 2) {
    Channel low{static_cast<int32_t>(stream[0]), 0};
    Channel high{static_cast<int32_t>(stream[1]), 0};
    stream += 2;
    Sums<kPixels> sums;
    for (int i = 0; i < kPixels; ++i) {
      sums.low[i] = low.bias();
      sums.high[i] = wrapping_sum(high.scaled_bias(), low.bias());
    }
    const uint32_t* const after = stream + pairs;
    accumulate<kPixels>(scratch, stream, after, sums);
    low.multiplier = static_cast<int32_t>(after[0]);
    high.multiplier = static_cast<int32_t>(after[1]);
    stream = after + 2;
    if constexpr (kForm == Form::kRelu) {
      rescale<Relu, ReluUpper>(low, high, zero_point, sums);
    } else {
      rescale<Linear<1>, Linear<256>>(low, high, zero_point, sums);
    }
    int8_t* place = output;
    for (int i = 0; i < kPixels; ++i) {
      store_bytes(place, sums.low[i], sums.high[i]);
      place += stride;
    }
  }
  return stream;
}

}  // namespace danas::aot
