// SPDX-License-Identifier: MIT
// Microseconds since the first look, from the 32-bit cycle counter.
#pragma once

#include <cstdint>

namespace danas::app {

class Stopwatch {
 public:
  // To be called at least once in 2^32 cycles (19.9 s at 216 MHz): a whole turn of the counter cannot be seen.
  uint64_t microseconds();

 private:
  uint32_t last_ = 0;       // counter at the last look
  uint32_t remainder_ = 0;  // cycles that were no whole microsecond yet
  uint64_t total_ = 0;
};

}  // namespace danas::app
