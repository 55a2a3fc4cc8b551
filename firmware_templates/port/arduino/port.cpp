// SPDX-License-Identifier: MIT
// A board under an Arduino core: the port's functions over the Arduino API (Serial, micros). The core has set the
// clocks and started its USB before setup(); its interrupts, and where it has one its scheduler, go on beneath us.
#include "port.h"

#include <Arduino.h>

#include <cstdint>

#include "board.h"
#include "runtime.h"

#if defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__)
#define DANAS_HAS_DWT 1
#include "cortex_m/registers.h"
#else
#define DANAS_HAS_DWT 0
#endif

// What a linker script of an Arduino core may call the borders of .data and .bss (those of ArduinoCore-mbed do). A
// script that has no such names leaves them null.
extern "C" {
[[gnu::weak]] extern uint32_t __data_start__[];
[[gnu::weak]] extern uint32_t __data_end__[];
[[gnu::weak]] extern uint32_t __bss_start__[];
[[gnu::weak]] extern uint32_t __bss_end__[];
extern uint8_t danas_arena[];
}

namespace danas::port {

namespace {

constexpr uint32_t kCyclesPerMicrosecond = board::kClockHz / 1'000'000;
static_assert(board::kClockHz % 1'000'000 == 0, "micros() is made into whole cycles");

bool core_counts = false;  // the core has a cycle counter, and it moves

bool start_cycle_counter() {
#if DANAS_HAS_DWT
  using namespace cortex_m;
  at(kDemcr) = at(kDemcr) | kDemcrTraceEnable;
  at(kDwtLar) = kLarKey;
  at(kDwtCtrl) = at(kDwtCtrl) | kDwtCtrlCycleCounter;
  const uint32_t before = at(kDwtCyccnt);
  for (int look = 0; look < 8; ++look) {
    if (at(kDwtCyccnt) != before) {
      return true;
    }
  }
#endif
  return false;
}

// ---- the serial port ----

// USB takes packets: what is written waits here for the end of the line, or for the program to look for an answer.
constexpr size_t kPacket = 64;
uint8_t packet[kPacket];
size_t waiting = 0;

void send() {
  size_t sent = 0;
  while (sent < waiting) {
    const size_t taken = Serial.write(packet + sent, waiting - sent);
    if (taken == 0) {
      break;  // nobody has the port open: the bytes are lost, as they are on a UART without a listener
    }
    sent += taken;
  }
  waiting = 0;
}

// ---- the stack ----

// The core has set it aside, and says nothing of its size. What is painted here is what the board file reserves, which
// must be well within it; a program that has used all of that has used an unknown number of bytes.
constexpr uint32_t kPaint = 0xC5C5'C5C5;
constexpr size_t kPaintWords = board::kStackBytes / sizeof(uint32_t);
uintptr_t painted_from = 0;  // lowest painted word
uintptr_t stack_top = 0;     // where setup() has called us

// A frame as large as the reserve, filled and left behind.
[[gnu::noinline]] void paint_stack() {
  volatile uint32_t frame[kPaintWords];
  for (volatile uint32_t& word : frame) {
    word = kPaint;
  }
  painted_from = reinterpret_cast<uintptr_t>(&frame[0]);
}

size_t stack_used() {
  uintptr_t unused = painted_from;
  while (unused < stack_top && *reinterpret_cast<const volatile uint32_t*>(unused) == kPaint) {
    unused += sizeof(uint32_t);
  }
  return unused == painted_from ? kUnknown : stack_top - unused;
}

// .data and .bss of the whole program, the core's included, less the arena.
size_t static_bytes() {
  if (__data_start__ == nullptr || __data_end__ == nullptr || __bss_start__ == nullptr || __bss_end__ == nullptr) {
    return kUnknown;
  }
  const auto bytes = [](const uint32_t* from, const uint32_t* to) {
    return reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from);
  };
  const uintptr_t all = bytes(__data_start__, __data_end__) + bytes(__bss_start__, __bss_end__);
  const auto arena = reinterpret_cast<uintptr_t>(danas_arena);
  const size_t arena_bytes = runtime::memory().arena_bytes;
  const bool inside = arena >= reinterpret_cast<uintptr_t>(__bss_start__) &&
                      arena + arena_bytes <= reinterpret_cast<uintptr_t>(__bss_end__);
  return inside ? all - arena_bytes : kUnknown;
}

}  // namespace

void init() {
  stack_top = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  paint_stack();
  Serial.begin(board::kBaud);  // over USB the rate means nothing
  core_counts = start_cycle_counter();
}

void put(uint8_t byte) {
  packet[waiting++] = byte;
  if (byte == '\n' || waiting == kPacket) {
    send();
  }
}

int get() {
  if (waiting != 0) {
    send();
  }
  return Serial.read();
}

// micros() wraps with its 32 bits, and so does the product: differences stay right.
uint32_t cycles() {
#if DANAS_HAS_DWT
  if (core_counts) {
    return at(cortex_m::kDwtCyccnt);
  }
#endif
  return static_cast<uint32_t>(micros()) * kCyclesPerMicrosecond;
}

uint32_t clock_hz() { return board::kClockHz; }

RamReport ram() { return RamReport{static_bytes(), kUnknown, stack_used()}; }

}  // namespace danas::port
