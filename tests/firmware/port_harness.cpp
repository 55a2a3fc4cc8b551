// SPDX-License-Identifier: MIT
// A family's port on the host: runs init, and prints each access to a register as `R ADDRESS VALUE` or `W …`; reads that
// give the same again and again once.
//
// HARNESS_CHIP says how the registers are after a reset and what the hardware answers; that comes at the third read
// after its cause, unless the argument says that the clock is `dead`, or that the switch to it is `stuck`.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "port.h"

namespace {

std::map<uintptr_t, int> reads;           // since the last write
std::map<uintptr_t, uint32_t> answered;   // status bits that have been seen
bool clock_is_dead = false;
bool switch_is_stuck = false;

}  // namespace

#include HARNESS_CHIP

namespace danas::port {

uint32_t harness_read(uintptr_t address) {
  if (++reads[address] >= 3) {
    answered[address] = answer(address) & ~words[address];
  }
  const uint32_t value = words[address] | answered[address];
  static std::pair<uintptr_t, uint32_t> last = {0, 0};
  if (reads[address] == 1 || last != std::pair{address, value}) {
    std::printf("R %08lX %08X\n", static_cast<unsigned long>(address), value);
    last = {address, value};
  }
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

int main(int arguments, char** argument) {
  clock_is_dead = arguments > 1 && std::strcmp(argument[1], "dead") == 0;
  switch_is_stuck = arguments > 1 && std::strcmp(argument[1], "stuck") == 0;
  danas::port::init();
  danas::cortex_m::ensure_uart();  // must leave a running UART alone
}
