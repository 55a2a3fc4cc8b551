// SPDX-License-Identifier: MIT
#include "split.h"

#include <cstring>

namespace danas::aot {

void split(const SplitParams& params, const int8_t* input, std::initializer_list<int8_t*> outputs) {
  for (uint32_t row = 0; row < params.rows; ++row) {
    for (int8_t* output : outputs) {
      std::memcpy(output + row * params.width, input, params.width);
      input += params.width;
    }
  }
}

}  // namespace danas::aot
