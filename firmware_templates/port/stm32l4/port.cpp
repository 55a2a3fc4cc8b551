// SPDX-License-Identifier: MIT
// STM32L4 and STM32L4+: the port's functions.
#include "port.h"

#include <cstdint>
#include <type_traits>

#include "board.h"
#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "stm32/gpio.h"
#include "stm32/lpuart.h"
#include "stm32/steps.h"
#include "stm32/usart_v2.h"
#include "stm32l4/clock.h"
#include "stm32l4/registers.h"

namespace danas {

namespace {

using namespace stm32l4;

// The UARTs that this port knows, with the pins that the boards have them on. The receiver is pulled up, so that an
// open line is an idle one. Reading one RCC register after writing another gives the peripherals the cycles that they
// need to answer after their clock is enabled.
struct OnUsart1 : stm32::UsartV2<kUsart1> {  // TX PB6, RX PB7: alternate function 7 (DS10969)
  static constexpr uintptr_t kBase = kUsart1;
  static constexpr uint32_t kSelPosition = kUsart1SelPosition;
  static void enable() {
    stm32::set(kRccAhb2enr, kAhb2GpioB);
    stm32::set(kRccApb2enr, kApb2Usart1);
  }
  static void connect() {
    stm32::Gpio<kGpioB>::pull_up<7>();
    stm32::Gpio<kGpioB>::alternate<7, 6, 7>();
  }
};

struct OnLpuart1 : stm32::Lpuart<kLpuart1> {  // TX PG7, RX PG8: alternate function 8 (DS12023)
  static constexpr uintptr_t kBase = kLpuart1;
  static constexpr uint32_t kSelPosition = kLpuart1SelPosition;
  static void enable() {
    stm32::set(kRccApb1enr1, kApb1Power);
    stm32::set(kRccAhb2enr, kAhb2GpioG);
    stm32::set(kRccApb1enr2, kApb1Lpuart1);
  }
  // PG2 to PG15 have a supply of their own, VDDIO2, which must be declared there (RM0432, PWR_CR2).
  static void connect() {
    stm32::set(kPwrCr2, kIo2IsSupplied);
    stm32::Gpio<kGpioG>::pull_up<8>();
    stm32::Gpio<kGpioG>::alternate<8, 7, 8>();
  }
};

using Uart = std::conditional_t<board::kUartBase == kUsart1, OnUsart1, OnLpuart1>;
static_assert(board::kUartBase == Uart::kBase,
              "this port knows the pins and clocks of USART1 on PB6 and PB7 and of LPUART1 on PG7 and PG8");
static_assert(Uart::can_make(board::kClockHz, board::kBaud), "this baud rate is out of the UART's range");

void start_uart(uint32_t clock_select, uint32_t divider) {
  Uart::enable();
  stm32::change(kRccCcipr, kSelMask << Uart::kSelPosition, clock_select << Uart::kSelPosition);
  Uart::connect();
  Uart::start(divider);
}

}  // namespace

namespace port {

void init() {
  stm32l4::start_clock();
  cortex_m::start_cycle_counter();
  start_uart(kSelSysclk, Uart::divider(board::kClockHz, board::kBaud));
}

void put(uint8_t byte) { Uart::put(byte); }

int get() { return Uart::get(); }

uint32_t cycles() { return cortex_m::cycle_counter(); }

uint32_t clock_hz() { return board::kClockHz; }

}  // namespace port

namespace cortex_m {

// Before init is through, the second internal oscillator gives the UART's clock: 16 MHz, whatever the system clock is
// by then. It is on within 2 us; the UART sends nothing until it is. A USART makes 941,176 baud for 921,600 of it,
// 2.1 % fast, which with the oscillator's own 1 % a receiver bears (RM0351, tolerance of the USART receiver to clock
// deviation).
void ensure_uart() {
  if (!Uart::enabled()) {
    stm32::set(kRccCr, kCrHsiOn);
    start_uart(kSelHsi, Uart::divider(kHsiHz, board::kBaud));
  }
}

}  // namespace cortex_m

}  // namespace danas
