// SPDX-License-Identifier: MIT
// Peripheral registers of STM32F75xxx and STM32F74xxx beside those of stm32/f4_f7.h, as far as the port uses them.
// RM0385, memory map and the registers of each peripheral.
#pragma once

#include <cstdint>

#include "stm32/f4_f7.h"

namespace danas::stm32f7 {

using namespace stm32::f4_f7;

// Clocks of peripherals: RM0385, RCC registers.
constexpr uint32_t kApb1Usart3 = 1u << 18;
constexpr uint32_t kApb2Usart1 = 1u << 4;
constexpr uintptr_t kRccDckcfgr2 = kRcc + 0x90;

// What clocks a UART: fields of two bits in DCKCFGR2.
constexpr uint32_t kUsart1SelPosition = 0;
constexpr uint32_t kUsart3SelPosition = 4;
constexpr uint32_t kSelMask = 3;
constexpr uint32_t kSelSysclk = 1;
constexpr uint32_t kSelHsi = 2;

// Flash interface: RM0385, FLASH_ACR.
constexpr uint32_t kAcrPrefetch = 1u << 8;
constexpr uint32_t kAcrArt = 1u << 9;
constexpr uint32_t kAcrArtReset = 1u << 11;

// RM0385, memory map.
constexpr uintptr_t kUsart1 = 0x4001'1000;
constexpr uintptr_t kUsart3 = 0x4000'4800;

}  // namespace danas::stm32f7
