// SPDX-License-Identifier: MIT
// The clock tree at full speed. RM0433: system supply startup; dynamic voltage scaling; PLL description; read latency
// of the flash, which is raised, as the voltage, before the clock.
#include "stm32h7/clock.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/registers.h"
#include "stm32/steps.h"
#include "stm32h7/registers.h"

namespace danas::stm32h7 {

using port::at;
using stm32::change;
using stm32::set;
using stm32::wait;

namespace {

// source / M = 2 MHz into the PLL, the least for its wide oscillator; x N in it; / P = the processor's clock.
constexpr uint32_t kMegahertz = 1'000'000;
constexpr uint32_t kInput = 2 * kMegahertz;
constexpr uint32_t kM = board::kClockSourceHz / kInput;
constexpr uint32_t kP = 2;
constexpr uint32_t kN = board::kClockHz / kInput * kP;
static_assert(board::kClockSourceHz % kInput == 0 && board::kClockHz % kInput == 0, "multiples of 2 MHz");
static_assert(kM >= 1 && kM <= 63, "RM0433, RCC_PLLCKSELR: 1 <= DIVM1 <= 63");
static_assert(kN >= 4 && kN <= 512, "RM0433, RCC_PLL1DIVR: 4 <= DIVN1 <= 512");
static_assert(kInput * kN >= 192 * kMegahertz && kInput * kN <= 836 * kMegahertz,
              "DS12110, PLL characteristics, wide range: 192 to 836 MHz, which revision V raises to 960");
static_assert(board::kClockHz > 300 * kMegahertz && board::kClockHz <= 400 * kMegahertz,
              "DS12110, general operating conditions: scale 1 is for 300 to 400 MHz, and revision Y has no more");
// The outputs Q and R stay off; their dividers are as after reset.
constexpr uint32_t kPll1divr = (kN - 1) << 0 | (kP - 1) << 9 | 1u << 16 | 1u << 24;

// RM0433, recommended number of wait states and programming delay, scale 1: for AXI at 185 to 210 MHz.
static_assert(kAxiHz > 185 * kMegahertz && kAxiHz <= 210 * kMegahertz, "RM0433: another AXI clock, another latency");
constexpr uint32_t kWaitStates = 2;
constexpr uint32_t kProgrammingDelay = 2;
constexpr uint32_t kAcr = kWaitStates | kProgrammingDelay << 4;

}  // namespace

void start_clock() {
  // danas_before_ram has chosen the supply; it may have given up waiting for it.
  wait(kPwrCsr1, kSupplyReady, kSupplyReady);
  change(kPwrD3cr, kVoltageMask, kVoltageScale1);
  wait(kPwrD3cr, kVoltageReady, kVoltageReady);

  set(kRccCr, board::kClockSourceIsBypass ? kCrHseBypass : 0);
  set(kRccCr, kCrHseOn);
  wait(kRccCr, kCrHseReady, kCrHseReady);

  change(kRccPllckselr, kPllSourceMask | kPllM1Mask, kPllSourceHse | kM << 4);
  change(kRccPllcfgr, kPll1Mask, kPll1Input2To4MHz | kPll1POutput);
  at(kRccPll1divr) = kPll1divr;
  set(kRccCr, kCrPll1On);
  wait(kRccCr, kCrPll1Ready, kCrPll1Ready);

  change(kFlashAcr, kAcrMask, kAcr);
  wait(kFlashAcr, kAcrMask, kAcr);
  at(kRccD1cfgr) = kD1AhbDiv2 | kD1Apb3Div2;
  at(kRccD2cfgr) = kD2Apb1Div2 | kD2Apb2Div2;
  at(kRccD3cfgr) = kD3Apb4Div2;
  // A divider takes up to 16 cycles of the slowest bus to act; reading it back over that bus takes as long.
  wait(kRccD3cfgr, kD3Apb4Div2, kD3Apb4Div2);

  change(kRccCfgr, kCfgrSwitchMask, kCfgrSwitchPll1);
  wait(kRccCfgr, kCfgrStatusMask, kCfgrStatusPll1);
}

}  // namespace danas::stm32h7
