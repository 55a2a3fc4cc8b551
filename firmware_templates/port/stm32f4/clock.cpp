// SPDX-License-Identifier: MIT
// The clock tree at full speed: that of stm32/f4_f7.h, with this family's limits and its flash. RM0390.
#include "stm32f4/clock.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/registers.h"
#include "stm32/steps.h"
#include "stm32f4/registers.h"

namespace danas::stm32f4 {

using port::at;

static_assert(board::kClockHz > 168 * kMegahertz && board::kClockHz <= 180 * kMegahertz,
              "RM0390, voltage scaling: over-drive is for 168 to 180 MHz");
static_assert(kWaitStates <= 5, "RM0390: at most 5 wait states, at 180 MHz");
static_assert(board::kClockHz / kApb1Divider <= 45 * kMegahertz && board::kClockHz / kApb2Divider <= 90 * kMegahertz,
              "RM0390, clocks: APB1 at 45 MHz at most, APB2 at 90 MHz");

void start_clock() {
  start_pll();
  // The caches of the flash may only be reset while they are off, as reset leaves them.
  at(kFlashAcr) = kAcrInstructionCacheReset | kAcrDataCacheReset | kWaitStates;
  at(kFlashAcr) = kAcrPrefetch | kAcrInstructionCache | kAcrDataCache | kWaitStates;
  stm32::wait(kFlashAcr, kAcrLatencyMask, kWaitStates);
  switch_to_pll();
}

// The internal oscillator is never switched off, and fast flash, over-drive and PLL do no harm at its speed. The buses
// lose their dividers once it is the system clock. Not stm32::wait, whose end is the report that this is a part of.
void stop_clock() {
  stm32::change(kRccCfgr, kCfgrSwitchMask, 0);
  for (uint32_t round = 0; round < 200'000 && (at(kRccCfgr) & kCfgrStatusMask) != 0; ++round) {
  }
  at(kRccCfgr) = 0;
}

}  // namespace danas::stm32f4
