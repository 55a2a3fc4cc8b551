// SPDX-License-Identifier: MIT
// MAX_POOL_2D of int8; input and output share one quantization.
#pragma once

#include <cstdint>

#include "rows.h"
#include "window.h"

namespace danas::aot {

struct MaxPool2dParams {
  Window window;
  int16_t output_min;
  int16_t output_max;
};

// The largest of the values inside the image. The buffers must not overlap.
// Source: TensorFlow Lite, kernels/internal/reference/integer_ops/pooling.h, MaxPool.
void max_pool_2d(const MaxPool2dParams& params, const Rows& input, int32_t y, int8_t* output);

}  // namespace danas::aot
