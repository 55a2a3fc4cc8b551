// SPDX-License-Identifier: MIT
#include "sub.h"

#include "fixed_point.h"

namespace danas::aot {

void sub(const SubParams& params, const int8_t* a, const int8_t* b, int8_t* output) {
  constexpr int32_t kExtraBits = 20;
  for_each_pair(params.broadcast, a, b, output, [&params](int32_t x, int32_t y) {
    const int32_t wide_x = shift_left(x - params.zero_point_a, kExtraBits);
    const int32_t wide_y = shift_left(y - params.zero_point_b, kExtraBits);
    const int32_t difference = divide_by_power_of_two(multiply_high(wide_x, params.multiplier_a), -params.shift_a) -
                               divide_by_power_of_two(multiply_high(wide_y, params.multiplier_b), -params.shift_b);
    const int32_t scaled =
        divide_by_power_of_two(multiply_high(difference, params.multiplier_output), -params.shift_output);
    return static_cast<int8_t>(clamp(scaled + params.zero_point_output, params.output_min, params.output_max));
  });
}

}  // namespace danas::aot
