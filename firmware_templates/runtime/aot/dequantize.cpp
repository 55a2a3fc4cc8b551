// SPDX-License-Identifier: MIT
#include "dequantize.h"

namespace danas::aot {

void dequantize(const DequantizeParams& params, const int8_t* input, float* output) {
  for (uint32_t i = 0; i < params.elements; ++i) {
    const int32_t value = static_cast<int8_t>(input[i] ^ params.input_flip);
    output[i] = params.scale * static_cast<float>(value - params.zero_point);
  }
}

}  // namespace danas::aot
