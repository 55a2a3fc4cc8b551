// SPDX-License-Identifier: MIT
// STRIDED_SLICE and TRANSPOSE of 8-bit elements: a walk through the input, with a step for each dimension of the output.
#pragma once

#include <cstdint>

namespace danas::aot {

struct StridedCopyParams {
  int32_t steps[4];   // elements of the input from one element of the output to the next, along each dimension
  uint32_t start;     // the element of the input that comes first
  uint16_t sizes[4];  // of the output
};

// output[i][j][k][l] = input[start + i * steps[0] + j * steps[1] + k * steps[2] + l * steps[3]]. No overlap.
// Sources: TensorFlow Lite, kernels/internal/reference/strided_slice.h and transpose.h.
void strided_copy(const StridedCopyParams& params, const int8_t* input, int8_t* output);

}  // namespace danas::aot
