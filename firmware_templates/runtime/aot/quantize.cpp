// SPDX-License-Identifier: MIT
#include "quantize.h"

#include "fixed_point.h"

namespace danas::aot {

void quantize(const QuantizeParams& params, const float* input, int8_t* output) {
  constexpr float kFar = 1024.0F;  // further out the clamp decides alone
  for (uint32_t i = 0; i < params.elements; ++i) {
    float value = input[i] / params.scale;
    if (!(value > -kFar)) value = -kFar;
    if (value > kFar) value = kFar;
    int32_t rounded = static_cast<int32_t>(value);
    const float rest = value - static_cast<float>(rounded);
    if (rest >= 0.5F) ++rounded;
    if (rest <= -0.5F) --rounded;
    output[i] = static_cast<int8_t>(clamp(rounded + params.zero_point, INT8_MIN, INT8_MAX) ^ params.output_flip);
  }
}

void requantize(const RequantizeParams& params, const int8_t* input, int8_t* output) {
  for (uint32_t i = 0; i < params.elements; ++i) {
    const int32_t value = static_cast<int8_t>(input[i] ^ params.input_flip);
    const int32_t scaled = rescale(value - params.input_zero_point, params.multiplier, params.shift);
    output[i] = static_cast<int8_t>(clamp(scaled + params.output_zero_point, INT8_MIN, INT8_MAX) ^ params.output_flip);
  }
}

}  // namespace danas::aot
