// SPDX-License-Identifier: MIT
// A program for the MPS2 AN500 that sends back what it receives; for tests of the emulator alone.
#include <stdint.h>

#define REG(address) (*(volatile uint32_t*)(address))

extern uint32_t danas_stack_top[];
void reset(void);

__attribute__((section(".vectors"), used)) static void* const vectors[] = {danas_stack_top, (void*)reset};

void reset(void) {
  REG(0x40004010) = 217;  // BAUDDIV
  REG(0x40004008) = 3;    // CTRL: transmit, receive
  for (;;) {
    if (!(REG(0x40004004) & 2u)) continue;
    const uint32_t byte = REG(0x40004000) & 0xFFu;
    while (REG(0x40004004) & 1u) {
    }
    REG(0x40004000) = byte;
  }
}
