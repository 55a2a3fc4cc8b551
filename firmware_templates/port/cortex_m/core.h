// SPDX-License-Identifier: MIT
// What every Armv7-M core has: caches, cycle counter, faults.
#pragma once

#include <cstdint>

#include "cortex_m/registers.h"

namespace danas::cortex_m {

// Invalidates and enables the instruction and data caches of a Cortex-M7.
void enable_caches();

void start_cycle_counter();

// Processor cycles since start_cycle_counter, where the core counts them.
inline uint32_t cycle_counter() { return port::at(kDwtCyccnt); }

// MemManage, BusFault and UsageFault get exceptions of their own; a division by zero is a fault, and so is an access
// to the 64 kB below RAM, where the stack ends.
void enable_faults();

// Prints the protocol's fault line, then `m-ready`, and halts.
[[noreturn]] void halt(const char* kind, uint32_t pc, uint32_t lr, uint32_t cfsr, uint32_t address);

// The board's port gives this: makes put() usable even where a fault came before the UART was set up.
void ensure_uart();

}  // namespace danas::cortex_m
