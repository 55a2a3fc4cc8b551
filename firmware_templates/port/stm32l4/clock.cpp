// SPDX-License-Identifier: MIT
// The clock tree at full speed. RM0432: PLL; dynamic voltage scaling, range 1 boost mode; read access latency of the
// flash, which is raised before the clock.
#include "stm32l4/clock.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "stm32l4/registers.h"

namespace danas::stm32l4 {

using port::at;

namespace {

// MSI, 4 MHz / M into the PLL; x N = 240 MHz in its oscillator; / R = the processor's clock. P and Q stay off.
constexpr uint32_t kMegahertz = 1'000'000;
constexpr uint32_t kM = 1;
constexpr uint32_t kR = 2;
constexpr uint32_t kN = board::kClockHz / (kMsiHz / kM) * kR;
static_assert(board::kClockSourceHz == kMsiHz, "this port starts from MSI as it is after reset");
static_assert(board::kClockHz % (kMsiHz / kM) == 0, "a multiple of what goes into the PLL");
static_assert(kN >= 8 && kN <= 127, "RM0432, RCC_PLLCFGR: 8 <= PLLN <= 127");
static_assert(kMsiHz / kM * kN >= 64 * kMegahertz && kMsiHz / kM * kN <= 344 * kMegahertz,
              "RM0432, RCC_PLLCFGR: the PLL's oscillator runs at 64 to 344 MHz");
static_assert(board::kClockHz > 80 * kMegahertz && board::kClockHz <= 120 * kMegahertz,
              "RM0432, voltage scaling: the boost mode is for 80 to 120 MHz");
constexpr uint32_t kPllcfgr = kPllSourceMsi | ((kM - 1) << 4) | (kN << 8) | ((kR / 2 - 1) << 25) | kPllROutput;

// RM0432, wait states by clock, range 1 boost mode: one more every 20 MHz.
constexpr uint32_t kWaitStates = (board::kClockHz - 1) / (20 * kMegahertz);
static_assert(kWaitStates <= 5, "RM0432: at most 5 wait states, at 120 MHz");

void set(uintptr_t address, uint32_t bits) { at(address) = at(address) | bits; }

// Every step is done within 1 ms; at 4 MHz these rounds take about 400 ms.
void wait(uintptr_t address, uint32_t mask, uint32_t value) {
  for (uint32_t round = 0; round < 200'000; ++round) {
    if ((at(address) & mask) == value) {
      return;
    }
  }
  cortex_m::halt("Clock", 0, 0, 0, address);
}

}  // namespace

void start_clock() {
  set(kRccApb1enr1, kApb1Power);
  // A peripheral answers a few cycles after its clock is enabled (RM0432, RCC): reading the register takes longer.
  wait(kRccApb1enr1, kApb1Power, kApb1Power);
  wait(kRccCr, kCrMsiReady, kCrMsiReady);

  at(kRccPllcfgr) = kPllcfgr;
  set(kRccCr, kCrPllOn);
  wait(kRccCr, kCrPllReady, kCrPllReady);

  // The order of the manual's "range 1 normal to range 1 boost": half the clock, boost, wait states, the new clock,
  // and 1 us later the whole of it.
  at(kRccCfgr) = (at(kRccCfgr) & ~kCfgrAhbMask) | kCfgrAhbDiv2;
  at(kPwrCr1) = (at(kPwrCr1) & ~kVoltageMask) | kVoltageRange1;
  wait(kPwrSr2, kVoltageChanging, 0);
  at(kPwrCr5) = at(kPwrCr5) & ~kRange1Normal;

  at(kFlashAcr) = kAcrPrefetch | kAcrInstructionCache | kAcrDataCache | kWaitStates;
  wait(kFlashAcr, kAcrLatencyMask, kWaitStates);

  set(kRccCfgr, kCfgrSwitchPll);
  wait(kRccCfgr, kCfgrStatusMask, kCfgrStatusPll);
  // At half the clock these rounds take more than 1 us: each is at least two cycles.
  for (uint32_t round = 0; round < board::kClockHz / kMegahertz; ++round) {
    __asm volatile("nop");
  }
  at(kRccCfgr) = at(kRccCfgr) & ~kCfgrAhbMask;
}

}  // namespace danas::stm32l4
