// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "board.h"

namespace danas::stm32h7 {

// AHB and AXI at half of the processor's clock, each APB at a quarter: at 400 MHz, 200 and 100 MHz are their most
// (DS12110, general operating conditions).
constexpr uint32_t kAxiHz = board::kClockHz / 2;
constexpr uint32_t kApbHz = board::kClockHz / 4;

// From the internal oscillator after reset to board::kClockHz, made from the external clock by PLL1.
// Where a step does not come to its end the program halts with the fault line, kind Clock, the register as address.
void start_clock();

}  // namespace danas::stm32h7
