// SPDX-License-Identifier: MIT
// The STM32F7 port on the host: runs init, and prints each access to a register as `R ADDRESS VALUE` or `W …`.
//
// The registers start as after a reset. What the hardware answers with comes at the third read after its cause, unless
// the argument says that the external clock is dead.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "cortex_m/core.h"
#include "cortex_m/registers.h"
#include "port.h"

namespace {

constexpr uintptr_t kRccCr = 0x4002'3800, kRccCfgr = 0x4002'3808, kPwrCr1 = 0x4000'7000, kPwrCsr1 = 0x4000'7004;

std::map<uintptr_t, uint32_t> words = {{kRccCr, 0x83}, {0x4002'3804, 0x2400'3010}, {kPwrCr1, 0xC000}};
std::map<uintptr_t, int> reads;           // since the last write
std::map<uintptr_t, uint32_t> answered;   // status bits that have been seen
bool clock_is_dead = false;

uint32_t answer(uintptr_t address) {
  const uint32_t control = words[kRccCr];
  if (address == kRccCr) {
    const uint32_t ready = ((control & 1u << 16) != 0 && !clock_is_dead ? 1u << 17 : 0);
    return control | ready | ((control & 1u << 24) << 1);
  }
  if (address == kPwrCsr1) {
    const uint32_t power = words[kPwrCr1];
    return (power & 3u << 16) | ((control & 1u << 24) != 0 ? 1u << 14 : 0);
  }
  return words[address] | (address == kRccCfgr ? (words[address] & 3) << 2 : 0);
}

}  // namespace

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
