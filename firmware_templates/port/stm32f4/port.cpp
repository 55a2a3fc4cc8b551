// SPDX-License-Identifier: MIT
// STM32F446: the port's functions.
#include "port.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "stm32/gpio.h"
#include "stm32/steps.h"
#include "stm32/usart_v1.h"
#include "stm32f4/clock.h"
#include "stm32f4/registers.h"

namespace danas {

namespace {

using namespace stm32f4;

using Uart = stm32::UsartV1<board::kUartBase>;
static_assert(board::kUartBase == kUsart2, "this port knows the pins and clocks of USART2 on PA2 and PA3");

// The bus gives the UART its clock, and nothing else can.
constexpr uint32_t kApb1Hz = board::kClockHz / kApb1Divider;
static_assert(Uart::can_make(kApb1Hz, board::kBaud), "this baud rate cannot be made within 1.6 %");

// PA2 transmits, PA3 receives, both alternate function 7 (DS10693, alternate function); the receiver is pulled up, so
// that an open line is an idle one. Reading one RCC register after writing another gives the peripherals the cycles
// that they need to answer after their clock is enabled.
void start_uart(uint32_t divider) {
  stm32::set(kRccAhb1enr, kAhb1GpioA);
  stm32::set(kRccApb1enr, kApb1Usart2);
  stm32::Gpio<kGpioA>::pull_up<3>();
  stm32::Gpio<kGpioA>::alternate<7, 2, 3>();
  Uart::start(divider);
}

}  // namespace

namespace port {

void init() {
  stm32f4::start_clock();
  cortex_m::start_cycle_counter();
  start_uart(Uart::divider(kApb1Hz, board::kBaud));
}

void put(uint8_t byte) { Uart::put(byte); }

int get() { return Uart::get(); }

uint32_t cycles() { return cortex_m::cycle_counter(); }

uint32_t clock_hz() { return board::kClockHz; }

}  // namespace port

namespace cortex_m {

// Before init is through, the internal oscillator is the clock that surely runs, but the bus may have its divider by
// then. 16 MHz give 941,176 baud for 921,600, 2.1 % fast: with the oscillator's own 1 % just within what a receiver
// bears (RM0390, tolerance of the USART receiver to clock deviation). Above 1 Mbaud it can give none.
void ensure_uart() {
  if (!Uart::enabled()) {
    stm32f4::stop_clock();
    start_uart(Uart::divider(kHsiHz, board::kBaud));
  }
}

}  // namespace cortex_m

}  // namespace danas
