// SPDX-License-Identifier: MIT
#include "mean.h"

#include "fixed_point.h"

namespace danas::aot {

void mean(const MeanParams& params, const int8_t* input, int8_t* output) {
  for (uint32_t outer = 0; outer < params.outer; ++outer) {
    for (uint32_t inner = 0; inner < params.inner; ++inner) {
      int32_t sum = 0;
      const int8_t* element = input + inner;
      for (uint32_t i = 0; i < params.reduced; ++i) {
        sum += *element - params.input_zero_point;
        element += params.inner;
      }
      const int32_t scaled = rescale(sum, params.multiplier, params.shift);
      *output++ = static_cast<int8_t>(clamp(scaled + params.output_zero_point, INT8_MIN, INT8_MAX));
    }
    input += params.reduced * params.inner;
  }
}

void mean_of_rows(const MeanParams& params, const int8_t* row, int32_t y, int32_t* sums, int8_t* output) {
  if (y == 0) {
    for (uint32_t i = 0; i < params.inner; ++i) sums[i] = 0;
  }
  const int8_t* const end = row + params.reduced / params.rows * params.inner;
  while (row != end) {
    for (uint32_t i = 0; i < params.inner; ++i) sums[i] += *row++ - params.input_zero_point;
  }
  if (static_cast<uint32_t>(y) + 1 < params.rows) return;
  for (uint32_t i = 0; i < params.inner; ++i) {
    const int32_t scaled = rescale(sums[i], params.multiplier, params.shift);
    output[i] = static_cast<int8_t>(clamp(scaled + params.output_zero_point, INT8_MIN, INT8_MAX));
  }
}

}  // namespace danas::aot
