// SPDX-License-Identifier: MIT
#include "lookup.h"

namespace danas::aot {

void lookup(const LookupParams& params, const int8_t* input, int8_t* output) {
  for (uint32_t i = 0; i < params.elements; ++i) output[i] = params.table[input[i] - INT8_MIN];
}

}  // namespace danas::aot
