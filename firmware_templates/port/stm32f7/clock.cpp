// SPDX-License-Identifier: MIT
// The clock tree at full speed. RM0385, section 5.2.3 (PLL), section 4.1.4 (over-drive: the order of steps),
// section 3.3.2 (wait states: before the clock is raised).
#include "stm32f7/clock.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "stm32f7/registers.h"

namespace danas::stm32f7 {

using port::at;

namespace {

// source / M = 1 MHz into the PLL; x N = 432 MHz in its oscillator; / P = the processor's clock; / Q = 48 MHz.
constexpr uint32_t kMegahertz = 1'000'000;
constexpr uint32_t kM = board::kClockSourceHz / kMegahertz;
constexpr uint32_t kP = 2;
constexpr uint32_t kN = board::kClockHz / kMegahertz * kP;
constexpr uint32_t kQ = (kN + 47) / 48;
static_assert(board::kClockSourceHz % kMegahertz == 0 && board::kClockHz % kMegahertz == 0, "whole megahertz");
static_assert(kM >= 2 && kM <= 63, "RM0385, section 5.3.2: 2 <= PLLM <= 63");
static_assert(kN >= 100 && kN <= 432, "RM0385, section 5.3.2: the PLL's oscillator runs at 100 to 432 MHz");
static_assert(kQ >= 2 && kQ <= 15, "RM0385, section 5.3.2: 2 <= PLLQ <= 15");
static_assert(board::kClockHz > 180 * kMegahertz, "RM0385, section 4.1.4: up to 180 MHz over-drive is not needed");
constexpr uint32_t kPllcfgr = kM | (kN << 6) | ((kP / 2 - 1) << 16) | kPllSourceHse | (kQ << 24);

// RM0385, table 7, at 2.7 to 3.6 V: one wait state more every 30 MHz.
constexpr uint32_t kWaitStates = (board::kClockHz - 1) / (30 * kMegahertz);
static_assert(kWaitStates <= 7, "RM0385, table 7: at most 7 wait states at 216 MHz");

void set(uintptr_t address, uint32_t bits) { at(address) = at(address) | bits; }

// Every step is done within 1 ms; at 16 MHz these rounds take about 100 ms.
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
  set(kRccApb1enr, kApb1Power);
  // A peripheral answers two cycles after its clock is enabled (RM0385, section 5.2): the read takes longer.
  wait(kRccApb1enr, kApb1Power, kApb1Power);
  set(kPwrCr1, kVoltageScale1);

  set(kRccCr, board::kClockSourceIsBypass ? kCrHseBypass : 0);
  set(kRccCr, kCrHseOn);
  wait(kRccCr, kCrHseReady, kCrHseReady);

  at(kRccPllcfgr) = kPllcfgr;
  set(kRccCr, kCrPllOn);
  wait(kRccCr, kCrPllReady, kCrPllReady);

  set(kPwrCr1, kOverDriveOn);
  wait(kPwrCsr1, kOverDriveReady, kOverDriveReady);
  set(kPwrCr1, kOverDriveSwitch);
  wait(kPwrCsr1, kOverDriveSwitchReady, kOverDriveSwitchReady);
  wait(kPwrCsr1, kVoltageReady, kVoltageReady);

  // The ART accelerator may only be reset while it is off.
  at(kFlashAcr) = kAcrArtReset | kWaitStates;
  at(kFlashAcr) = kAcrArt | kAcrPrefetch | kWaitStates;
  wait(kFlashAcr, kAcrLatencyMask, kWaitStates);

  // AHB at the processor's clock; APB1 at a quarter (at most 54 MHz), APB2 at half (at most 108 MHz).
  at(kRccCfgr) = kCfgrApb1Div4 | kCfgrApb2Div2;
  set(kRccCfgr, kCfgrSwitchPll);
  wait(kRccCfgr, kCfgrStatusMask, kCfgrStatusPll);
}

}  // namespace danas::stm32f7
