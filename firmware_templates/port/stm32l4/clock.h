// SPDX-License-Identifier: MIT
#pragma once

namespace danas::stm32l4 {

// From the internal oscillator after reset (MSI) to board::kClockHz, made from it by the PLL.
// Where a step does not come to its end the program halts with the fault line, kind Clock, the register as address.
void start_clock();

}  // namespace danas::stm32l4
