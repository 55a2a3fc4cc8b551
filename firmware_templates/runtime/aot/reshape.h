// SPDX-License-Identifier: MIT
// RESHAPE where the memory plan gives the output bytes of its own; where it shares its input's, there is nothing to do.
#pragma once

#include <cstdint>

namespace danas::aot {

struct ReshapeParams {
  uint32_t bytes;
};

// A copy; the buffers must not overlap.
void reshape(const ReshapeParams& params, const void* input, void* output);

}  // namespace danas::aot
