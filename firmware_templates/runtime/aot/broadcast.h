// SPDX-License-Identifier: MIT
// Two operands of an elementwise operator, one or both of which may repeat: a scalar, a value a channel, one a pixel.
#pragma once

#include <cstdint>

namespace danas::aot {

// The output is seen as rows of equal width. An operand steps by 0 where it repeats.
struct Broadcast {
  uint32_t rows;
  uint32_t width;
  uint32_t row_step_a;  // elements from the begin of one row to that of the next
  uint32_t row_step_b;
  uint8_t step_a;  // elements from one column to the next
  uint8_t step_b;
};

// output[row][column] = operation(an element of a, an element of b). The output may be an operand that does not repeat.
template <typename Operation>
inline void for_each_pair(const Broadcast& broadcast, const int8_t* a, const int8_t* b, int8_t* output,
                          const Operation& operation) {
  for (uint32_t row = 0; row < broadcast.rows; ++row) {
    const int8_t* left = a;
    const int8_t* right = b;
    for (uint32_t column = 0; column < broadcast.width; ++column) {
      *output++ = operation(*left, *right);
      left += broadcast.step_a;
      right += broadcast.step_b;
    }
    a += broadcast.row_step_a;
    b += broadcast.row_step_b;
  }
}

}  // namespace danas::aot
