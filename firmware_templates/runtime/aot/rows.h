// SPDX-License-Identifier: MIT
// Where the rows of an image [row][column][channel] lie in the arena: all of them, or the newest ones in a ring.
#pragma once

#include <cstdint>

namespace danas::aot {

struct Rows {
  int8_t* base;
  uint32_t bytes;  // of one row
  uint16_t kept;   // rows that have a place of their own: all, or as many as the ring holds
};

// The first byte of row y.
inline int8_t* row(const Rows& rows, int32_t y) {
  return rows.base + static_cast<uint32_t>(y) % rows.kept * rows.bytes;
}

}  // namespace danas::aot
