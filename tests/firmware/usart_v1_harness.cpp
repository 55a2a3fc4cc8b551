// SPDX-License-Identifier: MIT
// UsartV1 over the rules of RM0390, USART: a byte that comes while another waits is lost and sets ORE; while ORE stands,
// nothing more is received; a read of SR and then one of DR clears RXNE and ORE.
#include <cstdint>
#include <cstdio>

#include "stm32/usart_v1.h"

namespace {

using Usart = danas::stm32::UsartV1<0x4000'4400>;

uint8_t data = 0;
char sent = 0;
bool received = false, overrun = false, status_was_read = false;

void come(uint8_t byte) {
  if (received || overrun) {
    overrun = true;
    return;
  }
  data = byte;
  received = true;
}

void poll() {
  const int got = Usart::get();
  if (got < 0) {
    std::puts("none");
  } else {
    std::printf("%c\n", got);
  }
}

}  // namespace

namespace danas::port {

uint32_t harness_read(uintptr_t address) {
  if (address == Usart::kSr) {
    status_was_read = true;
    return 1u << 7 | (received ? 1u << 5 : 0) | (overrun ? 1u << 3 : 0);
  }
  if (address == Usart::kDr) {
    received = false;
    overrun = overrun && !status_was_read;
    status_was_read = false;
    return data;
  }
  return 0;
}

void harness_write(uintptr_t address, uint32_t value) {
  if (address == Usart::kDr) {
    sent = static_cast<char>(value);
  }
}

}  // namespace danas::port

int main() {
  poll();
  come('a');
  come('b');  // lost
  poll();
  poll();
  come('c');
  poll();
  // The new byte came between the reads of SR and DR: an overrun with no byte there.
  overrun = true;
  come('d');  // lost
  poll();
  poll();
  come('e');
  poll();
  poll();
  Usart::put('x');
  std::printf("sent:%c\n", sent);
}
