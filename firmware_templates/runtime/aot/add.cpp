// SPDX-License-Identifier: MIT
#include "add.h"

#include "fixed_point.h"

namespace danas::aot {
namespace {

template <typename Params>
inline int8_t sum_of(const Params& params, int32_t a, int32_t b) {
  constexpr int32_t kExtraBits = 20;
  const int32_t wide_a = shift_left(a - params.zero_point_a, kExtraBits);
  const int32_t wide_b = shift_left(b - params.zero_point_b, kExtraBits);
  const int32_t sum = divide_by_power_of_two(multiply_high(wide_a, params.multiplier_a), -params.shift_a) +
                      divide_by_power_of_two(multiply_high(wide_b, params.multiplier_b), -params.shift_b);
  const int32_t scaled = divide_by_power_of_two(multiply_high(sum, params.multiplier_output), -params.shift_output);
  return static_cast<int8_t>(clamp(scaled + params.zero_point_output, params.output_min, params.output_max));
}

}  // namespace

void add(const AddParams& params, const int8_t* a, const int8_t* b, int8_t* output) {
  for (uint32_t i = 0; i < params.elements; ++i) output[i] = sum_of(params, a[i], b[i]);
}

void add_broadcast(const AddBroadcastParams& params, const int8_t* a, const int8_t* b, int8_t* output) {
  for_each_pair(params.broadcast, a, b, output, [&params](int32_t x, int32_t y) { return sum_of(params, x, y); });
}

}  // namespace danas::aot
