// SPDX-License-Identifier: MIT
// Microseconds since the first look, from the 32-bit cycle counter.
#pragma once

#include <cstdint>

namespace danas::app {

// To be called at least once in 2^32 cycles (19.9 s at 216 MHz): a whole turn of the counter cannot be seen. So the
// command loop, each line sent, each frame received and each inference call it.
uint64_t microseconds();

}  // namespace danas::app
