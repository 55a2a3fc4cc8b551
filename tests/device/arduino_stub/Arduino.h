// SPDX-License-Identifier: MIT
// The part of the Arduino API that the port uses, as docs.arduino.cc describes it (Serial, micros, setup, loop).
#pragma once

#include <stddef.h>
#include <stdint.h>

class SerialPort {
 public:
  void begin(unsigned long baud);
  // The next byte, or -1.
  int read();
  // Bytes taken; 0 when nobody listens.
  size_t write(const uint8_t* bytes, size_t count);
};
extern SerialPort Serial;

unsigned long micros();

void setup();
void loop();
