// SPDX-License-Identifier: MIT
// Stands before the port's own header: the same constants, but each access to a register goes through the harness.
#pragma once

#define at hardware_at
#include HARNESS_REGISTERS
#undef at

namespace danas::port {

uint32_t harness_read(uintptr_t address);
void harness_write(uintptr_t address, uint32_t value);

class Access {
 public:
  explicit Access(uintptr_t address) : address_(address) {}
  operator uint32_t() const { return harness_read(address_); }
  void operator=(uint32_t value) { harness_write(address_, value); }

 private:
  uintptr_t address_;
};

inline Access at(uintptr_t address) { return Access(address); }

}  // namespace danas::port
