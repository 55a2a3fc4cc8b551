// SPDX-License-Identifier: MIT
// The clock tree at full speed: that of stm32/f4_f7.h, with this family's limits and its flash. RM0385.
#include "stm32f7/clock.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/registers.h"
#include "stm32/steps.h"
#include "stm32f7/registers.h"

namespace danas::stm32f7 {

using port::at;

static_assert(board::kClockHz > 180 * kMegahertz && board::kClockHz <= 216 * kMegahertz,
              "RM0385, voltage scaling: over-drive is for 180 to 216 MHz");
static_assert(kWaitStates <= 7, "RM0385: at most 7 wait states, at 216 MHz");
static_assert(board::kClockHz / kApb1Divider <= 54 * kMegahertz && board::kClockHz / kApb2Divider <= 108 * kMegahertz,
              "RM0385, clocks: APB1 at 54 MHz at most, APB2 at 108 MHz");

void start_clock() {
  start_pll();
  // The program runs from 0x0800'0000, on the AXI bus, through the core's caches. The ART accelerator serves the other
  // view of flash alone, at 0x0020'0000; it costs nothing to have it on. It may only be reset while it is off.
  at(kFlashAcr) = kAcrArtReset | kWaitStates;
  at(kFlashAcr) = kAcrArt | kAcrPrefetch | kWaitStates;
  stm32::wait(kFlashAcr, kAcrLatencyMask, kWaitStates);
  switch_to_pll();
}

}  // namespace danas::stm32f7
