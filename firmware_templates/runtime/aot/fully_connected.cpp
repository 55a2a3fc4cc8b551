// SPDX-License-Identifier: MIT
#include "fully_connected.h"

#include "fixed_point.h"

namespace danas::aot {

void fully_connected(const FullyConnectedParams& params, const int8_t* input, int8_t* output) {
  for (int32_t row = 0; row < params.rows; ++row) {
    const int8_t* weights = params.weights;
    const int32_t* multiplier = params.multipliers;
    const int8_t* shift = params.shifts;
    for (int32_t channel = 0; channel < params.outputs; ++channel) {
      int32_t acc = params.bias[channel];
      for (int32_t i = 0; i < params.inputs; ++i) acc += *weights++ * (input[i] - params.input_zero_point);
      const int32_t scaled = rescale(acc, *multiplier, *shift);
      *output++ = static_cast<int8_t>(clamp(scaled + params.output_zero_point, params.output_min, params.output_max));
      multiplier += params.factor_step;
      shift += params.factor_step;
    }
    input += params.inputs;
  }
}

}  // namespace danas::aot
