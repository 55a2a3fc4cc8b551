// SPDX-License-Identifier: MIT
// From reset to main.
#include <cstdint>

#include "board.h"
#include "cortex_m/core.h"
#include "cortex_m/linker.h"
#include "cortex_m/registers.h"

int main();

extern "C" {

[[noreturn]] void danas_fault_entry();

// Of a port whose RAM must not be written before it has done something: ends in Reset_Handler.
[[noreturn]] void danas_before_ram();

// The very first instructions. The stack is painted from its bottom up to the stack pointer, before anything is
// pushed; the stores between danas_paint_begin and danas_paint_end are the only ones to the stack that are no use of
// it. Then the FPU is enabled (full access to CP10 and CP11: ARM, coprocessor access control register), because
// compiled code may use its registers at any time. No exception returns here, so none saves them: FPCCR is cleared
// before the first floating-point instruction. Else a fault handler that touches the FPU would write the saved
// registers to the stack that is perhaps the reason for the fault.
[[gnu::naked, noreturn, gnu::used]] void Reset_Handler() {
  __asm volatile(
      ".global danas_paint_begin           \n"
      ".global danas_paint_end             \n"
      "danas_paint_begin:                  \n"
      "  movw r0, #:lower16:danas_stack_bottom \n"
      "  movt r0, #:upper16:danas_stack_bottom \n"
      "  mov  r1, sp                       \n"
      "  mov  r2, #0xC5C5C5C5              \n"
      "1:                                  \n"
      "  cmp  r0, r1                       \n"
      "  bhs  2f                           \n"
      "  str  r2, [r0], #4                 \n"
      "  b    1b                           \n"
      "2:                                  \n"
      "danas_paint_end:                    \n"
      "  movw r0, #0xED88                  \n"  // CPACR
      "  movt r0, #0xE000                  \n"
      "  ldr  r1, [r0]                     \n"
      "  orr  r1, r1, #0x00F00000          \n"
      "  str  r1, [r0]                     \n"
      "  movs r1, #0                       \n"
      "  str  r1, [r0, #0x1AC]             \n"  // FPCCR
      "  dsb                               \n"
      "  isb                               \n"
      "  b    danas_start                  \n");
}
static_assert(danas::cortex_m::kStackPaint == 0xC5C5'C5C5, "Reset_Handler paints with this word");

using Handler = void (*)();

// Core exceptions only (ARM, exception number definition): the program polls and enables no interrupt, and a reset
// disables them all, so none can be taken.
struct VectorTable {
  uint32_t* stack;
  Handler handlers[15];
};

extern const VectorTable danas_vectors;
[[gnu::section(".vectors"), gnu::used]] const VectorTable danas_vectors = {
    danas_stack_top,
    {
        danas::board::kBeforeRam ? danas_before_ram : Reset_Handler,
        danas_fault_entry,  // NMI
        danas_fault_entry,  // HardFault
        danas_fault_entry,  // MemManage
        danas_fault_entry,  // BusFault
        danas_fault_entry,  // UsageFault
        nullptr,
        nullptr,
        nullptr,
        nullptr,
        danas_fault_entry,  // SVCall
        danas_fault_entry,  // DebugMonitor
        nullptr,
        danas_fault_entry,  // PendSV
        danas_fault_entry,  // SysTick
    },
};

[[noreturn, gnu::used]] void danas_start() {
  // Up to here the core has looked where the device boots from, which may be an alias of flash.
  danas::port::at(danas::cortex_m::kVtor) = reinterpret_cast<uintptr_t>(&danas_vectors);
  danas::cortex_m::enable_faults();
  const uint32_t* from = danas_data_image;
  for (uint32_t* to = danas_data_start; to < danas_data_end; ++to) {
    *to = *from++;
  }
  for (uint32_t* word = danas_bss_start; word < danas_bss_end; ++word) {
    *word = 0;
  }
  for (auto constructor = danas_init_array_start; constructor < danas_init_array_end; ++constructor) {
    (*constructor)();
  }
  main();
  for (;;) {
  }
}

}  // extern "C"
