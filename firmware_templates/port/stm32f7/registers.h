// SPDX-License-Identifier: MIT
// Peripheral registers of STM32F75xxx and STM32F74xxx, as far as the port uses them.
// RM0385, memory map and the registers of each peripheral.
#pragma once

#include <cstdint>

namespace danas::stm32f7 {

// Reset and clock control: RM0385, RCC registers.
constexpr uintptr_t kRcc = 0x4002'3800;
constexpr uintptr_t kRccCr = kRcc + 0x00;
constexpr uintptr_t kRccPllcfgr = kRcc + 0x04;
constexpr uintptr_t kRccCfgr = kRcc + 0x08;
constexpr uintptr_t kRccAhb1enr = kRcc + 0x30;
constexpr uintptr_t kRccApb1enr = kRcc + 0x40;
constexpr uintptr_t kRccDckcfgr2 = kRcc + 0x90;

constexpr uint32_t kCrHseOn = 1u << 16;
constexpr uint32_t kCrHseReady = 1u << 17;
constexpr uint32_t kCrHseBypass = 1u << 18;
constexpr uint32_t kCrPllOn = 1u << 24;
constexpr uint32_t kCrPllReady = 1u << 25;

// Reserved bits, to be kept at what they are after reset.
constexpr uint32_t kPllcfgrReserved = 0xF0BC'8000;
constexpr uint32_t kPllSourceHse = 1u << 22;

constexpr uint32_t kCfgrSwitchMask = 3u << 0;
constexpr uint32_t kCfgrSwitchPll = 2u << 0;
constexpr uint32_t kCfgrStatusMask = 3u << 2;
constexpr uint32_t kCfgrStatusPll = 2u << 2;
constexpr uint32_t kCfgrApb1Div4 = 5u << 10;
constexpr uint32_t kCfgrApb2Div2 = 4u << 13;

constexpr uint32_t kAhb1GpioD = 1u << 3;
constexpr uint32_t kApb1Usart3 = 1u << 18;
constexpr uint32_t kApb1Power = 1u << 28;

constexpr uint32_t kUsart3SelMask = 3u << 4;
constexpr uint32_t kUsart3SelSysclk = 1u << 4;
constexpr uint32_t kUsart3SelHsi = 2u << 4;

// The internal oscillator, on after reset: RM0385, HSI clock.
constexpr uint32_t kHsiHz = 16'000'000;

// Power controller: RM0385, PWR registers.
constexpr uintptr_t kPwr = 0x4000'7000;
constexpr uintptr_t kPwrCr1 = kPwr + 0x00;
constexpr uintptr_t kPwrCsr1 = kPwr + 0x04;

constexpr uint32_t kVoltageScale1 = 3u << 14;
constexpr uint32_t kVoltageReady = 1u << 14;
constexpr uint32_t kOverDriveOn = 1u << 16;
constexpr uint32_t kOverDriveSwitch = 1u << 17;
constexpr uint32_t kOverDriveReady = 1u << 16;
constexpr uint32_t kOverDriveSwitchReady = 1u << 17;

// Flash interface: RM0385, FLASH_ACR.
constexpr uintptr_t kFlashAcr = 0x4002'3C00;
constexpr uint32_t kAcrPrefetch = 1u << 8;
constexpr uint32_t kAcrArt = 1u << 9;
constexpr uint32_t kAcrArtReset = 1u << 11;
constexpr uint32_t kAcrLatencyMask = 15u << 0;

// General-purpose I/O, port D: RM0385, GPIO registers.
constexpr uintptr_t kGpioD = 0x4002'0C00;
constexpr uintptr_t kGpioDModer = kGpioD + 0x00;
constexpr uintptr_t kGpioDPupdr = kGpioD + 0x0C;
constexpr uintptr_t kGpioDAfrh = kGpioD + 0x24;

// RM0385, memory map; its clock: RCC_DCKCFGR2.
constexpr uintptr_t kUsart3 = 0x4000'4800;

}  // namespace danas::stm32f7
