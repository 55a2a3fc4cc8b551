// SPDX-License-Identifier: MIT
// CONCATENATION of tensors of 8-bit elements along one dimension.
#pragma once

#include <cstdint>

namespace danas::aot {

struct ConcatenationParams {
  const int32_t* widths;  // of each input, elements in a row: those of the dimension and of the ones after it
  uint32_t rows;          // elements of the dimensions before it
};

// output [rows][sum of widths], each row made of one row of each of `count` inputs in turn. All have one quantization: nothing is
// rescaled, as the reference insists. The output must overlap no input.
// Source: TensorFlow Lite, kernels/internal/reference/concatenation.h.
void concatenation(const ConcatenationParams& params, const int8_t* const* inputs, int32_t count, int8_t* output);

}  // namespace danas::aot
