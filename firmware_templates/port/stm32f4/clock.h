// SPDX-License-Identifier: MIT
#pragma once

namespace danas::stm32f4 {

// From the internal oscillator after reset to board::kClockHz, made from the external clock by the PLL.
// Where a step does not come to its end the program halts with the fault line, kind Clock, the register as address.
void start_clock();

// Back to the internal oscillator, on all buses and whatever has come of start_clock.
void stop_clock();

}  // namespace danas::stm32f4
