// SPDX-License-Identifier: MIT
// A family's port on the host: runs init, and prints each access to a register as `R ADDRESS VALUE` or `W …`.
//
// HARNESS_CHIP says how the registers are after a reset and what the hardware answers; that comes at the third read
// after its cause, unless the argument says that the clock is dead.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "port.h"

namespace {

std::map<uintptr_t, int> reads;           // since the last write
std::map<uintptr_t, uint32_t> answered;   // status bits that have been seen
bool clock_is_dead = false;

}  // namespace

#include HARNESS_CHIP

namespace danas::port {

uint32_t harness_read(uintptr_t address) {
  if (++reads[address] >= 3) {
    answered[address] = answer(address) & ~words[address];
  }
  const uint32_t value = words[address] | answered[address];
  std::printf("R %08lX %08X\n", static_cast<unsigned long>(address), value);
  return value;
}

void harness_write(uintptr_t address, uint32_t value) {
  std::printf("W %08lX %08X\n", static_cast<unsigned long>(address), value);
  words[address] = value;
  reads.clear();
}

}  // namespace danas::port

namespace danas::cortex_m {

void enable_caches() {}
void start_cycle_counter() {}
void enable_faults() {}

void halt(const char* kind, uint32_t, uint32_t, uint32_t, uint32_t address) {
  std::printf("HALT %s %08X\n", kind, address);
  ensure_uart();
  std::exit(0);
}

}  // namespace danas::cortex_m

int main(int arguments, char**) {
  clock_is_dead = arguments > 1;
  danas::port::init();
  danas::cortex_m::ensure_uart();  // must leave a running UART alone
}
