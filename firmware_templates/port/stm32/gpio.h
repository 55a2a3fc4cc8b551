// SPDX-License-Identifier: MIT
// A port of general-purpose I/O, as F4, F7, H7 and L4 have it. RM0385, GPIO registers.
#pragma once

#include <cstdint>

#include "stm32/steps.h"

namespace danas::stm32 {

template <uintptr_t kBase>
struct Gpio {
  static constexpr uintptr_t kModer = kBase + 0x00;
  static constexpr uintptr_t kPupdr = kBase + 0x0C;
  static constexpr uintptr_t kAfrl = kBase + 0x20;
  static constexpr uintptr_t kAfrh = kBase + 0x24;

  // Gives these pins to a peripheral.
  template <uint32_t kFunction, uint32_t... kPins>
  static void alternate() {
    constexpr uint64_t kMask = (... | (uint64_t{0xF} << (4 * kPins)));
    constexpr uint64_t kBits = (... | (uint64_t{kFunction} << (4 * kPins)));
    if constexpr ((kMask & 0xFFFF'FFFF) != 0) {
      change(kAfrl, static_cast<uint32_t>(kMask), static_cast<uint32_t>(kBits));
    }
    if constexpr ((kMask >> 32) != 0) {
      change(kAfrh, static_cast<uint32_t>(kMask >> 32), static_cast<uint32_t>(kBits >> 32));
    }
    change(kModer, (... | (3u << (2 * kPins))), (... | (2u << (2 * kPins))));
  }

  template <uint32_t kPin>
  static void pull_up() {
    change(kPupdr, 3u << (2 * kPin), 1u << (2 * kPin));
  }
};

}  // namespace danas::stm32
