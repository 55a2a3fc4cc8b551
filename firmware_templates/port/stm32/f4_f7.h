// SPDX-License-Identifier: MIT
// What STM32F7 and the STM32F4 with over-drive (F42x, F43x, F446, F469) have alike: RCC and PWR, and the way to full
// speed. RM0390 and RM0385: memory map, RCC and PWR registers; PLL; entering over-drive mode.
#pragma once

#include <cstdint>

#include "board.h"
#include "cortex_m/registers.h"
#include "stm32/steps.h"

namespace danas::stm32::f4_f7 {

constexpr uintptr_t kRcc = 0x4002'3800;
constexpr uintptr_t kRccCr = kRcc + 0x00;
constexpr uintptr_t kRccPllcfgr = kRcc + 0x04;
constexpr uintptr_t kRccCfgr = kRcc + 0x08;
constexpr uintptr_t kRccAhb1enr = kRcc + 0x30;
constexpr uintptr_t kRccApb1enr = kRcc + 0x40;
constexpr uintptr_t kRccApb2enr = kRcc + 0x44;

constexpr uint32_t kCrHseOn = 1u << 16;
constexpr uint32_t kCrHseReady = 1u << 17;
constexpr uint32_t kCrHseBypass = 1u << 18;
constexpr uint32_t kCrPllOn = 1u << 24;
constexpr uint32_t kCrPllReady = 1u << 25;

// Bits to be kept at what they are after reset: reserved ones, and in the STM32F446 the divider of an output of the PLL
// that nothing here uses.
constexpr uint32_t kPllcfgrKept = 0xF0BC'8000;
constexpr uint32_t kPllSourceHse = 1u << 22;

constexpr uint32_t kCfgrSwitchMask = 3u << 0;
constexpr uint32_t kCfgrSwitchPll = 2u << 0;
constexpr uint32_t kCfgrStatusMask = 3u << 2;
constexpr uint32_t kCfgrStatusPll = 2u << 2;
constexpr uint32_t kCfgrApb1Div4 = 5u << 10;
constexpr uint32_t kCfgrApb2Div2 = 4u << 13;
constexpr uint32_t kApb1Divider = 4;
constexpr uint32_t kApb2Divider = 2;

constexpr uint32_t kAhb1GpioA = 1u << 0;
constexpr uint32_t kAhb1GpioB = 1u << 1;
constexpr uint32_t kAhb1GpioD = 1u << 3;
constexpr uint32_t kApb1Power = 1u << 28;

// The internal oscillator, on after reset: HSI clock.
constexpr uint32_t kHsiHz = 16'000'000;

constexpr uintptr_t kPwr = 0x4000'7000;
constexpr uintptr_t kPwrControl = kPwr + 0x00;
constexpr uintptr_t kPwrStatus = kPwr + 0x04;

constexpr uint32_t kVoltageScale1 = 3u << 14;
constexpr uint32_t kVoltageReady = 1u << 14;
constexpr uint32_t kOverDriveOn = 1u << 16;
constexpr uint32_t kOverDriveSwitch = 1u << 17;
constexpr uint32_t kOverDriveReady = 1u << 16;
constexpr uint32_t kOverDriveSwitchReady = 1u << 17;

constexpr uintptr_t kFlashAcr = 0x4002'3C00;
constexpr uint32_t kAcrLatencyMask = 15u << 0;

constexpr uintptr_t kGpioA = 0x4002'0000;
constexpr uintptr_t kGpioB = 0x4002'0400;
constexpr uintptr_t kGpioD = 0x4002'0C00;

// source / M = 1 MHz into the PLL; x N = twice the processor's clock in its oscillator; / P = the processor's clock;
// / Q = 48 MHz at most.
constexpr uint32_t kMegahertz = 1'000'000;
constexpr uint32_t kM = board::kClockSourceHz / kMegahertz;
constexpr uint32_t kP = 2;
constexpr uint32_t kN = board::kClockHz / kMegahertz * kP;
constexpr uint32_t kQ = (kN + 47) / 48;
static_assert(board::kClockSourceHz % kMegahertz == 0 && board::kClockHz % kMegahertz == 0, "whole megahertz");
static_assert(kM >= 2 && kM <= 63, "RCC_PLLCFGR: 2 <= PLLM <= 63");
static_assert(kN >= 100 && kN <= 432, "RCC_PLLCFGR: the PLL's oscillator runs at 100 to 432 MHz");
static_assert(kQ >= 2 && kQ <= 15, "RCC_PLLCFGR: 2 <= PLLQ <= 15");
constexpr uint32_t kPllcfgr = kM | (kN << 6) | ((kP / 2 - 1) << 16) | kPllSourceHse | (kQ << 24);

// Wait states of the flash by clock, at 2.7 to 3.6 V: one more every 30 MHz.
constexpr uint32_t kWaitStates = (board::kClockHz - 1) / (30 * kMegahertz);

// From what reset leaves to a locked PLL, with the regulator in over-drive mode: which is entered while the internal
// oscillator is the system clock.
inline void start_pll() {
  set(kRccApb1enr, kApb1Power);
  // A peripheral answers a few cycles after its clock is enabled (RCC registers): reading the register takes longer.
  wait(kRccApb1enr, kApb1Power, kApb1Power);
  // The regulator takes the scale over when the PLL is switched on.
  set(kPwrControl, kVoltageScale1);
  // AHB at the processor's clock. A divider takes up to 16 cycles to act, so it is set long before the clock is raised.
  port::at(kRccCfgr) = kCfgrApb1Div4 | kCfgrApb2Div2;

  set(kRccCr, board::kClockSourceIsBypass ? kCrHseBypass : 0);
  set(kRccCr, kCrHseOn);
  wait(kRccCr, kCrHseReady, kCrHseReady);

  port::at(kRccPllcfgr) = (port::at(kRccPllcfgr) & kPllcfgrKept) | kPllcfgr;
  set(kRccCr, kCrPllOn);
  wait(kRccCr, kCrPllReady, kCrPllReady);

  set(kPwrControl, kOverDriveOn);
  wait(kPwrStatus, kOverDriveReady, kOverDriveReady);
  set(kPwrControl, kOverDriveSwitch);
  wait(kPwrStatus, kOverDriveSwitchReady, kOverDriveSwitchReady);
  wait(kPwrStatus, kVoltageReady, kVoltageReady);
}

// Once the flash has its wait states.
inline void switch_to_pll() {
  set(kRccCfgr, kCfgrSwitchPll);
  wait(kRccCfgr, kCfgrStatusMask, kCfgrStatusPll);
}

}  // namespace danas::stm32::f4_f7
