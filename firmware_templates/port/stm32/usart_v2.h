// SPDX-License-Identifier: MIT
// The USART of STM32F0, F3, F7, G, H7 and L4 ("v2": separate receive and transmit data registers), polled.
// RM0385, USART registers.
#pragma once

#include <cstdint>

#include "cortex_m/registers.h"

namespace danas::stm32 {

template <uintptr_t kBase>
struct UsartV2 {
  static constexpr uintptr_t kCr1 = kBase + 0x00;
  static constexpr uintptr_t kCr3 = kBase + 0x08;
  static constexpr uintptr_t kBrr = kBase + 0x0C;
  static constexpr uintptr_t kIsr = kBase + 0x1C;
  static constexpr uintptr_t kRdr = kBase + 0x24;
  static constexpr uintptr_t kTdr = kBase + 0x28;

  static constexpr uint32_t kEnable = 1u << 0;           // CR1 UE
  static constexpr uint32_t kReceive = 1u << 2;          // CR1 RE
  static constexpr uint32_t kTransmit = 1u << 3;         // CR1 TE
  static constexpr uint32_t kNoOverrun = 1u << 12;       // CR3 OVRDIS
  static constexpr uint32_t kReceived = 1u << 5;         // ISR RXNE
  static constexpr uint32_t kTransmitEmpty = 1u << 7;    // ISR TXE

  static bool enabled() { return (port::at(kCr1) & kEnable) != 0; }

  // BRR: the divider of the kernel clock with 16 samples a bit, 16 to 65535 (RM0385, USART baud rate generation).
  static constexpr uint32_t divider(uint32_t kernel_hz, uint32_t baud) { return (kernel_hz + baud / 2) / baud; }

  // Within 1.6 %: the divider is right within half of itself.
  static constexpr bool can_make(uint32_t kernel_hz, uint32_t baud) {
    return divider(kernel_hz, baud) >= 32 && divider(kernel_hz, baud) <= 0xFFFF;
  }

  // 8 data bits, no parity, 1 stop bit, 16 samples a bit. A byte that is not fetched in time is replaced by the next
  // one: a lost byte shows as a wrong CRC or an unknown command, while an overrun flag would need looking after.
  static void start(uint32_t divider) {
    port::at(kCr1) = 0;
    port::at(kBrr) = divider;
    port::at(kCr3) = kNoOverrun;
    port::at(kCr1) = kEnable | kReceive | kTransmit;
  }

  static void put(uint8_t byte) {
    while ((port::at(kIsr) & kTransmitEmpty) == 0) {
    }
    port::at(kTdr) = byte;
  }

  static int get() {
    if ((port::at(kIsr) & kReceived) == 0) {
      return -1;
    }
    return static_cast<int>(port::at(kRdr) & 0xFF);
  }
};

}  // namespace danas::stm32
