// SPDX-License-Identifier: MIT
// STM32F7: the port's functions.
#include "port.h"

#include <cstdint>
#include <type_traits>

#include "board.h"
#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "stm32/gpio.h"
#include "stm32/steps.h"
#include "stm32/usart_v2.h"
#include "stm32f7/clock.h"
#include "stm32f7/registers.h"

namespace danas {

namespace {

using namespace stm32f7;

// The UARTs that this port knows, with the pins that the boards have them on: alternate function 7 for all (DS10916,
// alternate function mapping). The receiver is pulled up, so that an open line is an idle one. Reading one RCC register
// after writing another gives the peripherals the cycles that they need to answer after their clock is enabled.
struct OnUsart1 {  // TX PA9, RX PB7
  static constexpr uintptr_t kBase = kUsart1;
  static constexpr uint32_t kSelPosition = kUsart1SelPosition;
  static void enable() {
    stm32::set(kRccAhb1enr, kAhb1GpioA | kAhb1GpioB);
    stm32::set(kRccApb2enr, kApb2Usart1);
  }
  static void connect() {
    stm32::Gpio<kGpioB>::pull_up<7>();
    stm32::Gpio<kGpioB>::alternate<7, 7>();
    stm32::Gpio<kGpioA>::alternate<7, 9>();
  }
};

struct OnUsart3 {  // TX PD8, RX PD9
  static constexpr uintptr_t kBase = kUsart3;
  static constexpr uint32_t kSelPosition = kUsart3SelPosition;
  static void enable() {
    stm32::set(kRccAhb1enr, kAhb1GpioD);
    stm32::set(kRccApb1enr, kApb1Usart3);
  }
  static void connect() {
    stm32::Gpio<kGpioD>::pull_up<9>();
    stm32::Gpio<kGpioD>::alternate<7, 8, 9>();
  }
};

using Wiring = std::conditional_t<board::kUartBase == kUsart1, OnUsart1, OnUsart3>;
static_assert(board::kUartBase == Wiring::kBase,
              "this port knows the pins and clocks of USART1 on PA9 and PB7 and of USART3 on PD8 and PD9");
using Uart = stm32::UsartV2<board::kUartBase>;
static_assert(Uart::can_make(board::kClockHz, board::kBaud), "this baud rate cannot be made within 1.6 %");

void start_uart(uint32_t clock_select, uint32_t divider) {
  Wiring::enable();
  stm32::change(kRccDckcfgr2, kSelMask << Wiring::kSelPosition, clock_select << Wiring::kSelPosition);
  Wiring::connect();
  Uart::start(divider);
}

}  // namespace

namespace port {

void init() {
  cortex_m::enable_caches();
  stm32f7::start_clock();
  cortex_m::start_cycle_counter();
  // The system clock gives a finer choice of rates than a bus's: 921,600 baud is met within 0.2 %.
  start_uart(kSelSysclk, Uart::divider(board::kClockHz, board::kBaud));
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
    start_uart(kSelHsi, Uart::divider(kHsiHz, board::kBaud));
  }
}

}  // namespace cortex_m

}  // namespace danas
