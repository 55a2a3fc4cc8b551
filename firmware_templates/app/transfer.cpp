// SPDX-License-Identifier: MIT
#include "transfer.h"

#include "crc32.h"
#include "port.h"
#include "stopwatch.h"

namespace danas::app {

namespace {

constexpr uint8_t kStart = 0xA5;
constexpr uint8_t kEnq = 0x05;
constexpr uint8_t kAck = 0x06;
constexpr uint8_t kNak = 0x15;

// The host answers within this, or is gone.
uint32_t patience() { return 2 * port::clock_hz(); }

// A host that was asked for bytes and sends none is asked again: as often within its patience.
constexpr uint32_t kAsked = 4;

// Within a frame bytes follow each other; a USB bridge pauses for a few milliseconds at most.
uint32_t gap() { return port::clock_hz() / 10; }

// After a bad frame: this long without a byte means that all of it has passed.
uint32_t quiet() { return port::clock_hz() / 50; }

// The next byte, or -1 when none comes within that many cycles.
int get_within(uint32_t limit) {
  int byte = port::get();
  if (byte >= 0) {
    return byte;
  }
  const uint32_t start = port::cycles();
  do {
    byte = port::get();
    if (byte >= 0) {
      return byte;
    }
  } while (port::cycles() - start < limit);
  return -1;
}

// A bad frame gets one answer, and only when the rest of it has been swallowed: its payload cannot be taken for
// another frame, and the host never finds a second answer where it expects the next one.
void refuse() {
  while (get_within(quiet()) >= 0) {
  }
  port::put(kNak);
}

// Reads a part of a frame; bytes beyond the end of `to` are checked but not kept. False: the line fell silent.
bool read(Crc32& crc, uint8_t* to, size_t count) {
  for (size_t index = 0; index < count; ++index) {
    const int byte = get_within(gap());
    if (byte < 0) {
      return false;
    }
    crc.add(static_cast<uint8_t>(byte));
    if (to != nullptr) {
      to[index] = static_cast<uint8_t>(byte);
    }
  }
  return true;
}

// The CRC at the end of a frame, little-endian.
bool read_matches(uint32_t expected) {
  uint32_t received = 0;
  for (int shift = 0; shift < 32; shift += 8) {
    const int byte = get_within(gap());
    if (byte < 0) {
      return false;
    }
    received |= static_cast<uint32_t>(byte) << shift;
  }
  return received == expected;
}

}  // namespace

bool Transfer::take(uint8_t* to, size_t bytes, bool ask) {
  size_t done = 0;
  uint32_t asked = ask ? 1 : 0;
  if (ask) {
    port::put(kEnq);
  }
  while (done < bytes) {
    (void)microseconds();  // a slow transfer takes longer than a turn of the counter
    const bool asking = ask && done == 0;
    const int first = get_within(asking ? patience() / kAsked : patience());
    if (first < 0) {
      if (!asking || asked == kAsked) {
        return false;
      }
      ++asked;
      port::put(kEnq);
      continue;
    }
    asked = 1;
    if (first != kStart) {
      continue;
    }
    Crc32 crc;
    uint8_t header[3];  // sequence, length
    if (!read(crc, header, sizeof header)) {
      refuse();
      continue;
    }
    const size_t length = header[1] | static_cast<size_t>(header[2]) << 8;
    // The frame before, once more: its acknowledgement was lost.
    const bool repeated = begun_ && header[0] == static_cast<uint8_t>(expected_ - 1);
    const bool fits = length >= 1 && length <= kPiece && (repeated || length <= bytes - done);
    if (!fits || !(repeated || header[0] == expected_) ||
        !read(crc, repeated ? nullptr : to + done, length) || !read_matches(crc.value())) {
      refuse();
      continue;
    }
    if (!repeated) {
      done += length;
      ++expected_;
      begun_ = true;
    }
    port::put(kAck);
  }
  return true;
}

}  // namespace danas::app
