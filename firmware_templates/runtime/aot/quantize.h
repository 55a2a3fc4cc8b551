// SPDX-License-Identifier: MIT
// QUANTIZE: float to 8 bits, or 8 bits to 8 bits of another quantization.
#pragma once

#include <cstdint>

namespace danas::aot {

// An unsigned tensor is handled as a signed one whose elements have their top bit inverted and whose zero point is 128
// less: the flips are 0x80 for uint8 and 0 for int8.
struct QuantizeParams {
  uint32_t elements;
  float scale;
  int16_t zero_point;  // of the signed form
  uint16_t output_flip;
};

// output = clamp(zero point + round(input / scale)), ties away from zero; not a number gives the lowest value.
// Source: TensorFlow Lite, kernels/internal/reference/quantize.h, AffineQuantize.
void quantize(const QuantizeParams& params, const float* input, int8_t* output);

struct RequantizeParams {
  uint32_t elements;
  int32_t multiplier;
  int8_t shift;
  int8_t input_zero_point;  // of the signed forms
  int8_t output_zero_point;
  uint8_t input_flip;
  uint8_t output_flip;
};

// output = clamp(zero point + rescale(input - input zero point)). The output may be the input.
// Source: TensorFlow Lite, kernels/internal/reference/requantize.h.
void requantize(const RequantizeParams& params, const int8_t* input, int8_t* output);

}  // namespace danas::aot
