// SPDX-License-Identifier: MIT
#include "relu.h"

#include "fixed_point.h"

namespace danas::aot {

void relu(const ReluParams& params, const int8_t* input, int8_t* output) {
  for (uint32_t i = 0; i < params.elements; ++i) {
    const int32_t scaled = rescale(input[i] - params.input_zero_point, params.multiplier, params.shift);
    output[i] = static_cast<int8_t>(clamp(scaled + params.output_zero_point, params.output_min, params.output_max));
  }
}

}  // namespace danas::aot
