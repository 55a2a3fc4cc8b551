// SPDX-License-Identifier: MIT
// Addresses that linker.ld defines. Only the address of each means something.
#pragma once

#include <cstdint>

extern "C" {
extern uint32_t danas_stack_bottom[];
extern uint32_t danas_stack_top[];
extern uint32_t danas_data_start[];
extern uint32_t danas_data_end[];
extern const uint32_t danas_data_image[];  // what .data starts as, in flash
extern uint32_t danas_bss_start[];
extern uint32_t danas_bss_end[];
extern void (*const danas_init_array_start[])();
extern void (*const danas_init_array_end[])();
}

namespace danas::cortex_m {

// The unused stack is filled with this word at reset.
constexpr uint32_t kStackPaint = 0xC5C5'C5C5;

}  // namespace danas::cortex_m
