// SPDX-License-Identifier: MIT
// STM32H7 (H742, H743, H750, H753): the port's functions.
#include "port.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "stm32/usart_v2.h"
#include "stm32h7/clock.h"
#include "stm32h7/registers.h"

namespace danas {

namespace {

using Uart = stm32::UsartV2<board::kUartBase>;
static_assert(board::kUartBase == stm32h7::kUsart3, "this port knows the pins and clocks of USART3 on PD8 and PD9");

// The divider is right within half of itself.
static_assert(Uart::divider(stm32h7::kHsiHz, board::kBaud) >= 32 &&
                  Uart::divider(stm32h7::kApbHz, board::kBaud) <= 0xFFFF,
              "this baud rate cannot be made within 1.6 %");

using port::at;

// PD8 transmits, PD9 receives, both alternate function 7 (DS12110, port D alternate functions); the receiver is pulled
// up, so that an open line is an idle one. Reading one RCC register after writing another gives the peripherals the
// cycles that they need to answer after their clock is enabled.
void start_uart(uint32_t clock_select, uint32_t kernel_hz) {
  using namespace stm32h7;
  at(kRccAhb4enr) = at(kRccAhb4enr) | kAhb4GpioD;
  at(kRccApb1lenr) = at(kRccApb1lenr) | kApb1Usart3;
  at(kRccD2ccip2r) = (at(kRccD2ccip2r) & ~kUsart3SelMask) | clock_select;
  at(kGpioDAfrh) = (at(kGpioDAfrh) & ~0xFFu) | 0x77u;
  at(kGpioDPupdr) = (at(kGpioDPupdr) & ~(0xFu << 16)) | (0x4u << 16);
  at(kGpioDModer) = (at(kGpioDModer) & ~(0xFu << 16)) | (0xAu << 16);
  Uart::start(kernel_hz, board::kBaud);
}

// Arenas lie in AXI SRAM, and in SRAM1 to SRAM3, whose clocks are off after reset (RM0433, RCC_AHB2ENR).
void start_memories() {
  using namespace stm32h7;
  // ES0392, reading from AXI SRAM may lead to data read corruption: before revision X its target must be given one read
  // at a time.
  if (at(kDbgmcuIdc) >> 16 < kRevisionX) {
    at(kAxiSramFnMod) = kAxiOneReadAtATime;
  }
  at(kRccAhb2enr) = at(kRccAhb2enr) | kAhb2Srams;
  static_cast<void>(static_cast<uint32_t>(at(kRccAhb2enr)));  // they answer a few cycles later
}

}  // namespace

namespace port {

void init() {
  start_memories();
  cortex_m::enable_caches();
  stm32h7::start_clock();
  cortex_m::start_cycle_counter();
  // APB1's clock, 100 MHz, gives the finest choice of rates: 921,600 baud is met within 0.5 %.
  start_uart(stm32h7::kUsart3SelPclk1, stm32h7::kApbHz);
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
    start_uart(stm32h7::kUsart3SelHsi, stm32h7::kHsiHz);
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
