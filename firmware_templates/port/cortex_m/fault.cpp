// SPDX-License-Identifier: MIT
// Faults: reported over the UART in the protocol's form, then the program halts.
#include <cstdint>

#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "port.h"

namespace danas::cortex_m {

using port::at;

namespace {

void write(const char* text) {
  while (*text != '\0') {
    port::put(static_cast<uint8_t>(*text++));
  }
}

void write_hex(const char* name, uint32_t value) {
  write(name);
  for (int shift = 28; shift >= 0; shift -= 4) {
    port::put(static_cast<uint8_t>("0123456789abcdef"[(value >> shift) & 15]));
  }
}

// By exception number: ARM, exception number definition.
const char* kind_of(uint32_t exception) {
  switch (exception) {
    case 2:
      return "NMI";
    case 3:
      return "HardFault";
    case 4:
      return "MemManage";
    case 5:
      return "BusFault";
    case 6:
      return "UsageFault";
    default:
      return "Exception";
  }
}

}  // namespace

void halt(const char* kind, uint32_t pc, uint32_t lr, uint32_t cfsr, uint32_t address) {
  ensure_uart();
  // A line may be half written.
  write("\r\ne-[fault ");
  write(kind);
  write_hex(" pc=0x", pc);
  write_hex(" lr=0x", lr);
  write_hex(" cfsr=0x", cfsr);
  write_hex(" addr=0x", address);
  write("]\r\nm-ready\r\n");
  for (;;) {
  }
}

}  // namespace danas::cortex_m

extern "C" {

// Called by danas_fault_entry on a fresh stack.
[[noreturn, gnu::used]] void danas_fault(uint32_t exception, uint32_t pc, uint32_t lr) {
  using namespace danas::cortex_m;
  const uint32_t cfsr = at(kCfsr);
  uint32_t address = 0;
  if ((cfsr & kCfsrMmarValid) != 0) {
    address = at(kMmfar);
  } else if ((cfsr & kCfsrBfarValid) != 0) {
    address = at(kBfar);
  }
  halt(kind_of(exception & 0x1FF), pc, lr, cfsr, address);
}

// All fault vectors lead here. Nothing is pushed before the stack pointer is known to be good: a stack overflow is one
// of the reasons to be here. The program runs on the main stack alone. The exception frame (ARM, exception entry
// behavior: r0-r3, r12, lr, pc, xPSR from the stack pointer up) is read only where it lies inside the stack; else pc
// and lr are reported as 0. Then the stack starts again at its top: what was on it is not needed any more.
[[gnu::naked, noreturn, gnu::used]] void danas_fault_entry() {
  __asm volatile(
      "  mrs  r0, ipsr                          \n"
      "  movs r1, #0                            \n"
      "  movs r2, #0                            \n"
      "  mrs  r3, msp                           \n"
      "  movw r12, #:lower16:danas_stack_bottom \n"
      "  movt r12, #:upper16:danas_stack_bottom \n"
      "  cmp  r3, r12                           \n"
      "  blo  1f                                \n"
      "  movw r12, #:lower16:danas_stack_top    \n"
      "  movt r12, #:upper16:danas_stack_top    \n"
      "  sub  r12, r12, #32                     \n"
      "  cmp  r3, r12                           \n"
      "  bhi  1f                                \n"
      "  ldr  r1, [r3, #24]                     \n"
      "  ldr  r2, [r3, #20]                     \n"
      "1:                                       \n"
      "  movw r12, #:lower16:danas_stack_top    \n"
      "  movt r12, #:upper16:danas_stack_top    \n"
      "  msr  msp, r12                          \n"
      "  isb                                    \n"
      "  b    danas_fault                       \n");
}

}  // extern "C"
