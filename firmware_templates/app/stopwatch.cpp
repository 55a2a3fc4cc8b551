// SPDX-License-Identifier: MIT
#include "stopwatch.h"

#include "port.h"

namespace danas::app {

uint64_t microseconds() {
  static uint32_t last = 0;       // counter at the last look
  static uint32_t remainder = 0;  // cycles that were no whole microsecond yet
  static uint64_t total = 0;
  const uint32_t now = port::cycles();
  const uint32_t elapsed = now - last;
  const uint32_t cycles_a_microsecond = port::clock_hz() / 1'000'000;
  last = now;
  total += elapsed / cycles_a_microsecond;
  remainder += elapsed % cycles_a_microsecond;
  if (remainder >= cycles_a_microsecond) {
    remainder -= cycles_a_microsecond;
    ++total;
  }
  return total;
}

}  // namespace danas::app
