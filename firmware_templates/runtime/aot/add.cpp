// SPDX-License-Identifier: MIT
#include "add.h"

#include "fixed_point.h"
#include "requantize.h"
#include "simd.h"

namespace danas::aot {
namespace {

constexpr int32_t kFraction = 20;
constexpr uint32_t kUpperBytes = 0xFF00FF00;  // of both halves: 256 times a byte as a 16-bit number

inline int8_t sum_of(const Sum& sum, int32_t a, int32_t b) {
  const int32_t total = wrapping_sum(smlawb(sum.factor_a, static_cast<uint32_t>(a) << 8, sum.rounding),
                                     smlawb(sum.factor_b, static_cast<uint32_t>(b) << 8, 0));
  return static_cast<int8_t>(saturate8<kFraction>(total));
}

}  // namespace

void add(const AddParams& params, const int8_t* a, const int8_t* b, int8_t* output) {
  const Sum& sum = params.sum;
  const int32_t factor_a = sum.factor_a;
  const int32_t factor_b = sum.factor_b;
  const int32_t rounding = sum.rounding;
  int8_t* const first = output;
  for (const int8_t* end = a + (params.elements & ~3U); a != end; a += 4) {
    const uint32_t x = load_word(a);
    const uint32_t y = load_word(b);
    b += 4;
    const uint32_t even_x = and_lsl8(kUpperBytes, x);
    const uint32_t even_y = and_lsl8(kUpperBytes, y);
    const uint32_t odd_x = x & kUpperBytes;
    const uint32_t odd_y = y & kUpperBytes;
    const int32_t sum_0 = smlawb(factor_b, even_y, smlawb(factor_a, even_x, rounding));
    const int32_t sum_1 = smlawb(factor_b, odd_y, smlawb(factor_a, odd_x, rounding));
    const int32_t sum_2 = smlawt(factor_b, even_y, smlawt(factor_a, even_x, rounding));
    const int32_t sum_3 = smlawt(factor_b, odd_y, smlawt(factor_a, odd_x, rounding));
    store_bytes(output, saturate8<kFraction>(sum_0), saturate8<kFraction>(sum_1));
    store_bytes(output + 2, saturate8<kFraction>(sum_2), saturate8<kFraction>(sum_3));
    output += 4;
  }
  for (uint32_t n = params.elements % 4; n > 0; --n) *output++ = sum_of(sum, *a++, *b++);
  if (sum.output_min > INT8_MIN || sum.output_max < INT8_MAX) {
    clamp_row(first, static_cast<int32_t>(params.elements), sum.output_min, sum.output_max);
  }
}

void add_broadcast(const AddBroadcastParams& params, const int8_t* a, const int8_t* b, int8_t* output) {
  const Sum sum = params.sum;
  for_each_pair(params.broadcast, a, b, output, [&sum](int32_t x, int32_t y) {
    return static_cast<int8_t>(clamp(sum_of(sum, x, y), sum.output_min, sum.output_max));
  });
}

void add_reference(const AddReferenceParams& params, const int8_t* a, const int8_t* b, int8_t* output) {
  constexpr int32_t kExtraBits = 20;
  for_each_pair(params.broadcast, a, b, output, [&params](int32_t x, int32_t y) {
    const int32_t wide_x = shift_left(x - params.zero_point_a, kExtraBits);
    const int32_t wide_y = shift_left(y - params.zero_point_b, kExtraBits);
    const int32_t scaled_y = divide_by_power_of_two(multiply_high(wide_y, params.multiplier_b), -params.shift_b);
    const int32_t total = divide_by_power_of_two(multiply_high(wide_x, params.multiplier_a), -params.shift_a) +
                          params.sign * scaled_y;
    const int32_t scaled = divide_by_power_of_two(multiply_high(total, params.multiplier_output), -params.shift_output);
    return static_cast<int8_t>(clamp(scaled + params.zero_point_output, params.output_min, params.output_max));
  });
}

}  // namespace danas::aot
