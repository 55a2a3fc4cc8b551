// SPDX-License-Identifier: MIT
// The USART of STM32F1, F2, F4 and L1 ("v1": one data register for both directions), polled. RM0390, USART registers.
#pragma once

#include <cstdint>

#include "cortex_m/registers.h"

namespace danas::stm32 {

template <uintptr_t kBase>
struct UsartV1 {
  static constexpr uintptr_t kSr = kBase + 0x00;
  static constexpr uintptr_t kDr = kBase + 0x04;
  static constexpr uintptr_t kBrr = kBase + 0x08;
  static constexpr uintptr_t kCr1 = kBase + 0x0C;

  static constexpr uint32_t kReceive = 1u << 2;        // CR1 RE
  static constexpr uint32_t kTransmit = 1u << 3;       // CR1 TE
  static constexpr uint32_t kEnable = 1u << 13;        // CR1 UE
  static constexpr uint32_t kOverrun = 1u << 3;        // SR ORE
  static constexpr uint32_t kReceived = 1u << 5;       // SR RXNE
  static constexpr uint32_t kTransmitEmpty = 1u << 7;  // SR TXE

  static bool enabled() { return (port::at(kCr1) & kEnable) != 0; }

  // BRR: the bus clock over the baud rate with 16 samples a bit, in sixteenths of USARTDIV, so that the register is the
  // divider (RM0390, fractional baud rate generation).
  static constexpr uint32_t divider(uint32_t bus_hz, uint32_t baud) { return (bus_hz + baud / 2) / baud; }

  // Within 1.6 %: the divider is right within half of itself.
  static constexpr bool can_make(uint32_t bus_hz, uint32_t baud) {
    return divider(bus_hz, baud) >= 32 && divider(bus_hz, baud) <= 0xFFFF;
  }

  // 8 data bits, no parity, 1 stop bit, 16 samples a bit.
  static void start(uint32_t divider) {
    port::at(kCr1) = 0;
    port::at(kBrr) = divider;
    port::at(kCr1) = kEnable | kReceive | kTransmit;
  }

  static void put(uint8_t byte) {
    while ((port::at(kSr) & kTransmitEmpty) == 0) {
    }
    port::at(kDr) = byte;
  }

  // Where bytes come faster than they are fetched the first one is kept, and nothing comes after it until the overrun
  // is cleared: by a read of SR and then one of DR (RM0390, overrun error). It may stand with no byte there. A lost
  // byte shows as a wrong CRC or an unknown command.
  static int get() {
    const uint32_t status = port::at(kSr);
    if ((status & (kReceived | kOverrun)) == 0) {
      return -1;
    }
    const uint32_t data = port::at(kDr);
    return (status & kReceived) != 0 ? static_cast<int>(data & 0xFF) : -1;
  }
};

}  // namespace danas::stm32
