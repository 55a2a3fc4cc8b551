// SPDX-License-Identifier: MIT
#include "concatenation.h"

#include <cstring>

namespace danas::aot {

void concatenation(const ConcatenationParams& params, const int8_t* const* inputs, int32_t count, int8_t* output) {
  for (uint32_t row = 0; row < params.rows; ++row) {
    for (int32_t index = 0; index < count; ++index) {
      const size_t width = static_cast<size_t>(params.widths[index]);
      std::memcpy(output, inputs[index] + row * width, width);
      output += width;
    }
  }
}

}  // namespace danas::aot
