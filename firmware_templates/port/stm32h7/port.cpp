// SPDX-License-Identifier: MIT
// STM32H7 (H742, H743, H750, H753): the port's functions.
#include "port.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "stm32/gpio.h"
#include "stm32/steps.h"
#include "stm32/usart_v2.h"
#include "stm32h7/clock.h"
#include "stm32h7/registers.h"

namespace danas {

namespace {

using namespace stm32h7;
using Uart = stm32::UsartV2<board::kUartBase>;
static_assert(board::kUartBase == kUsart3, "this port knows the pins and clocks of USART3 on PD8 and PD9");
static_assert(Uart::can_make(kHsiHz, board::kBaud) && Uart::can_make(kApbHz, board::kBaud),
              "this baud rate cannot be made within 1.6 %");

// PD8 transmits, PD9 receives, both alternate function 7 (DS12110, port D alternate functions); the receiver is pulled
// up, so that an open line is an idle one. Reading one RCC register after writing another gives the peripherals the
// cycles that they need to answer after their clock is enabled.
void start_uart(uint32_t clock_select, uint32_t divider) {
  stm32::set(kRccAhb4enr, kAhb4GpioD);
  stm32::set(kRccApb1lenr, kApb1Usart3);
  stm32::change(kRccD2ccip2r, kUsart3SelMask, clock_select);
  stm32::Gpio<kGpioD>::pull_up<9>();
  stm32::Gpio<kGpioD>::alternate<7, 8, 9>();
  Uart::start(divider);
}

// Arenas lie in AXI SRAM, and in SRAM1 to SRAM3, whose clocks are off after reset (RM0433, RCC_AHB2ENR).
void start_memories() {
  // ES0392, reading from AXI SRAM may lead to data read corruption: before revision X its target must be given one read
  // at a time.
  if (port::at(kDbgmcuIdc) >> 16 < kRevisionX) {
    port::at(kAxiSramFnMod) = kAxiOneReadAtATime;
  }
  stm32::set(kRccAhb2enr, kAhb2Srams);
  stm32::wait(kRccAhb2enr, kAhb2Srams, kAhb2Srams);  // they answer a few cycles later
}

}  // namespace

namespace port {

void init() {
  start_memories();
  cortex_m::enable_caches();
  start_clock();
  cortex_m::start_cycle_counter();
  // APB1's clock, 100 MHz, gives the finest choice of rates: 921,600 baud is met within 0.5 %.
  start_uart(kUsart3SelPclk1, Uart::divider(kApbHz, board::kBaud));
}

void put(uint8_t byte) { Uart::put(byte); }

int get() { return Uart::get(); }

uint32_t cycles() { return cortex_m::cycle_counter(); }

uint32_t clock_hz() { return board::kClockHz; }

}  // namespace port

namespace cortex_m {

// Before init is through, the internal oscillator is the clock that surely runs. 64 MHz give 921,600 baud within
// 0.7 %: with the oscillator's own 1 % within what a receiver bears (RM0433, tolerance of the USART receiver to clock
// deviation).
void ensure_uart() {
  if (!Uart::enabled()) {
    start_uart(kUsart3SelHsi, Uart::divider(kHsiHz, board::kBaud));
  }
}

}  // namespace cortex_m

}  // namespace danas

#if defined(__arm__)
extern "C" {

[[noreturn]] void Reset_Handler();

// The very first instructions, before the stack is painted. Until the supply of the core has been chosen, which a
// power-on reset allows once, and its voltage is there, RAM must not be written (RM0433, system supply startup): the
// internal regulator, LDOEN and SCUEN without BYPASS. Should the voltage never come, start_clock says so; these rounds
// take about 0.1 s.
[[gnu::naked, noreturn, gnu::used]] void danas_before_ram() {
  __asm volatile(
      "  movw r0, #0x4800          \n"  // PWR
      "  movt r0, #0x5802          \n"
      "  ldr  r1, [r0, #0x0C]      \n"  // CR3
      "  bic  r1, r1, #1           \n"
      "  orr  r1, r1, #6           \n"
      "  str  r1, [r0, #0x0C]      \n"
      "  mov  r2, #0x100000        \n"
      "1:                          \n"
      "  ldr  r1, [r0, #0x04]      \n"  // CSR1
      "  tst  r1, #0x2000          \n"  // ACTVOSRDY
      "  bne  2f                   \n"
      "  subs r2, r2, #1           \n"
      "  bne  1b                   \n"
      "2:                          \n"
      "  b    Reset_Handler        \n");
}
static_assert(danas::stm32h7::kPwr == 0x5802'4800 && danas::stm32h7::kPwrCr3 == danas::stm32h7::kPwr + 0x0C &&
                  danas::stm32h7::kSupplyReady == 0x2000,
              "danas_before_ram has these numbers");

}  // extern "C"
#endif
