// SPDX-License-Identifier: MIT
// STM32L4+: the port's functions.
#include "port.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "stm32/lpuart.h"
#include "stm32l4/clock.h"
#include "stm32l4/registers.h"

namespace danas {

namespace {

using Uart = stm32::Lpuart<board::kUartBase>;
static_assert(board::kUartBase == stm32l4::kLpuart1, "this port knows the pins and clocks of LPUART1 on PG7 and PG8");
static_assert(Uart::can_make(board::kClockHz, board::kBaud), "this baud rate is out of the LPUART's range");

using port::at;

// PG7 transmits, PG8 receives, both alternate function 8 (DS12023, alternate function mapping); the receiver is pulled
// up, so that an open line is an idle one. PG2 to PG15 have a supply of their own, VDDIO2, which must be declared there
// (RM0432, PWR_CR2). Reading one RCC register after writing another gives the peripherals the cycles that they need to
// answer after their clock is enabled.
void start_uart(uint32_t clock_select, uint32_t kernel_hz) {
  using namespace stm32l4;
  at(kRccApb1enr1) = at(kRccApb1enr1) | kApb1Power;
  at(kRccAhb2enr) = at(kRccAhb2enr) | kAhb2GpioG;
  at(kRccApb1enr2) = at(kRccApb1enr2) | kApb1Lpuart1;
  at(kRccCcipr) = (at(kRccCcipr) & ~kLpuart1SelMask) | clock_select;
  at(kPwrCr2) = at(kPwrCr2) | kIo2IsSupplied;
  at(kGpioGAfrl) = (at(kGpioGAfrl) & ~(0xFu << 28)) | (0x8u << 28);
  at(kGpioGAfrh) = (at(kGpioGAfrh) & ~0xFu) | 0x8u;
  at(kGpioGPupdr) = (at(kGpioGPupdr) & ~(0xFu << 14)) | (0x4u << 14);
  at(kGpioGModer) = (at(kGpioGModer) & ~(0xFu << 14)) | (0xAu << 14);
  Uart::start(kernel_hz, board::kBaud);
}

}  // namespace

namespace port {

void init() {
  stm32l4::start_clock();
  cortex_m::start_cycle_counter();
  start_uart(stm32l4::kLpuart1SelSysclk, board::kClockHz);
}

void put(uint8_t byte) { Uart::put(byte); }

int get() { return Uart::get(); }

uint32_t cycles() { return cortex_m::cycle_counter(); }

uint32_t clock_hz() { return board::kClockHz; }

}  // namespace port

namespace cortex_m {

// Before init is through, the second internal oscillator gives the UART's clock: 16 MHz, whatever the system clock is
// by then. It is on within 2 us; the UART sends nothing until it is.
void ensure_uart() {
  if (!Uart::enabled()) {
    at(stm32l4::kRccCr) = at(stm32l4::kRccCr) | stm32l4::kCrHsiOn;
    start_uart(stm32l4::kLpuart1SelHsi, stm32l4::kHsiHz);
  }
}

}  // namespace cortex_m

}  // namespace danas
