// SPDX-License-Identifier: MIT
#include "concatenation.h"

#include <cstring>

namespace danas::aot {

void concatenation(const ConcatenationParams& params, std::initializer_list<const int8_t*> inputs, int8_t* output) {
  for (uint32_t row = 0; row < params.rows; ++row) {
    const int32_t* next = params.widths;
    for (const int8_t* input : inputs) {
      const size_t width = static_cast<size_t>(*next++);
      std::memcpy(output, input + row * width, width);
      output += width;
    }
  }
}

}  // namespace danas::aot
