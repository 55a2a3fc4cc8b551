// SPDX-License-Identifier: MIT
// An Arduino core on the host: Serial is a terminal on stdin and stdout, of which the peer may come and go.
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "Arduino.h"

SerialPort Serial;

namespace {

bool begun = false;

bool ready(int file, short events, int milliseconds) {
  pollfd wanted = {file, events, 0};
  return poll(&wanted, 1, milliseconds) == 1 && (wanted.revents & events) != 0 && (wanted.revents & POLLHUP) == 0;
}

}  // namespace

void SerialPort::begin(unsigned long) { begun = true; }

int SerialPort::read() {
  uint8_t byte;
  if (!begun || !ready(0, POLLIN, 1) || ::read(0, &byte, 1) != 1) {
    return -1;
  }
  return byte;
}

size_t SerialPort::write(const uint8_t* bytes, size_t count) {
  if (!begun || !ready(1, POLLOUT, 1000)) {
    return 0;
  }
  // Sometimes less than all of it is taken.
  const ssize_t taken = ::write(1, bytes, count > 7 ? count - 3 : count);
  return taken > 0 ? static_cast<size_t>(taken) : 0;
}

unsigned long micros() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<unsigned long>(now.tv_sec) * 1'000'000 + static_cast<unsigned long>(now.tv_nsec) / 1000;
}

int main() {
  setup();
  for (;;) {
    loop();
  }
}
