// SPDX-License-Identifier: MIT
// The clock tree at full speed. RM0351 (L4) and RM0432 (L4+): PLL; dynamic voltage scaling, of which L4+ alone has the
// range 1 boost mode; read access latency of the flash, which is raised before the clock.
#include "stm32l4/clock.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/registers.h"
#include "stm32/steps.h"
#include "stm32l4/registers.h"

namespace danas::stm32l4 {

using port::at;
using stm32::change;
using stm32::set;
using stm32::wait;

namespace {

// STM32L4P, L4Q, L4R and L4S are L4+; L4 have a digit or an A there.
constexpr char kLine = board::kMcu[7];
constexpr bool kIsPlus = kLine >= 'P' && kLine <= 'S';
static_assert(board::kMcu[5] == 'L' && board::kMcu[6] == '4', "an STM32L4");

// MSI, 4 MHz / M into the PLL; x N = twice the processor's clock in its oscillator; / R = the processor's clock. P and
// Q stay off.
constexpr uint32_t kMegahertz = 1'000'000;
constexpr uint32_t kM = 1;
constexpr uint32_t kR = 2;
constexpr uint32_t kN = board::kClockHz / (kMsiHz / kM) * kR;
static_assert(board::kClockSourceHz == kMsiHz, "this port starts from MSI as it is after reset");
static_assert(board::kClockHz % (kMsiHz / kM) == 0, "a multiple of what goes into the PLL");
static_assert(kN >= 8 && kN <= (kIsPlus ? 127 : 86), "RCC_PLLCFGR: 8 <= PLLN <= 86 in RM0351, 127 in RM0432");
static_assert(kMsiHz / kM * kN >= 64 * kMegahertz && kMsiHz / kM * kN <= 344 * kMegahertz,
              "RCC_PLLCFGR: the PLL's oscillator runs at 64 to 344 MHz");
constexpr uint32_t kPllcfgr = kPllSourceMsi | ((kM - 1) << 4) | (kN << 8) | ((kR / 2 - 1) << 25) | kPllROutput;

// Range 1, as reset leaves it, is for up to 80 MHz, its boost mode for up to 120 MHz.
constexpr bool kBoost = board::kClockHz > 80 * kMegahertz;
static_assert(kIsPlus || !kBoost, "RM0351, dynamic voltage scaling: 80 MHz in range 1");
static_assert(board::kClockHz <= 120 * kMegahertz, "RM0432, dynamic voltage scaling: 120 MHz in range 1 boost mode");

// Wait states by clock, range 1: one more every 16 MHz (RM0351) or 20 MHz (RM0432).
constexpr uint32_t kWaitStates = (board::kClockHz - 1) / ((kIsPlus ? 20 : 16) * kMegahertz);
static_assert(kWaitStates <= (kIsPlus ? 5 : 4), "RM0351: at most 4 wait states, at 80 MHz; RM0432: 5, at 120 MHz");

}  // namespace

void start_clock() {
  set(kRccApb1enr1, kApb1Power);
  // A peripheral answers a few cycles after its clock is enabled (RCC registers): reading the register takes longer.
  wait(kRccApb1enr1, kApb1Power, kApb1Power);
  wait(kRccCr, kCrMsiReady, kCrMsiReady);

  at(kRccPllcfgr) = kPllcfgr;
  set(kRccCr, kCrPllOn);
  wait(kRccCr, kCrPllReady, kCrPllReady);

  if constexpr (kBoost) {
    // The order of the manual's "range 1 normal to range 1 boost": half the clock, boost, wait states, the new clock,
    // and 1 us later the whole of it.
    change(kRccCfgr, kCfgrAhbMask, kCfgrAhbDiv2);
    change(kPwrCr1, kVoltageMask, kVoltageRange1);
    wait(kPwrSr2, kVoltageChanging, 0);
    change(kPwrCr5, kRange1Normal, 0);
  }

  at(kFlashAcr) = kAcrPrefetch | kAcrInstructionCache | kAcrDataCache | kWaitStates;
  wait(kFlashAcr, kAcrLatencyMask, kWaitStates);

  set(kRccCfgr, kCfgrSwitchPll);
  wait(kRccCfgr, kCfgrStatusMask, kCfgrStatusPll);
  if constexpr (kBoost) {
    // At half the clock these rounds take more than 1 us: each is at least two cycles.
    for (uint32_t round = 0; round < board::kClockHz / kMegahertz; ++round) {
      __asm volatile("nop");
    }
    change(kRccCfgr, kCfgrAhbMask, 0);
  }
}

}  // namespace danas::stm32l4
