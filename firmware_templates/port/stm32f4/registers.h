// SPDX-License-Identifier: MIT
// Peripheral registers of STM32F446xx beside those of stm32/f4_f7.h, as far as the port uses them.
// RM0390, memory map and the registers of each peripheral.
#pragma once

#include <cstdint>

#include "stm32/f4_f7.h"

namespace danas::stm32f4 {

using namespace stm32::f4_f7;

// Clocks of peripherals: RM0390, RCC registers.
constexpr uint32_t kApb1Usart2 = 1u << 17;

// Flash interface: RM0390, FLASH_ACR.
constexpr uint32_t kAcrPrefetch = 1u << 8;
constexpr uint32_t kAcrInstructionCache = 1u << 9;
constexpr uint32_t kAcrDataCache = 1u << 10;
constexpr uint32_t kAcrInstructionCacheReset = 1u << 11;
constexpr uint32_t kAcrDataCacheReset = 1u << 12;

// RM0390, memory map.
constexpr uintptr_t kUsart2 = 0x4000'4400;

}  // namespace danas::stm32f4
