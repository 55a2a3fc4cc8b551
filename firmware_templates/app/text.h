// SPDX-License-Identifier: MIT
// Text on the UART. No printf: a few exact conversions are smaller, and need no heap.
#pragma once

#include <cstddef>
#include <cstdint>

namespace danas::app {

// CRC-32 of `heard` and of all that is said from now on.
void begin_sum(const char* heard);
uint32_t sum();

void text(const char* zero_terminated);
void decimal(uint64_t value);
void hex32(uint32_t value);  // 8 digits

// Three decimals, rounded to nearest, halves away from zero. "nan" for what is no number; beyond 32 bits of integer
// part the value saturates.
void real(float value);

// `m-NAME-[HEX]` lines of 32 bytes each; at least one line.
void hex_lines(const char* name, const uint8_t* bytes, size_t count);

// Ends the line.
void end_line();

// `e-[TEXT]` and the end of the line.
void error(const char* what);

}  // namespace danas::app
