// SPDX-License-Identifier: MIT
// Peripheral registers of Arm's MPS2 FPGA images, as far as the port uses them.
// DDI0479 (Cortex-M System Design Kit): APB UART, APB timer. DAI0500 (AN500): memory map.
#pragma once

#include <cstdint>

namespace danas::mps2 {

// UART: DDI0479, APB UART programmers model. Offsets from its base.
constexpr uintptr_t kUartData = 0x00;
constexpr uintptr_t kUartState = 0x04;
constexpr uintptr_t kUartCtrl = 0x08;
constexpr uintptr_t kUartBaudDiv = 0x10;

constexpr uint32_t kStateTransmitFull = 1u << 0;
constexpr uint32_t kStateReceiveFull = 1u << 1;
constexpr uint32_t kCtrlTransmit = 1u << 0;
constexpr uint32_t kCtrlReceive = 1u << 1;

// Timer 0, 32 bits, counts down: DDI0479, APB timer programmers model.
constexpr uintptr_t kTimer0 = 0x4000'0000;
constexpr uintptr_t kTimerCtrl = kTimer0 + 0x0;
constexpr uintptr_t kTimerValue = kTimer0 + 0x4;
constexpr uintptr_t kTimerReload = kTimer0 + 0x8;

constexpr uint32_t kTimerEnable = 1u << 0;

// DAI0500, memory map.
constexpr uintptr_t kUart0 = 0x4000'4000;

}  // namespace danas::mps2
