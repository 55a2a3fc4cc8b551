// SPDX-License-Identifier: MIT
// Arm MPS2: the port's functions. The clocks run and the pins are connected when the core starts.
#include "port.h"

#include <cstdint>

#include "board.h"
#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "mps2/registers.h"

namespace danas {

namespace {

using port::at;
using namespace mps2;

// BAUDDIV: clocks a bit, at least 16 (DDI0479, APB UART).
constexpr uint32_t kDivider = (board::kClockHz + board::kBaud / 2) / board::kBaud;
static_assert(kDivider >= 32 && kDivider <= 0xF'FFFF, "this baud rate cannot be made within 1.6 %");

// Of the emulators QEMU has no cycle counter: it reads as 0. There the timer is looked at instead. It counts the board's clock, and an
// emulator that gives an instruction a fixed time (-icount) executes a fixed number of them in one of its ticks: what
// is counted are instructions, to that number, as on every emulated board.
constexpr uint32_t kCyclesPerTick = board::kEmulatedHz / board::kClockHz;
static_assert(board::kEmulatedHz % board::kClockHz == 0 && kCyclesPerTick >= 1, "whole instructions in a tick");

bool core_counts = false;

// Whether the cycle counter moves. Emulators may count by blocks of code, so it is looked at in a loop.
bool cycle_counter_moves() {
  const uint32_t before = cortex_m::cycle_counter();
  for (int look = 0; look < 8; ++look) {
    if (cortex_m::cycle_counter() != before) {
      return true;
    }
  }
  return false;
}

void start_timer() {
  at(kTimerReload) = 0xFFFF'FFFF;
  at(kTimerValue) = 0xFFFF'FFFF;
  at(kTimerCtrl) = kTimerEnable;
}

}  // namespace

namespace port {

void init() {
  if constexpr (board::kHasCaches) {
    cortex_m::enable_caches();
  }
  cortex_m::start_cycle_counter();
  core_counts = cycle_counter_moves();
  if (!core_counts) {
    start_timer();
  }
  cortex_m::ensure_uart();
}

void put(uint8_t byte) {
  while ((at(board::kUartBase + kUartState) & kStateTransmitFull) != 0) {
  }
  at(board::kUartBase + kUartData) = byte;
}

int get() {
  if ((at(board::kUartBase + kUartState) & kStateReceiveFull) == 0) {
    return -1;
  }
  return static_cast<int>(at(board::kUartBase + kUartData) & 0xFF);
}

uint32_t cycles() {
  return core_counts ? cortex_m::cycle_counter() : (0xFFFF'FFFF - at(kTimerValue)) * kCyclesPerTick;
}

uint32_t clock_hz() { return core_counts ? board::kClockHz : board::kEmulatedHz; }

}  // namespace port

namespace cortex_m {

void ensure_uart() {
  constexpr uint32_t kBoth = kCtrlTransmit | kCtrlReceive;
  if ((at(board::kUartBase + kUartCtrl) & kBoth) != kBoth) {
    at(board::kUartBase + kUartBaudDiv) = kDivider;
    at(board::kUartBase + kUartCtrl) = kBoth;
  }
}

}  // namespace cortex_m

}  // namespace danas
