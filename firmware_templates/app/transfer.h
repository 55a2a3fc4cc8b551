// SPDX-License-Identifier: MIT
// Bytes in frames from the host; docs/protocol.md, "Binary transfer" and "Streamed input".
#pragma once

#include <cstddef>
#include <cstdint>

namespace danas::app {

// Largest payload of a frame.
constexpr size_t kPiece = 1024;

// A series of frames: all of an input, or row after row of it.
class Transfer {
 public:
  // Receives `bytes` bytes straight into `to`. False: nothing came for 2 s; what came before has been written.
  bool receive(uint8_t* to, size_t bytes) { return take(to, bytes, false); }

  // The same, of a host that waits until it is asked for them.
  bool request(uint8_t* to, size_t bytes) { return take(to, bytes, true); }

 private:
  bool take(uint8_t* to, size_t bytes, bool ask);

  uint8_t expected_ = 0;  // sequence of the next frame
  bool begun_ = false;    // a frame has been taken
};

}  // namespace danas::app
