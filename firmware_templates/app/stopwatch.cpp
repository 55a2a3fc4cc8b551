// SPDX-License-Identifier: MIT
#include "stopwatch.h"

#include "port.h"

namespace danas::app {

uint64_t Stopwatch::microseconds() {
  const uint32_t now = port::cycles();
  const uint32_t elapsed = now - last_;
  const uint32_t cycles_a_microsecond = port::clock_hz() / 1'000'000;
  last_ = now;
  total_ += elapsed / cycles_a_microsecond;
  remainder_ += elapsed % cycles_a_microsecond;
  if (remainder_ >= cycles_a_microsecond) {
    remainder_ -= cycles_a_microsecond;
    ++total_;
  }
  return total_;
}

}  // namespace danas::app
