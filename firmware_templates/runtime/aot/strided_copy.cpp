// SPDX-License-Identifier: MIT
#include "strided_copy.h"

namespace danas::aot {

void strided_copy(const StridedCopyParams& params, const int8_t* input, int8_t* output) {
  // Indices, not pointers: one step behind the last element would point outside the input.
  int32_t first = static_cast<int32_t>(params.start);
  for (uint16_t i = 0; i < params.sizes[0]; ++i, first += params.steps[0]) {
    int32_t second = first;
    for (uint16_t j = 0; j < params.sizes[1]; ++j, second += params.steps[1]) {
      int32_t third = second;
      for (uint16_t k = 0; k < params.sizes[2]; ++k, third += params.steps[2]) {
        int32_t fourth = third;
        for (uint16_t l = 0; l < params.sizes[3]; ++l, fourth += params.steps[3]) *output++ = input[fourth];
      }
    }
  }
}

}  // namespace danas::aot
