// SPDX-License-Identifier: MIT
// Peripheral registers of STM32L4+ (L4Rxxx, L4Sxxx), as far as the port uses them.
// RM0432, memory map and the registers of each peripheral.
#pragma once

#include <cstdint>

namespace danas::stm32l4 {

// Reset and clock control: RM0432, RCC registers.
constexpr uintptr_t kRcc = 0x4002'1000;
constexpr uintptr_t kRccCr = kRcc + 0x00;
constexpr uintptr_t kRccCfgr = kRcc + 0x08;
constexpr uintptr_t kRccPllcfgr = kRcc + 0x0C;
constexpr uintptr_t kRccAhb2enr = kRcc + 0x4C;
constexpr uintptr_t kRccApb1enr1 = kRcc + 0x58;
constexpr uintptr_t kRccApb1enr2 = kRcc + 0x5C;
constexpr uintptr_t kRccCcipr = kRcc + 0x88;

constexpr uint32_t kCrMsiReady = 1u << 1;
constexpr uint32_t kCrHsiOn = 1u << 8;
constexpr uint32_t kCrHsiReady = 1u << 10;
constexpr uint32_t kCrPllOn = 1u << 24;
constexpr uint32_t kCrPllReady = 1u << 25;

constexpr uint32_t kPllSourceMsi = 1u << 0;
constexpr uint32_t kPllROutput = 1u << 24;  // PLLREN: to the system clock

constexpr uint32_t kCfgrSwitchPll = 3u << 0;
constexpr uint32_t kCfgrStatusMask = 3u << 2;
constexpr uint32_t kCfgrStatusPll = 3u << 2;
constexpr uint32_t kCfgrAhbMask = 15u << 4;
constexpr uint32_t kCfgrAhbDiv2 = 8u << 4;

constexpr uint32_t kAhb2GpioG = 1u << 6;
constexpr uint32_t kApb1Power = 1u << 28;
constexpr uint32_t kApb1Lpuart1 = 1u << 0;  // in APB1ENR2

constexpr uint32_t kLpuart1SelMask = 3u << 10;
constexpr uint32_t kLpuart1SelSysclk = 1u << 10;
constexpr uint32_t kLpuart1SelHsi = 2u << 10;

// Internal oscillators: RM0432, HSI16 clock; MSI clock, whose range after reset is 4 MHz.
constexpr uint32_t kHsiHz = 16'000'000;
constexpr uint32_t kMsiHz = 4'000'000;

// Power controller: RM0432, PWR registers.
constexpr uintptr_t kPwr = 0x4000'7000;
constexpr uintptr_t kPwrCr1 = kPwr + 0x00;
constexpr uintptr_t kPwrCr2 = kPwr + 0x04;
constexpr uintptr_t kPwrSr2 = kPwr + 0x14;
constexpr uintptr_t kPwrCr5 = kPwr + 0x80;

constexpr uint32_t kVoltageMask = 3u << 9;
constexpr uint32_t kVoltageRange1 = 1u << 9;
constexpr uint32_t kIo2IsSupplied = 1u << 9;    // CR2 IOSV: VDDIO2, of port G, is there
constexpr uint32_t kVoltageChanging = 1u << 10;  // SR2 VOSF
constexpr uint32_t kRange1Normal = 1u << 8;      // CR5 R1MODE; 0 is the boost mode

// Flash interface: RM0432, FLASH_ACR.
constexpr uintptr_t kFlashAcr = 0x4002'2000;
constexpr uint32_t kAcrPrefetch = 1u << 8;
constexpr uint32_t kAcrInstructionCache = 1u << 9;
constexpr uint32_t kAcrDataCache = 1u << 10;
constexpr uint32_t kAcrLatencyMask = 15u << 0;

// General-purpose I/O, port G: RM0432, GPIO registers.
constexpr uintptr_t kGpioG = 0x4800'1800;
constexpr uintptr_t kGpioGModer = kGpioG + 0x00;
constexpr uintptr_t kGpioGPupdr = kGpioG + 0x0C;
constexpr uintptr_t kGpioGAfrl = kGpioG + 0x20;
constexpr uintptr_t kGpioGAfrh = kGpioG + 0x24;

// RM0432, memory map; its clock: RCC_CCIPR.
constexpr uintptr_t kLpuart1 = 0x4000'8000;

}  // namespace danas::stm32l4
