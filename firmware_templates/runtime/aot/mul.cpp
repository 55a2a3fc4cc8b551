// SPDX-License-Identifier: MIT
#include "mul.h"

#include "fixed_point.h"

namespace danas::aot {

void mul(const MulParams& params, const int8_t* a, const int8_t* b, int8_t* output) {
  for_each_pair(params.broadcast, a, b, output, [&params](int32_t x, int32_t y) {
    const int32_t product = (x - params.zero_point_a) * (y - params.zero_point_b);
    const int32_t scaled = rescale(product, params.multiplier, params.shift);
    return static_cast<int8_t>(clamp(scaled + params.zero_point_output, params.output_min, params.output_max));
  });
}

}  // namespace danas::aot
