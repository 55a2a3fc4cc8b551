// SPDX-License-Identifier: MIT
// What a board must give to the program. One folder a family implements it; the linker is the plug.
#pragma once

#include <cstddef>
#include <cstdint>

namespace danas::port {

// Clock tree, flash wait states, caches, UART, cycle counter. Called once, first thing in main.
void init();

// UART, polled. put blocks until the byte is taken; get returns -1 when nothing has come.
void put(uint8_t byte);
int get();

// A free-running counter of processor cycles, 32 bits, wraps.
uint32_t cycles();

// Processor cycles a second.
uint32_t clock_hz();

// Where a port that shares the processor with somebody else's program cannot tell a figure.
constexpr size_t kUnknown = static_cast<size_t>(-1);
#ifdef ARDUINO
constexpr bool kMayNotKnow = true;
#else
constexpr bool kMayNotKnow = false;
#endif

struct RamReport {
  size_t static_bytes;   // .data and .bss outside the arena
  size_t stack_reserve;  // set aside by the linker
  size_t stack_used;     // high-water mark of the painted stack
};
RamReport ram();

}  // namespace danas::port
