// SPDX-License-Identifier: MIT
// The clock tree at full speed. RM0385: PLL; entering over-drive mode, which is done while the internal oscillator is
// the system clock; read access latency of the flash, which is raised before the clock.
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
static_assert(kM >= 2 && kM <= 63, "RM0385, RCC_PLLCFGR: 2 <= PLLM <= 63");
static_assert(kN >= 100 && kN <= 432, "RM0385, RCC_PLLCFGR: the PLL's oscillator runs at 100 to 432 MHz");
static_assert(kQ >= 2 && kQ <= 15, "RM0385, RCC_PLLCFGR: 2 <= PLLQ <= 15");
static_assert(board::kClockHz > 180 * kMegahertz, "RM0385, voltage scaling: up to 180 MHz over-drive is not needed");
constexpr uint32_t kPllcfgr = kM | (kN << 6) | ((kP / 2 - 1) << 16) | kPllSourceHse | (kQ << 24);

// RM0385, wait states by clock and voltage, at 2.7 to 3.6 V: one more every 30 MHz.
constexpr uint32_t kWaitStates = (board::kClockHz - 1) / (30 * kMegahertz);
static_assert(kWaitStates <= 7, "RM0385: at most 7 wait states, at 216 MHz");

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
  // A peripheral answers a few cycles after its clock is enabled (RM0385, RCC): reading the register takes longer.
  wait(kRccApb1enr, kApb1Power, kApb1Power);
  // The regulator takes the scale over when the PLL is switched on.
  set(kPwrCr1, kVoltageScale1);
  // AHB at the processor's clock; APB1 at a quarter (at most 54 MHz), APB2 at half (at most 108 MHz). A divider takes
  // up to 16 cycles to act, so it is set long before the clock is raised.
  at(kRccCfgr) = kCfgrApb1Div4 | kCfgrApb2Div2;

  set(kRccCr, board::kClockSourceIsBypass ? kCrHseBypass : 0);
  set(kRccCr, kCrHseOn);
  wait(kRccCr, kCrHseReady, kCrHseReady);

  at(kRccPllcfgr) = (at(kRccPllcfgr) & kPllcfgrReserved) | kPllcfgr;
  set(kRccCr, kCrPllOn);
  wait(kRccCr, kCrPllReady, kCrPllReady);

  set(kPwrCr1, kOverDriveOn);
  wait(kPwrCsr1, kOverDriveReady, kOverDriveReady);
  set(kPwrCr1, kOverDriveSwitch);
  wait(kPwrCsr1, kOverDriveSwitchReady, kOverDriveSwitchReady);
  wait(kPwrCsr1, kVoltageReady, kVoltageReady);

  // The program runs from 0x0800'0000, on the AXI bus, through the core's caches. The ART accelerator serves the other
  // view of flash alone, at 0x0020'0000; it costs nothing to have it on. It may only be reset while it is off.
  at(kFlashAcr) = kAcrArtReset | kWaitStates;
  at(kFlashAcr) = kAcrArt | kAcrPrefetch | kWaitStates;
  wait(kFlashAcr, kAcrLatencyMask, kWaitStates);

  set(kRccCfgr, kCfgrSwitchPll);
  wait(kRccCfgr, kCfgrStatusMask, kCfgrStatusPll);
}

}  // namespace danas::stm32f7
