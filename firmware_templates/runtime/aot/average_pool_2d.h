// SPDX-License-Identifier: MIT
// AVERAGE_POOL_2D of int8; input and output share one quantization.
#pragma once

#include <cstdint>

#include "rows.h"
#include "window.h"

namespace danas::aot {

struct AveragePool2dParams {
  Window window;
  int16_t output_min;
  int16_t output_max;
};

// The mean of the values inside the image, rounded to nearest, ties away from zero. The buffers must not overlap.
// Source: TensorFlow Lite, kernels/internal/reference/integer_ops/pooling.h, AveragePool.
void average_pool_2d(const AveragePool2dParams& params, const Rows& input, int32_t y, int8_t* output);

// The same for a window that is the image, row after row: row y is added to the sums (row 0 begins them), and the last
// one gives the output.
void average_of_rows(const AveragePool2dParams& params, const int8_t* row, int32_t y, int32_t* sums, int8_t* output);

}  // namespace danas::aot
