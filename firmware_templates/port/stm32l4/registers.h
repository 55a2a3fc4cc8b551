// SPDX-License-Identifier: MIT
// Peripheral registers of STM32L4 and STM32L4+, as far as the port uses them.
// RM0351 (L47x, L48x, L49x, L4Ax) and RM0432 (L4+), memory map and the registers of each peripheral.
#pragma once

#include <cstdint>

namespace danas::stm32l4 {

// Reset and clock control: RM0351 and RM0432, RCC registers.
constexpr uintptr_t kRcc = 0x4002'1000;
constexpr uintptr_t kRccCr = kRcc + 0x00;
constexpr uintptr_t kRccCfgr = kRcc + 0x08;
constexpr uintptr_t kRccPllcfgr = kRcc + 0x0C;
constexpr uintptr_t kRccAhb2enr = kRcc + 0x4C;
constexpr uintptr_t kRccApb1enr1 = kRcc + 0x58;
constexpr uintptr_t kRccApb1enr2 = kRcc + 0x5C;
constexpr uintptr_t kRccApb2enr = kRcc + 0x60;
constexpr uintptr_t kRccCcipr = kRcc + 0x88;

constexpr uint32_t kCrMsiReady = 1u << 1;
constexpr uint32_t kCrHsiOn = 1u << 8;
constexpr uint32_t kCrPllOn = 1u << 24;
constexpr uint32_t kCrPllReady = 1u << 25;

constexpr uint32_t kPllSourceMsi = 1u << 0;
constexpr uint32_t kPllROutput = 1u << 24;  // PLLREN: to the system clock

constexpr uint32_t kCfgrSwitchPll = 3u << 0;
constexpr uint32_t kCfgrStatusMask = 3u << 2;
constexpr uint32_t kCfgrStatusPll = 3u << 2;
constexpr uint32_t kCfgrAhbMask = 15u << 4;
constexpr uint32_t kCfgrAhbDiv2 = 8u << 4;

constexpr uint32_t kAhb2GpioB = 1u << 1;
constexpr uint32_t kAhb2GpioG = 1u << 6;
constexpr uint32_t kApb1Power = 1u << 28;
constexpr uint32_t kApb1Lpuart1 = 1u << 0;  // in APB1ENR2
constexpr uint32_t kApb2Usart1 = 1u << 14;

// What clocks a UART: fields of two bits in CCIPR.
constexpr uint32_t kUsart1SelPosition = 0;
constexpr uint32_t kLpuart1SelPosition = 10;
constexpr uint32_t kSelMask = 3;
constexpr uint32_t kSelSysclk = 1;
constexpr uint32_t kSelHsi = 2;

// Internal oscillators: HSI16 clock; MSI clock, whose range after reset is 4 MHz.
constexpr uint32_t kHsiHz = 16'000'000;
constexpr uint32_t kMsiHz = 4'000'000;

// Power controller: RM0351 and RM0432, PWR registers.
constexpr uintptr_t kPwr = 0x4000'7000;
constexpr uintptr_t kPwrCr1 = kPwr + 0x00;
constexpr uintptr_t kPwrCr2 = kPwr + 0x04;
constexpr uintptr_t kPwrSr2 = kPwr + 0x14;
constexpr uintptr_t kPwrCr5 = kPwr + 0x80;  // L4+ alone

constexpr uint32_t kVoltageMask = 3u << 9;
constexpr uint32_t kVoltageRange1 = 1u << 9;
constexpr uint32_t kIo2IsSupplied = 1u << 9;     // CR2 IOSV: VDDIO2, of port G, is there
constexpr uint32_t kVoltageChanging = 1u << 10;  // SR2 VOSF
constexpr uint32_t kRange1Normal = 1u << 8;      // CR5 R1MODE; 0 is the boost mode

// Flash interface: RM0351 and RM0432, FLASH_ACR. The highest bit of the latency is reserved in L4, and reads 0.
constexpr uintptr_t kFlashAcr = 0x4002'2000;
constexpr uint32_t kAcrPrefetch = 1u << 8;
constexpr uint32_t kAcrInstructionCache = 1u << 9;
constexpr uint32_t kAcrDataCache = 1u << 10;
constexpr uint32_t kAcrLatencyMask = 15u << 0;

// RM0351 and RM0432, memory map.
constexpr uintptr_t kGpioB = 0x4800'0400;
constexpr uintptr_t kGpioG = 0x4800'1800;
constexpr uintptr_t kUsart1 = 0x4001'3800;
constexpr uintptr_t kLpuart1 = 0x4000'8000;

}  // namespace danas::stm32l4
