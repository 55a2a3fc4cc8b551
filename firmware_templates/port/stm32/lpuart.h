// SPDX-License-Identifier: MIT
// The low-power UART of STM32L4+ (G0, G4, H7, …), polled: the registers of the USART, with a finer divider and a
// prescaler. RM0432, LPUART.
#pragma once

#include <cstdint>

#include "cortex_m/registers.h"
#include "stm32/usart_v2.h"

namespace danas::stm32 {

template <uintptr_t kBase>
struct Lpuart : UsartV2<kBase> {
  using Usart = UsartV2<kBase>;
  static constexpr uintptr_t kPresc = kBase + 0x2C;

  // The prescaled kernel clock must be 3 to 4096 times the baud rate (RM0432, LPUART baud rate generation). A quarter
  // of 16 MHz or of 120 MHz is, for every rate from 9,600 baud to 1 Mbaud.
  static constexpr uint32_t kPrescaler = 4;
  static constexpr uint32_t kPrescalerCode = 2;  // PRESC: 1, 2, 4, 6, …

  // BRR: 256 times the prescaled clock over the baud rate, 0x300 to 0xFFFFF.
  static constexpr uint32_t divider(uint32_t kernel_hz, uint32_t baud) {
    return static_cast<uint32_t>((uint64_t{kernel_hz} * (256 / kPrescaler) + baud / 2) / baud);
  }

  static constexpr bool can_make(uint32_t kernel_hz, uint32_t baud) {
    return kernel_hz / kPrescaler >= 3 * baud && kernel_hz / kPrescaler <= 4096 * baud &&
           divider(kernel_hz, baud) >= 0x300 && divider(kernel_hz, baud) <= 0xF'FFFF;
  }

  // As UsartV2::start.
  static void start(uint32_t divider) {
    port::at(Usart::kCr1) = 0;
    port::at(kPresc) = kPrescalerCode;
    port::at(Usart::kBrr) = divider;
    port::at(Usart::kCr3) = Usart::kNoOverrun;
    port::at(Usart::kCr1) = Usart::kEnable | Usart::kReceive | Usart::kTransmit;
  }
};

}  // namespace danas::stm32
