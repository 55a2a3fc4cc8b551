// SPDX-License-Identifier: MIT
// MEAN of int8 over adjacent dimensions.
#pragma once

#include <cstdint>

namespace danas::aot {

struct MeanParams {
  int32_t multiplier;  // input scale / (output scale * reduced), see below
  int8_t shift;
  int8_t input_zero_point;
  int8_t output_zero_point;
  uint32_t outer;    // elements of the dimensions before those that are averaged
  uint32_t reduced;  // elements that make one mean
  uint32_t inner;    // elements of the dimensions after
  uint32_t rows;     // rows of an image that is averaged row by row
};

// input [outer][reduced][inner] to output [outer][inner]. The buffers must not overlap.
//
//   output = clamp(zero point + rescale(sum of input - reduced * input zero point), -128, 127)
//
// The renderer divides the multiplier by the count as the reference does: shifted left by floor(log2(count)) first, so
// that the quotient keeps its bits.
// Source: TensorFlow Lite, kernels/internal/reference/reduce.h, QuantizedMeanOrSum.
void mean(const MeanParams& params, const int8_t* input, int8_t* output);

// The same for an image, row after row: row y of `rows` is added to the sums (row 0 begins them), and the last one
// gives the output. `reduced` counts all rows' pixels; `outer` is 1.
void mean_of_rows(const MeanParams& params, const int8_t* row, int32_t y, int32_t* sums, int8_t* output);

}  // namespace danas::aot
