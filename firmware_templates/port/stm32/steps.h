// SPDX-License-Identifier: MIT
// What start-up code does with registers, step by step.
#pragma once

#include <cstdint>

#include "cortex_m/core.h"
#include "cortex_m/registers.h"

namespace danas::stm32 {

inline void set(uintptr_t address, uint32_t bits) { port::at(address) = port::at(address) | bits; }

inline void change(uintptr_t address, uint32_t mask, uint32_t bits) {
  port::at(address) = (port::at(address) & ~mask) | bits;
}

// Halts where the answer does not come, with the fault line, kind Clock, the register as address. Every step is done
// within a few milliseconds; these rounds take about 25 ms at 64 MHz, 100 ms at 16 MHz and 400 ms at 4 MHz.
inline void wait(uintptr_t address, uint32_t mask, uint32_t value) {
  for (uint32_t round = 0; round < 200'000; ++round) {
    if ((port::at(address) & mask) == value) {
      return;
    }
  }
  cortex_m::halt("Clock", 0, 0, 0, address);
}

}  // namespace danas::stm32
