// SPDX-License-Identifier: MIT
// PAD and PADV2 of a tensor of 8-bit elements, with its zero point or with a given value.
#pragma once

#include <cstdint>

namespace danas::aot {

// Tensors of fewer dimensions get leading ones.
struct PadParams {
  uint16_t input[4];   // shape
  uint16_t before[4];  // elements put before each dimension
  uint16_t after[4];   // elements put after each dimension
  int16_t value;       // what they are
};

// The buffers must not overlap.
void pad(const PadParams& params, const int8_t* input, int8_t* output);

}  // namespace danas::aot
