// SPDX-License-Identifier: MIT
// DEQUANTIZE: 8 bits to float.
#pragma once

#include <cstdint>

namespace danas::aot {

struct DequantizeParams {
  uint32_t elements;
  float scale;
  int16_t zero_point;   // of the signed form, see quantize.h
  uint16_t input_flip;  // 0x80 for uint8, 0 for int8
};

// output = scale * (input - zero point). The reference multiplies in double and rounds once; the difference has at
// most nine bits, so the product in float rounds the same exact value once, too.
// Source: TensorFlow Lite, kernels/internal/reference/dequantize.h, Dequantize.
void dequantize(const DequantizeParams& params, const int8_t* input, float* output);

}  // namespace danas::aot
