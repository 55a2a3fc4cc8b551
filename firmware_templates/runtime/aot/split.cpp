// SPDX-License-Identifier: MIT
#include "split.h"

#include <cstring>

namespace danas::aot {

void split(const SplitParams& params, const int8_t* input, int8_t* const* outputs, int32_t count) {
  for (uint32_t row = 0; row < params.rows; ++row) {
    for (int32_t index = 0; index < count; ++index) {
      std::memcpy(outputs[index] + row * params.width, input, params.width);
      input += params.width;
    }
  }
}

}  // namespace danas::aot
