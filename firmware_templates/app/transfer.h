// SPDX-License-Identifier: MIT
// The framed binary load; docs/protocol.md, "Binary transfer".
#pragma once

#include <cstddef>
#include <cstdint>

namespace danas::app {

// Largest payload of a frame.
constexpr size_t kPiece = 1024;

// Receives `bytes` bytes straight into `to`. False: nothing came for 2 s; what came before has been written.
bool receive(uint8_t* to, size_t bytes);

}  // namespace danas::app
