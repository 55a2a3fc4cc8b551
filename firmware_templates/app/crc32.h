// SPDX-License-Identifier: MIT
// CRC-32 of IEEE 802.3 (polynomial 0x04C11DB7, reflected), the same as zlib's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace danas::app {

class Crc32 {
 public:
  void add(uint8_t byte) {
    uint32_t state = ~value_;
    state = (state >> 4) ^ kTable[(state ^ byte) & 15];
    state = (state >> 4) ^ kTable[(state ^ (byte >> 4)) & 15];
    value_ = ~state;
  }
  uint32_t value() const { return value_; }

 private:
  // By nibbles: 64 bytes of table. The CRC of nibble n is four steps of the shift register.
  static constexpr uint32_t kTable[16] = {
      0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
      0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
  };
  uint32_t value_ = 0;  // of nothing; and so a static one lies in .bss
};

inline uint32_t crc32(const uint8_t* bytes, size_t count) {
  Crc32 crc;
  for (size_t index = 0; index < count; ++index) {
    crc.add(bytes[index]);
  }
  return crc.value();
}

}  // namespace danas::app
