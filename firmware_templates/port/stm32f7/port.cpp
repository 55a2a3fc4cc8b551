// SPDX-License-Identifier: MIT
// STM32F7: the port's functions.
#include "port.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "stm32/usart_v2.h"
#include "stm32f7/clock.h"
#include "stm32f7/registers.h"

namespace danas {

namespace {

using Uart = stm32::UsartV2<board::kUartBase>;
static_assert(board::kUartBase == stm32f7::kUsart3, "this port knows the pins and clocks of USART3 on PD8 and PD9");

// The divider is right within half of itself.
static_assert(Uart::divider(board::kClockHz, board::kBaud) >= 32 &&
                  Uart::divider(board::kClockHz, board::kBaud) <= 0xFFFF,
              "this baud rate cannot be made within 1.6 %");

using port::at;

// PD8 transmits, PD9 receives, both alternate function 7 (DS10916, alternate function mapping); the receiver is pulled
// up, so that an open line is an idle one. Reading one RCC register after writing another gives the peripherals the
// cycles that they need to answer after their clock is enabled.
void start_uart(uint32_t clock_select, uint32_t kernel_hz) {
  using namespace stm32f7;
  at(kRccAhb1enr) = at(kRccAhb1enr) | kAhb1GpioD;
  at(kRccApb1enr) = at(kRccApb1enr) | kApb1Usart3;
  at(kRccDckcfgr2) = (at(kRccDckcfgr2) & ~kUsart3SelMask) | clock_select;
  at(kGpioDAfrh) = (at(kGpioDAfrh) & ~0xFFu) | 0x77u;
  at(kGpioDPupdr) = (at(kGpioDPupdr) & ~(0xFu << 16)) | (0x4u << 16);
  at(kGpioDModer) = (at(kGpioDModer) & ~(0xFu << 16)) | (0xAu << 16);
  Uart::start(kernel_hz, board::kBaud);
}

}  // namespace

namespace port {

void init() {
  cortex_m::enable_caches();
  stm32f7::start_clock();
  cortex_m::start_cycle_counter();
  // The system clock gives a finer choice of rates than APB1's: 921,600 baud is met within 0.2 %.
  start_uart(stm32f7::kUsart3SelSysclk, board::kClockHz);
}

void put(uint8_t byte) { Uart::put(byte); }

int get() { return Uart::get(); }

uint32_t cycles() { return cortex_m::cycle_counter(); }

uint32_t clock_hz() { return board::kClockHz; }

}  // namespace port

namespace cortex_m {

// Before init is through, the internal oscillator is the clock that surely runs. 16 MHz give 941,176 baud for 921,600,
// 2.1 % fast: with the oscillator's own 1 % just within what a receiver bears (RM0385, tolerance of the USART
// receiver to clock deviation). Above 1 Mbaud it can give none.
void ensure_uart() {
  if (!Uart::enabled()) {
    start_uart(stm32f7::kUsart3SelHsi, stm32f7::kHsiHz);
  }
}

}  // namespace cortex_m

}  // namespace danas
