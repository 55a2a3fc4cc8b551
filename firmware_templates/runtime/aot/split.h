// SPDX-License-Identifier: MIT
// SPLIT of a tensor of 8-bit elements into equal parts along one dimension.
#pragma once

#include <cstdint>

namespace danas::aot {

struct SplitParams {
  uint32_t rows;   // elements of the dimensions before it
  uint32_t width;  // elements of a row of one output: its share of the dimension, and the ones after it
};

// input [row][output][width], each row dealt out to `count` outputs in turn. None of them may overlap another tensor.
// Source: TensorFlow Lite, kernels/internal/optimized/optimized_ops.h, Split.
void split(const SplitParams& params, const int8_t* input, int8_t* const* outputs, int32_t count);

}  // namespace danas::aot
