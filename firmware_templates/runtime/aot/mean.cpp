// SPDX-License-Identifier: MIT
#include "mean.h"

#include "fixed_point.h"
#include "row_sums.h"

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
  const int32_t channels = static_cast<int32_t>(params.inner);
  add_row(row, static_cast<int32_t>(params.reduced / params.rows), channels, y == 0, sums);
  if (static_cast<uint32_t>(y) + 1 < params.rows) return;
  const int32_t offset = static_cast<int32_t>(params.reduced) * params.input_zero_point;
  for (int32_t i = 0; i < channels; ++i) {
    const int32_t scaled = rescale(sums[i] - offset, params.multiplier, params.shift);
    output[i] = static_cast<int8_t>(clamp(scaled + params.output_zero_point, INT8_MIN, INT8_MAX));
  }
}

}  // namespace danas::aot
