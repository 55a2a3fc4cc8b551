// SPDX-License-Identifier: MIT
// Any function of one int8 to another: LOGISTIC and HARD_SWISH.
#pragma once

#include <cstdint>

namespace danas::aot {

struct LookupParams {
  const int8_t* table;  // 256 values, of -128, -127, ... 127
  uint32_t elements;
};

// output = table[input + 128]. The renderer computes the table as the reference does: LOGISTIC is a table there too,
// HARD_SWISH is 16-bit fixed point. The output may be the input.
// Source: TensorFlow Lite, kernels/activations.cc and kernels/internal/reference/hard_swish.h.
void lookup(const LookupParams& params, const int8_t* input, int8_t* output);

}  // namespace danas::aot
