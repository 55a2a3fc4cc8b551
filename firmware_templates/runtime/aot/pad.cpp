// SPDX-License-Identifier: MIT
#include "pad.h"

#include <cstring>

namespace danas::aot {

void pad(const PadParams& params, const int8_t* input, int8_t* output) {
  int32_t size[4];
  for (int32_t i = 0; i < 4; ++i) size[i] = params.before[i] + params.input[i] + params.after[i];
  const auto inside = [&params](int32_t dimension, int32_t position) {
    const int32_t index = position - params.before[dimension];
    return index >= 0 && index < params.input[dimension];
  };

  for (int32_t a = 0; a < size[0]; ++a) {
    for (int32_t b = 0; b < size[1]; ++b) {
      for (int32_t c = 0; c < size[2]; ++c) {
        if (inside(0, a) && inside(1, b) && inside(2, c)) {
          std::memset(output, params.value, params.before[3]);
          std::memcpy(output + params.before[3], input, params.input[3]);
          std::memset(output + params.before[3] + params.input[3], params.value, params.after[3]);
          input += params.input[3];
        } else {
          std::memset(output, params.value, static_cast<size_t>(size[3]));
        }
        output += size[3];
      }
    }
  }
}

}  // namespace danas::aot
