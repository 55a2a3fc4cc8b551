// SPDX-License-Identifier: MIT
// Peripheral registers of STM32H742, H743, H750 and H753, as far as the port uses them.
// RM0433, memory map and the registers of each peripheral.
#pragma once

#include <cstdint>

namespace danas::stm32h7 {

// Reset and clock control: RM0433, RCC registers.
constexpr uintptr_t kRcc = 0x5802'4400;
constexpr uintptr_t kRccCr = kRcc + 0x00;
constexpr uintptr_t kRccCfgr = kRcc + 0x10;
constexpr uintptr_t kRccD1cfgr = kRcc + 0x18;
constexpr uintptr_t kRccD2cfgr = kRcc + 0x1C;
constexpr uintptr_t kRccD3cfgr = kRcc + 0x20;
constexpr uintptr_t kRccPllckselr = kRcc + 0x28;
constexpr uintptr_t kRccPllcfgr = kRcc + 0x2C;
constexpr uintptr_t kRccPll1divr = kRcc + 0x30;
constexpr uintptr_t kRccD2ccip2r = kRcc + 0x54;
constexpr uintptr_t kRccAhb2enr = kRcc + 0xDC;
constexpr uintptr_t kRccAhb4enr = kRcc + 0xE0;
constexpr uintptr_t kRccApb1lenr = kRcc + 0xE8;

constexpr uint32_t kCrHseOn = 1u << 16;
constexpr uint32_t kCrHseReady = 1u << 17;
constexpr uint32_t kCrHseBypass = 1u << 18;
constexpr uint32_t kCrPll1On = 1u << 24;
constexpr uint32_t kCrPll1Ready = 1u << 25;

constexpr uint32_t kCfgrSwitchMask = 7u << 0;
constexpr uint32_t kCfgrSwitchPll1 = 3u << 0;
constexpr uint32_t kCfgrStatusMask = 7u << 3;
constexpr uint32_t kCfgrStatusPll1 = 3u << 3;

constexpr uint32_t kD1AhbDiv2 = 8u << 0;
constexpr uint32_t kD1Apb3Div2 = 4u << 4;
constexpr uint32_t kD2Apb1Div2 = 4u << 4;
constexpr uint32_t kD2Apb2Div2 = 4u << 8;
constexpr uint32_t kD3Apb4Div2 = 4u << 4;

constexpr uint32_t kPllSourceMask = 3u << 0;
constexpr uint32_t kPllSourceHse = 2u << 0;
constexpr uint32_t kPllM1Mask = 63u << 4;

// Of PLLCFGR: all that is PLL1's. Its oscillator's wide range is VCOSEL 0.
constexpr uint32_t kPll1Mask = 15u << 0 | 7u << 16;
constexpr uint32_t kPll1Input2To4MHz = 1u << 2;
constexpr uint32_t kPll1POutput = 1u << 16;

constexpr uint32_t kAhb2Srams = 7u << 29;  // SRAM1, SRAM2 and SRAM3
constexpr uint32_t kAhb4GpioD = 1u << 3;
constexpr uint32_t kApb1Usart3 = 1u << 18;

// One choice for USART2, 3, 4, 5, 7 and 8.
constexpr uint32_t kUsart3SelMask = 7u << 0;
constexpr uint32_t kUsart3SelPclk1 = 0u << 0;
constexpr uint32_t kUsart3SelHsi = 3u << 0;

// The internal oscillator, on after reset: RM0433, HSI oscillator.
constexpr uint32_t kHsiHz = 64'000'000;

// Power controller: RM0433, PWR registers.
constexpr uintptr_t kPwr = 0x5802'4800;
constexpr uintptr_t kPwrCsr1 = kPwr + 0x04;
constexpr uintptr_t kPwrCr3 = kPwr + 0x0C;
constexpr uintptr_t kPwrD3cr = kPwr + 0x18;

constexpr uint32_t kSupplyReady = 1u << 13;  // CSR1 ACTVOSRDY: what supplies the core is as CR3 says
constexpr uint32_t kVoltageMask = 3u << 14;
constexpr uint32_t kVoltageScale1 = 3u << 14;
constexpr uint32_t kVoltageReady = 1u << 13;  // D3CR VOSRDY

// Flash interface: RM0433, FLASH_ACR.
constexpr uintptr_t kFlashAcr = 0x5200'2000;
constexpr uint32_t kAcrMask = 63u << 0;

// AXI interconnect, target 7, which is AXI SRAM: RM0433, AXI_TARGx_FN_MOD.
constexpr uintptr_t kAxiSramFnMod = 0x5100'8108;
constexpr uint32_t kAxiOneReadAtATime = 1u << 0;

// Device id: RM0433, DBGMCU_IDC; revision Y is 0x1003, V is 0x2003.
constexpr uintptr_t kDbgmcuIdc = 0x5C00'1000;
constexpr uint32_t kRevisionX = 0x2001;

// General-purpose I/O, port D: RM0433, GPIO registers.
constexpr uintptr_t kGpioD = 0x5802'0C00;

// RM0433, memory map; its clock: RCC_D2CCIP2R.
constexpr uintptr_t kUsart3 = 0x4000'4800;

}  // namespace danas::stm32h7
