// SPDX-License-Identifier: MIT
// A runtime that crashes on request: the input's only byte says how. It stands in the place of a rendered model, so
// that the board's own start-up, fault handlers and command loop are around it. For tests alone.
#include <cstddef>
#include <cstdint>

#include "port.h"
#include "runtime.h"

extern "C" {
alignas(16) __attribute__((section(".arena"))) uint8_t danas_arena[16];
}

namespace {

volatile uint32_t kept;

[[gnu::noinline]] uint32_t deep(uint32_t rounds) {
  volatile uint32_t room[16];
  for (uint32_t index = 0; index < 16; ++index) {
    room[index] = rounds + index;
  }
  return rounds == 0 ? room[3] : room[5] ^ (3 * deep(rounds - 1));
}

// The stack pointer jumps over the guard's edge without touching it; the next push does.
[[gnu::noinline]] uint32_t wide() {
  volatile uint8_t room[4096];
  room[0] = 1;
  room[4095] = 2;
  return room[0] + room[4095];
}

[[gnu::noinline]] uint32_t read(uintptr_t address) { return *reinterpret_cast<volatile uint32_t*>(address); }
[[gnu::noinline]] void write(uintptr_t address) { *reinterpret_cast<volatile uint32_t*>(address) = 1; }

[[gnu::noinline]] void half_a_line() {
  for (const char* text = "m-run-[cyc"; *text != '\0'; ++text) {
    danas::port::put(static_cast<uint8_t>(*text));
  }
}

void crash(char how) {
  switch (how) {
    case 'r':  // nothing is there
      kept = read(0x3000'0010);
      break;
    case 'w':
      write(0x3000'0010);
      break;
    case 'x':  // no code is there
      reinterpret_cast<void (*)()>(uintptr_t{0x3000'0001})();
      break;
    case 'u':
      __asm volatile("udf #7");
      break;
    case 'a':  // LDRD wants a multiple of 4
      __asm volatile("ldrd r2, r3, [%0]" : : "r"(0x2000'0401) : "r2", "r3");
      break;
    case 'v':  // nobody serves it
      __asm volatile("svc #1");
      break;
    case 'b':  // no debugger is there
      __asm volatile("bkpt #2");
      break;
    case 's':
      kept = deep(100);
      break;
    case 'p':
      kept = wide();
      break;
    case 'f': {  // with the FPU in use
      volatile float value = 1.5F;
      for (int round = 0; round < 20; ++round) {
        value = value * 1.25F;
      }
      kept = static_cast<uint32_t>(value) + deep(100);
      break;
    }
    case 'e':  // so near to the end of the stack that the exception's frame does not fit any more
      __asm volatile(
          "  movw r0, #:lower16:danas_stack_bottom \n"
          "  movt r0, #:upper16:danas_stack_bottom \n"
          "  add  r0, r0, #16                      \n"
          "  mov  sp, r0                           \n"
          "  udf  #8                               \n"
          :
          :
          : "r0", "memory");
      break;
    case 'n':  // the stack pointer is lost altogether
      __asm volatile("movs r0, #0\n  mov sp, r0\n  push {r0}\n" : : : "r0", "memory");
      break;
    case 'h':
      half_a_line();
      __asm volatile("udf #9");
      break;
    case 'i':  // where no fault but the last one is taken
      __asm volatile("cpsid i\n  udf #10");
      break;
    case 'l':  // and where none is: the core locks up
      __asm volatile("cpsid f\n  udf #11");
      break;
    default:
      break;
  }
}

#ifdef CRASH_AT_START
// Before main, and so before the UART and the fault handlers' exceptions are set up.
struct AtStart {
  AtStart() { crash(CRASH_AT_START); }
} at_start;
#endif

}  // namespace

namespace danas::runtime {

bool init() { return true; }

EdgeTensor input() { return EdgeTensor{danas_arena, 1, ElementType::kInt8, 1.0F, 0}; }

EdgeTensor output() { return EdgeTensor{danas_arena + 8, 1, ElementType::kInt8, 1.0F, 0}; }

bool invoke(RowSource) {
  crash(static_cast<char>(danas_arena[0]));
  danas_arena[8] = static_cast<uint8_t>(danas_arena[0] + 1);
  return true;
}

MemoryReport memory() { return MemoryReport{sizeof(danas_arena), sizeof(danas_arena)}; }

size_t operator_count() { return 0; }

OperatorProfile profile(size_t) { return OperatorProfile{"NONE", 0}; }

const char* name() { return "crash"; }

}  // namespace danas::runtime
